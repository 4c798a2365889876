"""The journal's file: one transaction a step, shared by servers, and refused with a reason where it can't be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from comet_mcp.api.rate_limit import Counted
from comet_mcp.audit import chain
from comet_mcp.concurrency import together
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError, JournalError
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import OldKey, Operation, State, Target, Watermark
from comet_mcp.journal.rows import KeyLease
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.journal.steps import taking_share, using_nonce
from comet_mcp.journal.writes import DropGrants, Grant, Put, PutKeyLease
from tests.e2e.steps import code_of, served, until
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

ACCOUNT = "a"


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    journal = SQLiteJournal(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


def operation(id: str = "one", **fields: Any) -> Operation:
    given: dict[str, Any] = {"kind": "create", "state": State.PENDING, "spec": KeySpec(name="x"), "begun": 1.0}
    return Operation(**{"id": id, "account": ACCOUNT, "holder": "me", "lease_until": 7.0, **given, **fields})


def writing(*entries: Any, durable: bool = True) -> Step[None]:
    return Step(Reads(ACCOUNT), lambda _: Decision(None, entries), durable=durable)


def reading(**reads: Any) -> Step[Rows]:
    return Step(Reads(ACCOUNT, **reads), Decision)


async def test_an_operation_comes_back_as_it_was_put(journal: SQLiteJournal) -> None:
    full = operation(
        kind="rotate",
        state=State.STORED,
        spec=KeySpec(name="日本 \U0001f511", model_limits="a,b", allow_ips="::1", expired_time=9),
        watermark=Watermark(5, 6),
        extra={"auto_groups": ["cheap"], "x": None},
        accepted=True,
        disconnected=True,
        acknowledged=True,
        key_id=3,
        key_created=4,
        old=OldKey(1, 2, "delete", 0, 5),
    )
    changed = operation("two", kind="change", key_id=3, key_created=4, target=Target(10, 5, 2))
    await journal.run(writing(Put(full), Put(changed)))
    assert (await journal.run(reading(operations=("one", "two")))).operations == [full, changed]
    moved = replace(changed, state=State.SETTLED, target=Target(10, 5, 2, 11))
    await journal.run(writing(Put(moved)))
    (closed,) = (await journal.run(reading(operations="of_key", key_id=3))).operations
    assert closed.spec.name.startswith("sha256:")
    assert replace(closed, spec=moved.spec) == moved


async def test_what_is_closed_keeps_a_digest_of_what_was_asked_for(journal: SQLiteJournal) -> None:
    wide = operation(spec=KeySpec(name="x", model_limits="a" * 50_000), extra={"y": "z" * 50_000})
    await journal.run(writing(Put(wide)))
    await journal.run(writing(Put(wide.moved(State.NOT_DONE))))
    for _ in range(2):  # also where it is put once more
        (closed,) = (await journal.run(reading(operations=("one",)))).operations
        await journal.run(writing(Put(closed)))
        assert (len(closed.spec.model_dump_json()) < 300, closed.extra) == (True, None)
    assert closed.spec == (await journal.run(reading(operations=("one",)))).operations[0].spec


async def test_what_is_open_is_read_and_what_is_done_is_not(journal: SQLiteJournal) -> None:
    done = {State.NOT_DONE, State.RELEASED}
    await journal.run(writing(Put(operation("change", kind="change", key_id=1))))
    for number, state in enumerate(State):
        for told in (False, True):
            await journal.run(writing(Put(operation(f"{state}{told}", state=state, acknowledged=told, begun=number))))
    await journal.run(writing(Put(operation("other", account="b"))))
    found = [one.id for one in (await journal.run(reading(operations="open"))).operations]
    still = [f"{state}True" for state in (State.ABANDONED, State.UNSTORED)]
    assert sorted(found) == sorted([*(f"{state}False" for state in State if state not in done), *still])


async def test_one_key_is_one_operations_until_that_is_released(journal: SQLiteJournal) -> None:
    await journal.run(writing(Put(operation(state=State.MATCHED, key_id=1, key_created=5))))
    with pytest.raises(JournalError):
        await journal.run(writing(Put(operation("two", state=State.MATCHED, key_id=1, key_created=5))))
    assert len((await journal.run(reading(operations="open"))).operations) == 1
    for other in (
        operation("two", state=State.MATCHED, key_id=1, key_created=6),  # ids that began anew
        operation("three", state=State.MATCHED, key_id=1, key_created=5, account="b"),
        operation("four", kind="change", state=State.SETTLED, key_id=1, key_created=5),
        operation(state=State.RELEASED, key_id=1, key_created=5),
        operation("five", state=State.MATCHED, key_id=1, key_created=5),
    ):
        await journal.run(writing(Put(other)))
    claims = ((1, 5), (1, 6), (2, 5))
    assert (await journal.run(reading(claims=claims))).claimed == {(1, 5), (1, 6)}


async def test_a_step_that_raises_writes_nothing_and_those_beside_it_neither(journal: SQLiteJournal) -> None:
    def refuse(_: Rows) -> Decision[None]:
        raise CometError("no")

    with pytest.raises(CometError):
        await journal.run(writing(Put(operation())), Step(Reads(ACCOUNT), refuse))
    assert (await journal.run(reading(operations="open"))).operations == []


async def test_what_is_told_after_a_step_is_told_once_it_holds(journal: SQLiteJournal) -> None:
    told: list[str] = []
    step = Step(Reads(ACCOUNT), lambda _: Decision("done", [Put(operation())]), after=told.append)
    assert await journal.run(step) == "done"
    assert told == ["done"]
    broken = Step(Reads(ACCOUNT), lambda _: Decision("not", [Put(operation()), object()]), after=told.append)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        await journal.run(broken)
    assert told == ["done"]


async def test_a_rider_goes_with_every_step(journal: SQLiteJournal) -> None:
    waiting = [operation("rider")]
    journal.add_rider(lambda: writing(Put(waiting.pop())) if waiting else None)
    await journal.run(writing(Put(operation())))
    await journal.run(writing(Put(operation())))
    found = (await journal.run(reading(operations="open"))).operations
    assert sorted(one.id for one in found) == ["one", "rider"]


async def test_what_was_counted_is_taken_back_for_one_operation_alone(journal: SQLiteJournal) -> None:
    await journal.run(writing(Grant(10.0, 1, 500, "one"), Grant(20.0, 1, 700, "two"), Grant(90_000.0, 0, 30, "")))
    spending = (await journal.run(reading(spending=True))).spending
    assert (spending.keys, spending.units) == (2, 1230)
    assert spending.recent == ((90_000.0, 0, 30),), "entries older than the longest window are only summed up"
    await journal.run(writing(DropGrants("one")))
    assert (await journal.run(reading(spending=True))).spending.units == 730


async def test_a_lease_of_a_key_is_one_servers(journal: SQLiteJournal) -> None:
    await journal.run(writing(PutKeyLease(1, KeyLease("me", 5.0))))
    assert (await journal.run(reading(key_id=1, key_lease=True))).key_lease == KeyLease("me", 5.0)
    assert (await journal.run(reading(key_id=2, key_lease=True))).key_lease is None
    await journal.run(writing(PutKeyLease(1, None)))
    assert (await journal.run(reading(key_id=1, key_lease=True))).key_lease is None


async def test_a_confirmation_serves_once(journal: SQLiteJournal) -> None:
    assert await journal.run(using_nonce("n", 5.0))
    assert not await journal.run(using_nonce("n", 6.0))
    assert await journal.run(using_nonce("m", 6.0))


async def test_servers_share_the_calls_of_an_api_and_never_have_more_together(journal: SQLiteJournal) -> None:
    async def take(
        server: str, ahead: int, now: float = 0.0, origin: str = "https://x", made: tuple[Counted, ...] = ()
    ) -> int:
        step = taking_share(origin, server, ahead=ahead, made=made, most=100, now=now)
        return (await journal.run(step)).ahead

    assert await take("one", 60) == 60
    assert await take("two", 60) == 40
    assert await take("three", 60) == 0
    assert await take("two", 10) == 10, "what is not needed is given back"
    assert await take("three", 60) == 30
    assert await take("three", 60, origin="https://y") == 60
    assert await take("two", 100, now=209.0) == 10
    assert await take("two", 100, now=211.0) == 100, "what a server that died had is free again"
    assert await take("two", 10, now=300.0, made=(Counted(10, 20), Counted(20, 170))) == 10
    assert await take("one", 100, now=319.0) == 60
    assert await take("one", 100, now=321.0) == 70, "the calls that were made first count no more"
    assert await take("two", 0, now=322.0, made=(Counted(20, 148),)) == 0
    taken = await journal.run(taking_share("https://x", "one", ahead=100, made=(), most=100, now=323.0))
    assert (taken.ahead, taken.others) == (80, (Counted(20, 147.0),)), "what was made is not given back"


# Several servers, and other programs.


async def test_two_servers_never_decide_on_the_same_state(tmp_path: Path) -> None:
    servers = [SQLiteJournal(tmp_path / "journal.sqlite3") for _ in range(3)]
    given: list[int] = []

    def decide(rows: Rows) -> Decision[int]:
        return Decision(rows.spending.keys, [Grant(1.0, 1, 0, "")])

    async def use(server: SQLiteJournal) -> None:
        for _ in range(10):
            keys = await server.run(Step(Reads(ACCOUNT, spending=True), decide, durable=False))
            given.append(keys)

    async with anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(use, server)
    for server in servers:
        server.close()
    assert sorted(given) == list(range(30))


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


_LOOK = (
    "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); "
    "print([id for (id,) in db.execute('SELECT id FROM operation ORDER BY id')]); db.close()"
)


async def test_what_one_of_two_in_a_process_writes_is_not_lost_when_another_program_closes_the_file(
    tmp_path: Path,
) -> None:
    def seen_by_another_program() -> str:
        return subprocess.run(
            [sys.executable, "-c", _LOOK, str(path)], capture_output=True, text=True, check=True
        ).stdout.strip()

    path = tmp_path / "journal.sqlite3"
    with closing(SQLiteJournal(path)) as one, closing(SQLiteJournal(path)) as other:
        await one.run(writing(Put(operation("one"))))
        await other.run(writing(Put(operation("two"))))
        assert seen_by_another_program() == "['one', 'two']"
        await one.run(writing(Put(operation("three"))))
        assert seen_by_another_program() == "['one', 'three', 'two']"
    assert seen_by_another_program() == "['one', 'three', 'two']"


@pytest.mark.parametrize("size", [1, 2, 15, 16, 100, 5000])
async def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path, size: int) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\n" * size)
    with closing(SQLiteJournal(path)) as journal, pytest.raises(JournalError, match="is no journal of cometapi-mcp"):
        await journal.run(writing())
    assert (os.listdir(tmp_path), path.read_bytes()) == (["notes.txt"], b"\n" * size)  # noqa: PTH208


@pytest.mark.parametrize(
    "made", ['CREATE TABLE "\xff" (x)', "CREATE VIEW theirs AS SELECT 1", "CREATE TABLE audit (x)"]
)
async def test_another_programs_database_is_told_as_that(tmp_path: Path, made: str) -> None:
    path = tmp_path / "theirs.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute(made)
    content = path.read_bytes().replace("\xff".encode(), b"\xff\xfe")  # a name that is no text
    path.write_bytes(content)
    with closing(SQLiteJournal(path)) as journal, pytest.raises(JournalError, match="is no journal of cometapi-mcp"):
        await journal.run(writing())
    assert path.read_bytes() == content


async def test_a_file_that_may_not_be_written_serves_again_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.sqlite3"
    with closing(SQLiteJournal(path)) as journal:
        await journal.run(writing())
        journal.close()
        with monkeypatch.context() as denied:
            denied.setattr(os, "access", lambda *_: False)  # whoever runs the tests may write everything
            with pytest.raises(JournalError, match="can't be opened for writing"):
                await journal.run(writing())
        assert os.listdir(tmp_path) == ["journal.sqlite3"]  # noqa: PTH208
        await journal.run(writing())


async def test_a_file_that_another_program_locks_for_a_moment_is_waited_for(journal: SQLiteJournal) -> None:
    await journal.run(writing(Put(operation())))
    async with locked(journal.path) as other:
        threading.Timer(0.3, other.rollback).start()
        assert len((await journal.run(reading(operations="open"))).operations) == 1


async def test_a_file_that_stays_locked_is_told_and_who_waited_behind_does_not_wait_as_long_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comet_mcp.journal.sqlite._LOCK_WAIT", 0.4)
    journal = SQLiteJournal(tmp_path / "journal.sqlite3")
    await journal.run(writing(Put(operation())))
    said: list[JournalError] = []

    async def use() -> None:
        with pytest.raises(JournalError, match="locked by another program") as raised:
            await journal.run(writing(Put(operation())))
        said.append(raised.value)

    async with locked(journal.path), anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(use)
    assert len(said) == 5
    assert len({id(error) for error in said}) == 1, "they were told of one waiting"
    await journal.run(writing(Put(operation())))
    journal.close()


if sys.platform != "win32":  # which neither deletes nor replaces a file that is open

    async def test_a_file_that_was_deleted_or_replaced_is_refused_until_it_is_there_again(
        journal: SQLiteJournal,
    ) -> None:
        await journal.run(writing(Put(operation())))
        away = journal.path.with_name("away")
        journal.path.rename(away)
        for spoil in (lambda: None, lambda: journal.path.write_bytes(b""), lambda: journal.path.write_text("else")):
            spoil()
            with pytest.raises(JournalError, match="deleted or replaced meanwhile") as raised:
                await journal.run(writing(Put(operation("two"))))
            assert raised.value.code == "journal_replaced"
            assert "Put the file back, or restart the client to begin a new one" in str(raised.value)
        assert await journal.exists(), "or a list would not look for what is open"
        away.rename(journal.path)
        assert [one.id for one in (await journal.run(reading(operations="open"))).operations] == ["one"]

    async def test_a_journal_that_was_copied_over_is_another_file(journal: SQLiteJournal, tmp_path: Path) -> None:
        await journal.run(writing(Put(operation())))
        other = SQLiteJournal(tmp_path / "other.sqlite3")
        await other.run(writing(Put(operation("two"))))
        other.close()
        other.path.replace(journal.path)
        with pytest.raises(JournalError, match="deleted or replaced"):
            await journal.run(reading(operations="open"))

    @pytest.mark.parametrize("audit", ["on", "required", "off"])
    async def test_with_its_journal_gone_a_server_changes_nothing_and_goes_on_reading(
        make_home: MakeHome, audit: str
    ) -> None:
        home = make_home(COMETAPI_MCP_AUDIT=audit, COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="2")
        row = home.sandbox.add_key("before", remain_quota=5)
        writes: dict[str, dict[str, Any]] = {
            "create_api_key": {"name": "x", "remain_quota": 5},
            "rotate_api_key": {"id": row.id},
            "update_api_key": {"id": row.id, "add_budget_usd": 1},
            "delete_api_key": {"id": row.id},
        }
        async with served(home) as client:
            data_of(await client.call_tool("create_api_key", writes["create_api_key"]))
            away = [
                (path, path.rename(home.directory / path.name)) for path in home.state.parent.glob("journal.sqlite3*")
            ]
            codes = {}
            for tool, arguments in writes.items():
                result = await client.call_tool(tool, arguments)
                codes[tool] = code_of(result)
                if result.is_error:
                    assert "was deleted or replaced meanwhile" in error_of(result)
            expected = "audit_unavailable" if audit == "required" else "journal_replaced"
            if audit == "off":
                codes.pop("delete_api_key"), codes.pop("update_api_key")  # they need no journal without a trail
            assert set(codes.values()) == {expected}, codes
            assert not home.state.exists()
            assert data_of(await client.call_tool("list_api_keys"))["total"] >= 1
            for there, path in away:
                path.rename(there)
            assert code_of(await client.call_tool("create_api_key", writes["create_api_key"])) == ""
            assert code_of(await client.call_tool("create_api_key", {"name": "y", "remain_quota": 5})) == "policy"

    def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
        journal = SQLiteJournal(tmp_path / "state" / "journal.sqlite3")
        anyio.run(journal.run, writing(Put(operation())))
        for path in (journal.path, *journal.path.parent.glob("*-wal")):
            assert path.stat().st_mode & 0o077 == 0
        assert journal.path.parent.stat().st_mode & 0o077 == 0
        journal.close()


async def test_a_step_that_is_durable_is_synced_and_one_that_is_not_is_left_to_the_next(
    journal: SQLiteJournal,
) -> None:
    for durable, level in ((True, 2), (False, 1)):
        await journal.run(writing(Put(operation()), durable=durable))
        assert journal._db is not None
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (level,)
    await journal.run(writing(Put(operation()), durable=False), chain.appending({"kind": "begin"}, durable=True))
    assert journal._db is not None
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_nothing_is_made_before_the_first_step(tmp_path: Path) -> None:
    for used in (False, True):
        journal = SQLiteJournal(tmp_path / "state" / "journal.sqlite3")
        assert not await journal.exists()
        if used:
            await journal.run(reading())
            assert await journal.exists()
        journal.close()
        assert journal.path.exists() is used


async def test_those_who_ask_at_once_whether_there_is_a_file_share_one_look(tmp_path: Path) -> None:
    looks: list[Path] = []

    class Watched(type(tmp_path)):  # type: ignore[misc]
        def exists(self) -> bool:
            looks.append(self)
            return bool(super().exists())

    journal = SQLiteJournal(Watched(tmp_path / "journal.sqlite3"))
    assert not any(await together(*[journal.exists] * 20))
    assert len(looks) <= 2
    (tmp_path / "journal.sqlite3").touch()
    assert await journal.exists()


async def test_who_asks_whether_there_is_a_file_is_not_answered_by_a_look_that_had_begun_before(tmp_path: Path) -> None:
    begun, released = threading.Event(), threading.Event()

    class Slow(type(tmp_path)):  # type: ignore[misc]
        def exists(self) -> bool:
            found = bool(super().exists())
            begun.set()
            return released.wait(30) and found

    journal, found = SQLiteJournal(Slow(tmp_path / "journal.sqlite3")), dict[str, bool]()

    async def ask(name: str) -> None:
        found[name] = await journal.exists()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "before")
        await until(begun.is_set)
        (tmp_path / "journal.sqlite3").touch()  # by another server
        tasks.start_soon(ask, "after")
        await anyio.wait_all_tasks_blocked()
        released.set()
    assert found == {"before": False, "after": True}


async def test_who_is_cancelled_takes_nobody_along_who_waits_behind(journal: SQLiteJournal) -> None:
    await journal.run(using_nonce("first", 0.0))
    given: list[bool] = []

    async def use(nonce: str) -> None:
        given.append(await journal.run(using_nonce(nonce, 0.0)))

    async with journal._one_at_a_time, anyio.create_task_group() as group:
        leader = anyio.CancelScope()

        async def leading() -> None:
            with leader:
                await use("leader")

        group.start_soon(leading)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(use, "follower")
        await anyio.wait_all_tasks_blocked()
        journal._one_at_a_time.release()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        await journal._one_at_a_time.acquire()
    assert given == [True]
