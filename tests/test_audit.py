"""The chain of the audit trail: whatever is done to its rows is found. And the command that shows it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comet_mcp.audit.calls import calls
from comet_mcp.audit.chain import NO_HASH, appending, hashed, holds, pruning, reading, stamp, verify
from comet_mcp.audit.redaction import without_secrets
from comet_mcp.audit.trail import AuditTrail, Note
from comet_mcp.clock import SYSTEM
from comet_mcp.errors import AuditError
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.rows import AuditRow
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.journal.writes import AppendAudit, DropAudit
from comet_mcp.redaction import Redactor
from comet_mcp.settings import ToolName
from tests.any_text import any_text
from tests.support import in_process

SOON = "9999"


class Trail:
    """A trail as rows in memory, to which steps of the journal are applied."""

    def __init__(self, rows: int = 0, day: int = 1) -> None:
        """Of that many rows, one a day."""
        self.rows: list[AuditRow] = []
        self.last = 0
        for number in range(rows):
            self.append(
                {"kind": "begin", "time": f"2027-01-{day + number:02d}T00:00:00.000Z", "tool": "t", "n": number}
            )

    @property
    def read(self) -> Rows:
        return Rows(audit=list(self.rows), audit_last=self.last)

    def run(self, step: Step[int]) -> int:
        """Carry out a step as the journal does."""
        decision = step.decide(self.read)
        for write in decision.writes:
            if isinstance(write, AppendAudit):
                self.rows.append(write.row)
                self.last = max(self.last, write.row.id)
            elif isinstance(write, DropAudit):
                self.rows = [row for row in self.rows if row.id > write.through]
            else:
                raise TypeError(write)
        return decision.result

    def append(self, entry: dict[str, Any]) -> int:
        return self.run(appending(entry, durable=False))

    def prune(self, before: str) -> int:
        return self.run(pruning(before, SYSTEM))

    def put(self, row: AuditRow) -> None:
        """Put a row where its number belongs, in place of one that has it."""
        self.rows = sorted([*(one for one in self.rows if one.id != row.id), row], key=lambda one: one.id)
        self.last = max(self.last, row.id)

    @property
    def fault(self) -> str | None:
        return verify(self.read).fault


# What is done to the rows.


def test_a_trail_that_nobody_touched_is_whole() -> None:
    for rows in (0, 1, 2, 9):
        trail = Trail(rows)
        verified = verify(trail.read)
        assert (verified.rows, verified.fault) == (rows, None)
        assert verified.head == (trail.rows[-1].hash if rows else NO_HASH)


def test_each_row_has_the_hash_of_the_one_before_its_number_and_its_entry() -> None:
    previous = NO_HASH
    for row in Trail(3).rows:
        assert row.hash == hashlib.sha256(f"{previous}\n{row.id}\n{row.entry}".encode()).hexdigest()
        previous = row.hash


tamperings = st.one_of(
    st.tuples(st.sampled_from(["entry", "hash"]), st.integers(0, 7), st.integers(0, 10**6), any_text(max_size=3)),
    st.tuples(st.just("delete"), st.integers(0, 7), st.integers(0, 7), st.just("")),
    st.tuples(st.just("swap"), st.integers(0, 7), st.integers(0, 7), st.just("")),
    st.tuples(st.just("insert"), st.integers(0, 12), st.integers(0, 7), any_text(max_size=3)),
    st.tuples(st.just("rehash"), st.integers(0, 6), st.integers(0, 7), any_text(max_size=3)),
)


def tamper(trail: Trail, what: str, one: int, other: int, text: str) -> None:
    """Change the rows as a careless hand would."""
    number = one + 1
    rows = {row.id: row for row in trail.rows}
    if what in ("entry", "hash") and number in rows:
        old = rows[number].entry if what == "entry" else rows[number].hash
        place = other % (len(old) + 1)
        altered = old[:place] + text + old[place + 1 :]
        trail.put(replace(rows[number], entry=altered) if what == "entry" else replace(rows[number], hash=altered))
    elif what == "delete":
        trail.rows = [row for row in trail.rows if not number <= row.id <= number + other % 3]
    elif what == "swap" and number in rows and other + 1 in rows:
        for target, source in ((number, other + 1), (other + 1, number)):
            trail.put(replace(rows[source], id=target))
    elif what == "insert":
        copied = rows.get(other + 1, AuditRow(0, "{}", NO_HASH))
        trail.put(AuditRow(number, copied.entry + text, copied.hash))
    elif what == "rehash" and number in rows and number - 1 in rows:
        entry = rows[number].entry + text
        trail.put(AuditRow(number, entry, hashed(rows[number - 1].hash, number, entry)))


@settings(max_examples=300, deadline=None)
@given(st.lists(tamperings, min_size=1, max_size=3), st.integers(0, 4))
def test_whatever_is_done_to_the_rows_the_first_one_that_is_wrong_is_named(
    done: list[tuple[str, int, int, str]], pruned: int
) -> None:
    trail = Trail(8)
    trail.prune(f"2027-01-{pruned + 1:02d}")
    before = list(trail.rows)
    for step in done:
        tamper(trail, *step)
    after, fault = trail.rows, trail.fault
    if after == before:
        assert fault is None
        return
    assert fault is not None
    first = min(row.id for row in {*before} ^ {*after})
    named = next(int(word) for word in fault.replace(".", "").split() if word.isdigit())
    # an altered row whose hash was made to fit shows at the next one
    last = first + max(1, sum(what == "rehash" for what, *_ in done))
    if pruned and before[-1] not in after:
        assert named <= last  # the note of the pruning is gone, and with it the begin
    else:
        assert min(first, before[-1].id + 1) <= named <= last  # a row put in beyond the last leaves a gap


def test_a_row_cut_out_is_named_as_missing_wherever_it_was() -> None:
    for gone, said in ((1, "Row 1 is"), (3, "Row 3 is"), (5, "Row 5 is")):
        trail = Trail(5)
        trail.rows = [row for row in trail.rows if row.id != gone]
        assert trail.fault == f"{said} missing."
    trail = Trail(5)
    trail.rows.clear()
    assert trail.fault == "Rows 1 to 5 are missing."
    trail.append({"kind": "begin"})
    assert trail.fault == "Rows 1 to 5 are missing."


async def test_a_byte_that_is_no_text_any_more_is_found_too(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal.sqlite3")
    for _ in range(3):
        await journal.run(appending({"kind": "begin"}, durable=False))
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute("UPDATE audit SET entry = CAST(x'7bff7d' AS TEXT) WHERE id = 2")
    assert (verify(await journal.run(reading())).fault or "").startswith("Row 2 was altered")
    journal.close()


# Old rows.


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_what_is_left_after_pruning_can_still_be_verified(rows: int, before: int, later: int) -> None:
    trail = Trail(rows)
    head = verify(trail.read).head
    dropped = trail.prune(f"2027-01-{before:02d}")
    assert dropped == min(rows, before - 1)
    for _ in range(later):
        trail.append({"kind": "begin", "time": "2027-02-01"})
    assert trail.fault is None
    assert holds(trail.read, head)
    assert len(trail.rows) == rows - dropped + bool(dropped) + later
    trail.prune(SOON)
    assert trail.fault is None
    assert len(trail.rows) == 1


def test_rows_that_somebody_deleted_are_not_taken_for_pruned_ones() -> None:
    trail = Trail(6)
    trail.prune("2027-01-03")
    trail.rows = [row for row in trail.rows if row.id != 3]
    assert trail.fault == "Row 3 is missing."


def test_what_an_earlier_version_noted_of_rows_that_it_dropped_although_they_were_wrong_is_told() -> None:
    trail = Trail(4)
    dropped = trail.rows[2]
    note = {
        "kind": "pruned",
        "time": "2027-01-04",
        "through": 3,
        "rows": 3,
        "hash": dropped.hash,
        "fault": "Row 2 was altered.",
    }
    trail.append(note)
    trail.rows = trail.rows[3:]
    verified = verify(trail.read)
    assert verified.fault is None
    assert verified.before == ("When the rows up to 3 were dropped (2027-01-04): Row 2 was altered.",)


def test_a_hash_kept_elsewhere_shows_a_trail_that_was_written_anew() -> None:
    kept = Trail(4).rows[1].hash
    assert holds(Trail(4).read, kept)
    other = Trail(4, day=2)
    assert other.fault is None
    assert not holds(other.read, kept)


# What is written.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the key sk-abcdefghijklmnop for you", "the key *** for you"),
        ("EMaJXyHZ6RPnKbv3kcW0QeTGu1ofLBdVm2sA9tC5gI7jN8qD", "***"),
        ("0123456789abcdef0123456789abcdef", "***"),
        ("token=canary/token", "token=***"),
        ("claude-3-5-sonnet-20241022,deepseek-ai/DeepSeek-V3", "claude-3-5-sonnet-20241022,deepseek-ai/DeepSeek-V3"),
        ("team_blog_2024_production.env", "team_blog_2024_production.env"),
        ("198.51.100.0/24\n2001:db8::/32", "198.51.100.0/24\n2001:db8::/32"),
        ("nightly report 2027", "nightly report 2027"),
    ],
)
def test_what_could_be_a_secret_is_left_out_of_an_argument_and_names_stay_readable(text: str, shown: str) -> None:
    assert without_secrets(text, Redactor(["canary/token"])) == shown
    assert without_secrets([text], Redactor(["canary/token"])) == [shown]


def test_a_long_argument_is_cut_and_a_number_is_left_alone() -> None:
    assert without_secrets("x" * 5_000, Redactor()) == "x" * 2_000 + "… (5000 characters)"
    assert without_secrets(5, Redactor()) == 5


async def test_how_a_call_ended_is_in_its_second_row(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal.sqlite3")
    trail = AuditTrail(journal, "on", SYSTEM, lambda: "account", Redactor())
    verdict = "max_budget_usd: at most $5.00."
    for arguments, note in (
        ({"name": "x", "group": ""}, Note("ok", 7, "a sk-abcdefghijklmnop", "confirmed")),
        ({"id": 7}, Note("policy", 7, policy=verdict)),
        ({"id": 8}, Note("cancelled", 9)),
    ):
        begun = await trail.begin("create_api_key", arguments, "client 1")
        assert begun is not None
        await trail.end(begun, "create_api_key", note)
    await trail.settled(10, "found")
    rows = await journal.run(reading())
    found = calls(rows.audit, SOON)
    journal.close()
    assert verify(rows).fault is None
    assert [call["outcome"] for call in found] == ["ok", "policy", "cancelled", "settled"]
    assert [call["key_ids"] for call in found] == [[7], [7], [8, 9], [10]]
    assert (found[0]["arguments"], found[0]["client"], found[0]["confirmation"]) == (
        {"name": "x", "group": ""},
        "client 1",
        "confirmed",
    )
    assert [call.get("key_name") for call in found] == ["a ***", None, None, "found"]
    assert found[1]["policy"] == verdict


async def test_what_else_is_noted_at_a_calls_end_holds_together_with_its_row(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "journal.sqlite3")
    done: list[None] = []
    also = Step(Reads(), lambda _: Decision(None), after=done.append)
    trail = AuditTrail(journal, "on", SYSTEM, lambda: "account", Redactor())
    await trail.end(await trail.begin("create_api_key", {}, ""), "create_api_key", Note(), also)
    await AuditTrail(journal, "off", SYSTEM, lambda: "account", Redactor()).end(None, "create_api_key", Note(), also)
    assert done == [None, None]
    assert (await journal.run(reading())).audit_last == 2
    journal.close()


async def test_a_trail_that_is_off_writes_nothing_and_one_that_is_required_lets_nothing_run_unwritten(
    tmp_path: Path,
) -> None:
    journal = SQLiteJournal(tmp_path / "off.sqlite3")
    off = AuditTrail(journal, "off", SYSTEM, lambda: "account", Redactor())
    assert await off.begin("delete_api_key", {"id": 1}, "") is None
    await off.end(None, "delete_api_key", Note())
    await off.settled(1, "x")
    assert not journal.path.exists()
    broken = SQLiteJournal(tmp_path)
    with pytest.raises(AuditError, match="COMETAPI_MCP_AUDIT=required"):
        await AuditTrail(broken, "required", SYSTEM, lambda: "account", Redactor()).begin(
            "delete_api_key", {"id": 1}, ""
        )
    on = AuditTrail(broken, "on", SYSTEM, lambda: "account", Redactor())
    assert await on.begin("delete_api_key", {"id": 1}, "") is None
    await on.end(None, "delete_api_key", Note())
    await on.end(5, "delete_api_key", Note())


def test_a_call_without_its_second_row_is_under_way_and_later_never_ended() -> None:
    assert [call["state"] for call in calls(Trail(2).rows, "2027-01-02")] == ["never_ended", "under_way"]


def test_an_end_whose_begin_was_pruned_is_still_shown() -> None:
    trail = Trail(1)
    trail.append({"kind": "end", "time": "2027-01-05", "call": 1, "tool": "t", "outcome": "ok", "key_id": 4})
    trail.prune("2027-01-02")
    (call,) = calls(trail.rows, SOON)
    assert (call["begun"], call["ended"], call["outcome"], call["key_ids"]) == (None, "2027-01-05", "ok", [4])


# The command.


def run(home: Path, *arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    environment = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "COMETAPI_MCP_STATE": str(home / "journal.sqlite3"),
    }
    return in_process("audit", *arguments, environment=environment, encoding=encoding)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with a create a year ago, a refused delete, and an update in the last minute that was killed."""
    created = {"kind": "end", "call": 1, "tool": "create_api_key", "outcome": "ok", "key_id": 7, "key_name": "blog"}
    return journal_of(
        tmp_path,
        (365.0, {"kind": "begin", "tool": "create_api_key", "arguments": {"name": "blog", "group": ""}}),
        (365.0, created),
        (9.0, {"kind": "begin", "tool": "delete_api_key", "arguments": {"id": 8}, "key_id": 8, "client": "c\x1b[1m"}),
        (9.0, {"kind": "end", "call": 3, "tool": "delete_api_key", "outcome": "policy", "policy": REFUSED}),
        (1.0, {"kind": "begin", "tool": "update_api_key", "arguments": {"id": 7, "name": "x"}, "key_id": 7}),
        (0.0, {"kind": "begin", "tool": "delete_api_key", "arguments": {"id": 9}, "key_id": 9}),
    )


REFUSED = "The policy of this server does not allow that. only_own_prefix: not yours. max_lifetime: at most 90d."


def journal_of(home: Path, *rows: tuple[float, dict[str, Any]]) -> Path:
    """A journal with these rows in its trail, each with its age in days."""
    journal = SQLiteJournal(home / "journal.sqlite3")

    async def fill() -> None:
        for age, fields in rows:
            time = stamp(datetime.now(UTC) - timedelta(days=age))
            await journal.run(appending({**fields, "time": time}, durable=False))

    anyio.run(fill)
    journal.close()
    return journal.path


def test_the_table_shows_each_call_with_its_outcome_in_printable_characters(journal: Path) -> None:
    shown = run(journal.parent)
    assert (shown.returncode, shown.stderr) == (0, "")
    heading, create, delete, update, last = shown.stdout.splitlines()
    assert heading.split() == [
        *("time", "tool", "key", "name", "outcome", "confirmed", "policy", "client", "arguments")
    ]
    assert create.split()[1:5] == ["create_api_key", "7", '"blog"', "ok"]
    assert create.endswith('name="blog" group=""')
    assert delete.split()[1:5] == ["delete_api_key", "8", "-", "policy"]
    assert delete[heading.index("policy") :].startswith("max_lifetime, only_own_prefix ")
    assert "never ended" in update
    assert "under way" in last
    assert "\x1b" not in shown.stdout


def test_the_table_shows_what_widens_a_key_though_it_is_false_or_empty_or_follows_a_long_value(tmp_path: Path) -> None:
    widening = {"id": 25, "name": "n" * 500, "allow_ips": "", "model_limits_enabled": False, "group": ""}
    journal_of(tmp_path, (1, {"kind": "begin", "tool": "update_api_key", "arguments": widening, "key_id": 25}))
    line = run(tmp_path).stdout.splitlines()[1]
    assert line.endswith('n… allow_ips="" model_limits_enabled=false group=""')
    assert len(line) < 300


NAMES = {"报告": r"\u62a5\u544a", "Nightly 🌙": r"Nightly \ud83c\udf19", "a\u202eb": r"a\u202eb", "a\x9bb": r"a\u009bb"}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_is_shown_as_its_owner_wrote_it_where_the_terminal_can_and_its_characters_print(
    tmp_path: Path, name: str, encoding: str
) -> None:
    end = {"kind": "end", "call": 1, "tool": "create_api_key", "outcome": "ok", "key_id": 7, "key_name": name}
    journal_of(tmp_path, (1, {"kind": "begin", "tool": "create_api_key", "arguments": {"name": name}}), (1, end))
    shown = name if encoding == "utf-8" and name.isprintable() else NAMES[name]
    table = run(tmp_path, encoding=encoding)
    assert (table.returncode, table.stderr) == (0, "")
    assert table.stdout.splitlines()[1].count(f'"{shown}"') == 2
    lines = run(tmp_path, "--json", encoding=encoding)
    assert (lines.returncode, lines.stderr) == (0, "")
    assert lines.stdout.count(f'"{shown}"') == 2
    assert json.loads(lines.stdout)["key_name"] == name


def test_wide_characters_do_not_shift_the_columns_after_them(tmp_path: Path) -> None:
    for number, name in ((1, "报告"), (3, "blog")):
        end = {"kind": "end", "call": number, "tool": "create_api_key", "outcome": "ok", "key_name": name}
        journal_of(tmp_path, (1, {"kind": "begin", "tool": "create_api_key", "arguments": {}}), (1, end))
    _, wide, narrow = run(tmp_path).stdout.splitlines()
    assert wide.index(" ok ") + 2 == narrow.index(" ok ")


def test_calls_are_chosen_by_time_tool_and_key(journal: Path) -> None:
    def tools(*arguments: str) -> list[str]:
        done = run(journal.parent, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["tool"] for line in done.stdout.splitlines()]

    year = str(datetime.now(UTC).year - 2)
    assert tools("--since", "10d") == ["delete_api_key", "update_api_key", "delete_api_key"]
    assert tools("--since", f"{year}-01-31T12:00Z", "--tool", "create_api_key") == ["create_api_key"]
    assert tools("--key", "7") == ["create_api_key", "update_api_key"]
    assert tools("--since", "9999-01-01") == []
    assert tools("--since", "2d", "--key", "8") == []


def test_json_lines_hold_what_both_rows_say(journal: Path) -> None:
    lines = [json.loads(line) for line in run(journal.parent, "--json").stdout.splitlines()]
    assert [line["state"] for line in lines] == ["ended", "ended", "never_ended", "under_way"]
    assert (lines[0]["key_name"], lines[0]["arguments"]) == ("blog", {"name": "blog", "group": ""})
    assert (lines[1]["outcome"], lines[1]["policy"], lines[1]["arguments"]) == ("policy", REFUSED, {"id": 8})


def test_verify_prints_the_head_and_finds_it_again_or_what_was_altered(journal: Path) -> None:
    whole = run(journal.parent, "verify")
    assert whole.returncode == 0
    head = whole.stdout.split()[-1]
    assert run(journal.parent, "verify", "--head", head).returncode == 0
    other = run(journal.parent, "verify", "--head", "0" * 64)
    assert (other.returncode, "no row of it has the hash" in other.stdout) == (1, True)
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("DELETE FROM audit WHERE id = 4")
    broken = run(journal.parent, "verify", "--head", head)
    assert (broken.returncode, broken.stdout) == (1, "The audit trail is not whole. Row 4 is missing.\n")


def test_prune_drops_old_rows_and_what_is_left_is_whole(journal: Path) -> None:
    head = run(journal.parent, "verify").stdout.split()[-1]
    done = run(journal.parent, "prune", "--before", "30d")
    assert (done.returncode, done.stdout.split()[0]) == (0, "2")
    assert run(journal.parent, "verify", "--head", head).returncode == 0
    assert len(run(journal.parent).stdout.splitlines()) == 4
    nothing = run(journal.parent, "prune")
    assert (nothing.returncode, "--before WHEN, or --all" in nothing.stderr) == (2, True)


def test_a_date_in_the_future_drops_nothing_unless_all_is_asked_for(journal: Path) -> None:
    future = f"{datetime.now(UTC).year + 1}-01-01"
    refused = run(journal.parent, "prune", "--before", future)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"--before {future}T00:00:00.000Z is in the future" in refused.stderr
    assert "--all" in refused.stderr
    assert run(journal.parent, "prune", "--before", "30d", "--all").returncode == 2
    assert run(journal.parent, "verify").stdout.split(":")[1].split()[0] == "6"
    done = run(journal.parent, "prune", "--before", future, "--all")
    assert (done.returncode, done.stdout) == (0, "6 rows were dropped.\n")
    assert run(journal.parent, "prune", "--all").stdout == "1 rows were dropped.\n"  # the note of the first pruning
    assert run(journal.parent, "verify").returncode == 0


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_on_a_terminal_the_table_fits_and_times_are_the_persons(journal: Path, columns: int) -> None:
    environment = {
        "HOME": str(journal.parent),
        "COMETAPI_MCP_STATE": str(journal),
        "COMETAPI_MCP_TIMEZONE": "Asia/Tokyo",
    }
    shown = in_process("audit", environment=environment, columns=columns)
    piped = in_process("audit", environment=environment).stdout.splitlines()
    lines = shown.stdout.splitlines()
    assert (shown.returncode, len(lines)) == (0, len(piped))
    assert max(map(len, lines)) <= columns
    assert ("CLIENT" in lines[0], "ARGUMENTS" in lines[0]) == (columns == 200, columns >= 100)
    begun = datetime.fromisoformat(piped[1].split()[0])
    if columns == 200:
        assert lines[1].startswith(f"{begun.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%d %H:%M}")


@pytest.mark.parametrize("wrong", [["--since", "yesterday-ish"], ["--tool", "steal"], ["--key", "x"], ["forge"]])
def test_a_wrong_argument_is_refused(journal: Path, wrong: list[str]) -> None:
    done = run(journal.parent, *wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: cometapi-mcp audit" in done.stderr


def test_without_a_journal_it_says_so_and_makes_none(tmp_path: Path) -> None:
    assert "There is no audit trail" in run(tmp_path).stderr
    assert run(tmp_path).returncode == 0
    assert run(tmp_path, "verify").returncode == 1
    assert run(tmp_path, "verify", "--head", "0" * 64).returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_is_explained(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"not a journal\n" * 1000)
    done = run(tmp_path, "verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no journal of" in done.stderr


def test_the_help_says_what_the_hashes_are_worth(tmp_path: Path) -> None:
    text = " ".join(run(tmp_path, "--help").stdout.split())
    assert "accidents and careless hands, not of somebody who rewrites the whole file" in text
    assert "--head" in text


def test_every_tool_can_be_asked_for() -> None:
    from comet_mcp.server import TOOLS  # noqa: PLC0415 - the command does without the server

    assert list(get_args(ToolName)) == [tool.name for tool in TOOLS]


@pytest.mark.parametrize(
    "entry",
    [
        '{"kind":"pruned"}',
        '{"kind":"begin","time":5,"tool":"create_api_key"}',
        '{"kind":"end","call":[1],"outcome":7}',
        '{"kind":"begin","arguments":[1],"key_id":"x","client":{}}',
        "[" * 100_000,
    ],
)
def test_an_altered_row_of_any_form_is_named_and_ends_no_command(entry: str, journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE audit SET entry = ? WHERE id = 2", (entry,))
    found = run(journal.parent, "verify")
    assert (found.returncode, "Row 2 was altered" in found.stdout) == (1, True)
    for arguments in ([], ["--json"], ["verify", "--head", "0" * 64]):
        assert "Traceback" not in run(journal.parent, *arguments).stderr
    dropped = run(journal.parent, "prune", "--all")
    assert (dropped.returncode, "Nothing was dropped" in dropped.stdout) == (1, True)


def test_a_broken_chain_is_never_pruned_for_what_is_left_would_not_show_it(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("UPDATE audit SET entry = replace(entry, 'create', 'delete') WHERE id = 1")
    done = run(journal.parent, "prune", "--all")
    assert (done.returncode, "Nothing was dropped" in done.stdout) == (1, True)
    assert "move the journal away while no server runs, and keep it" in done.stdout
    found = run(journal.parent, "verify")
    assert (found.returncode, "Row 1 was altered" in found.stdout) == (1, True)
    assert run(journal.parent, "prune", "--all", "--force").returncode == 2


@pytest.mark.parametrize("command", [("verify",), ("prune", "--all")])
def test_a_choice_of_what_is_shown_is_refused_with_a_command_that_takes_none(
    command: tuple[str, ...], journal: Path
) -> None:
    done = run(journal.parent, "--tool", "create_api_key", *command)
    assert (done.returncode, "takes none of them" in done.stderr) == (2, True)
    assert "whole" in run(journal.parent, "verify").stdout


# What a trail shows, and what it can't.


def test_models_are_shown_whatever_their_names_look_like_and_a_key_among_them_is_not() -> None:
    models = "accounts/fireworks/models/llama4scout17b,risk-analysis-v2-large,Qwen/Qwen2.5-72B-Instruct-Turbo-Int4Gptq"
    assert without_secrets(models, Redactor(), name="model_limits") == models
    key = "EMaJXyHZ6RPnKbv3kcW0QeTGu1ofLBdVm2sA9tC5gI7jN8qD"
    assert (
        without_secrets(f"gpt-4o,sk-{key},{key},{key[:20]}+/=", Redactor(), name="model_limits") == "gpt-4o,***,***,***"
    )


def test_the_widest_address_at_the_end_of_a_long_list_is_in_the_trail_with_count_and_digest(tmp_path: Path) -> None:
    addresses = "\n".join([*(f"198.51.{n // 250}.{n % 250}" for n in range(500)), "0.0.0.0/0"])
    shown = without_secrets(addresses, Redactor(), name="allow_ips")
    digest = hashlib.sha256(addresses.encode()).hexdigest()
    assert shown.startswith(f"501 entries, widest 0.0.0.0/0, 198.51.0.0, 198.51.0.1, SHA-256 {digest}: 198.51.0.0, ")
    assert len(shown) <= 2_001
    journal_of(tmp_path, (1, {"kind": "begin", "tool": "update_api_key", "arguments": {"allow_ips": shown}}))
    assert 'allow_ips="501 entries, widest 0.0.0.0/0, ' in run(tmp_path).stdout


def test_the_widest_address_of_a_list_that_a_line_of_the_table_cannot_hold_is_in_the_line(tmp_path: Path) -> None:
    addresses = "\n".join([*(f"198.51.100.{n}" for n in range(20)), "0.0.0.0/0"])
    journal_of(tmp_path, (1, {"kind": "begin", "tool": "update_api_key", "arguments": {"allow_ips": addresses}}))
    assert 'allow_ips="21 entries, widest 0.0.0.0/0, 198.51.100.0, 198.51.100.1"' in run(tmp_path).stdout


def test_models_that_are_too_many_for_a_row_are_counted_and_have_a_digest() -> None:
    models = ",".join(f"model-{n}" for n in range(1_000))
    shown = without_secrets(models, Redactor(), name="model_limits")
    assert shown.startswith(f"1000 entries, SHA-256 {hashlib.sha256(models.encode()).hexdigest()}: model-0, model-1, ")


@pytest.mark.parametrize(
    "sent",
    [{"a": "sk-abcdefghijklmnop"}, [["x"]], 10**5000, float("nan"), float("inf")],
    ids=["object", "nested", "huge", "nan", "inf"],
)
def test_what_no_argument_may_be_is_in_the_trail_as_stars(sent: Any) -> None:
    shown = without_secrets(sent, Redactor())
    assert shown in ("***", ["***"])
    assert json.loads(json.dumps(shown)) == shown


def test_dollars_are_shown_as_they_were_given() -> None:
    assert json.dumps(without_secrets({"add_budget_usd": 2.0}["add_budget_usd"], Redactor())) == "2"
    assert json.dumps(without_secrets(2.5, Redactor())) == "2.5"


def test_a_trail_replaced_by_a_forged_note_of_a_pruning_is_not_proven_by_the_head_it_names(journal: Path) -> None:
    head = run(journal.parent, "verify").stdout.split()[-1]
    entry = json.dumps({"kind": "pruned", "time": "2027-01-01T00:00:00.000Z", "through": 6, "rows": 6, "hash": head})
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("DELETE FROM audit")
        db.execute("INSERT INTO audit VALUES (7, ?, ?)", (entry, hashed(head, 7, entry)))
    forged = run(journal.parent, "verify", "--head", head)
    assert (forged.returncode, "it can't be proven" in forged.stdout) == (3, True)
    unproven = run(journal.parent, "verify", "--head", "a" * 64)
    assert (unproven.returncode, "it can't be proven" in unproven.stdout) == (3, True)
    alone = run(journal.parent, "verify")
    assert (alone.returncode, "Rows up to 6 were dropped" in alone.stdout) == (0, True)


def test_a_head_that_a_row_still_has_proves_what_stands_before_it(journal: Path) -> None:
    head = run(journal.parent, "verify").stdout.split()[-1]
    run(journal.parent, "prune", "--before", "30d")
    proven = run(journal.parent, "verify", "--head", head.upper())
    assert (proven.returncode, "Every row that is left up to 6 is as it was" in proven.stdout) == (0, True)


@pytest.mark.parametrize("head", ["abc", "", "g" * 64, "a" * 63])
def test_what_is_no_head_is_not_told_as_a_trail_that_was_rewritten(head: str, journal: Path) -> None:
    done = run(journal.parent, "verify", "--head", head)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no head: one has 64 hexadecimal digits" in done.stderr


def test_one_long_name_or_client_does_not_move_the_columns_of_all_calls_apart(tmp_path: Path) -> None:
    begin = {"kind": "begin", "tool": "delete_api_key", "arguments": {"id": 1}, "client": "c" * 100}
    journal_of(tmp_path, (1, begin), (1, {"kind": "end", "call": 1, "outcome": "ok", "key_name": "n" * 500}))
    assert len(run(tmp_path).stdout.splitlines()[0]) < 170
