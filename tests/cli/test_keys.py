"""`cometapi-mcp keys`: lists and dialogues of a person in a terminal, on the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from comet_mcp.cli.tables import width_of
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.key import Status
from tests.cli.terminal import in_terminal
from tests.services.spend import exported
from tests.services.test_pace import used_steadily
from tests.support import Home, in_process

DAY = 86_400
JAPANESE = "日本語の名前とても長い鍵の名前です"
HOSTILE = "evil\x1b[31m\u202etxt\nnew\tline"


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    return make_home(COMETAPI_MCP_TIMEZONE="Asia/Tokyo")


@pytest.fixture
def many(home: Home) -> Home:
    """A key in each state, and of names that move a terminal's columns apart."""
    now, add = int(SYSTEM.now()), home.sandbox.add_key
    add("blog summariser", remain_quota=1_250_000, used_quota=1_250_000, expired_time=now + 29 * DAY + 500)
    add(JAPANESE, remain_quota=2_500_000, model_limits_enabled=True, model_limits="gpt-4.1-mini,gpt-4.1")
    add(HOSTILE, remain_quota=100_000, used_quota=2_400_000)
    add("all of it", unlimited_quota=True)
    add("off", remain_quota=500_000, status=Status.DISABLED)
    add("spent", remain_quota=0, used_quota=500_000)
    add("old", remain_quota=500_000, expired_time=now - 3 * DAY)
    return home


def keys(home: Home, *arguments: str, columns: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return in_process("keys", *arguments, environment=home.environment, columns=columns, stdin=stdin)


def records(home: Home) -> list[tuple[int, int, int]]:
    """What of the account's keys a command may change."""
    return [(row.id, row.status, row.remain_quota) for row in home.sandbox.keys]


@pytest.mark.parametrize("columns", [60, 80, 100, 140, 200])
def test_the_list_fits_the_terminal_whatever_the_names_are(many: Home, columns: int) -> None:
    shown = keys(many, columns=columns)
    assert (shown.returncode, shown.stderr) == (0, "7 keys.\n")
    lines = shown.stdout.splitlines()
    assert len(lines) == 8
    assert max(map(width_of, lines)) <= columns
    assert all(char.isprintable() or char == "\n" for char in shown.stdout)
    assert all(word in lines[7] for word in ("works", "$2.50 / $5.00", "in 29 days"))
    assert [word in shown.stdout for word in ("BUDGET", "MODELS", "ENDS AT")] == [
        columns >= 80,
        columns >= 100,
        columns >= 120,
    ]
    assert ("████░░░░" in lines[7]) == (columns >= 80)


def test_a_pipe_gets_plain_columns_with_every_fact_and_no_control_character(many: Home) -> None:
    shown = keys(many)
    lines = shown.stdout.splitlines()
    assert shown.stderr == "7 keys.\n"
    assert all(char.isprintable() or char == "\n" for char in shown.stdout)
    assert lines[0].split() == ["id", "name", "state", "left", "spent", "ends", "at", "models"]
    starts = {width_of(line[: line.index("$0.00") if "$0.00" in line else 0]) for line in lines[1:4]}
    assert len(starts) <= 2
    assert r"evil\u001b[31m\u202etxt\nnew\tline" in shown.stdout
    assert "gpt-4.1-mini, gpt-4.1" in shown.stdout


def test_the_list_of_a_program_has_each_field_of_each_key(many: Home) -> None:
    data = json.loads(keys(many, "--json").stdout)
    assert (data["total"], [key["id"] for key in data["keys"]]) == (7, [7, 6, 5, 4, 3, 2, 1])
    assert data["keys"][4]["name"] == HOSTILE
    assert {"state", "ends", "budget", "spent", "last_used", "models", "addresses", "group"} <= data["keys"][0].keys()


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--state", "used-up"], [6]),
        (["--state", "disabled"], [5]),
        (["--unlimited"], [4]),
        (["--search", "blog"], [1]),
        (["--ends-before", "end of next year"], [1]),
        (["--sort", "spent", "--limit", "2"], [3, 1]),
        (["--limit", "3"], [7, 6, 5]),
    ],
)
def test_the_list_has_the_filters_of_the_tool(many: Home, filters: list[str], ids: list[int]) -> None:
    assert [key["id"] for key in json.loads(keys(many, *filters, "--json").stdout)["keys"]] == ids


def test_more_keys_than_a_page_has_are_all_listed_where_that_is_asked_for(home: Home) -> None:
    for number in range(230):
        home.sandbox.add_key(f"key {number}", remain_quota=500_000)
    assert keys(home).stderr == "100 of 230 keys. --limit 230 shows all.\n"
    everything = json.loads(keys(home, "--limit", "230", "--json").stdout)["keys"]
    assert [key["id"] for key in everything] == list(range(230, 0, -1))


def test_an_account_without_keys_is_told_how_to_make_one(home: Home) -> None:
    assert keys(home).stderr == "The account has no API keys. To make one: cometapi-mcp keys new NAME\n"
    assert keys(home, "--state", "expired").stderr == "No key is so.\n"


def test_no_color_is_minded_and_colour_is_else_used(many: Home) -> None:
    coloured = {"TERM": "xterm-256color"}
    environment = many.environment | coloured
    assert "\x1b[" in in_process("keys", environment=environment, columns=80).stdout
    plain = in_process("keys", environment=environment | {"NO_COLOR": "1"}, columns=80).stdout
    assert "\x1b[3" not in plain
    assert "works" in plain


def test_a_terminal_without_unicode_is_drawn_in_ascii(many: Home) -> None:
    shown = in_process("keys", environment=many.environment, columns=80, encoding="ascii")
    assert shown.returncode == 0
    assert "####----" in shown.stdout


def test_a_key_is_shown_with_when_it_runs_out_at_the_pace_of_its_last_days(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    exported(home.sandbox)
    used_steadily(home.sandbox, age=20 * DAY, every=DAY / 4, units=50_000, left=600_000)
    (line,) = [line for line in keys(home, "show", "busy").stdout.splitlines() if line.startswith("runs out")]
    assert re.fullmatch(r"runs out +about \d{4}-\d\d-\d\d \d\d:00 \(in [23] days\) at \$0\.40 a day", line)


def test_one_key_is_shown_with_its_times_in_the_persons_zone_and_no_value(many: Home) -> None:
    shown = keys(many, "show", "blog summariser", columns=80)
    assert "(in 29 days)" in shown.stdout
    assert "$2.50 of $5.00 left  ████░░░░" in shown.stdout
    assert many.sandbox.keys[0].key not in shown.stdout + keys(many, "show", "1", "--json").stdout


def test_an_answer_without_a_list_is_not_told_as_an_account_without_keys(many: Home) -> None:
    many.sandbox.faults.add("list", "echo_after", times=9)
    shown = keys(many)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "no API keys" not in shown.stderr


def test_a_new_key_is_planned_from_words_shown_and_made_once_the_person_agrees(home: Home) -> None:
    answers = "until Friday\n$5\ny\n"
    done = keys(home, "new", "shop bot", "--models", "gpt 4.1 mini", columns=80, stdin=answers)
    (row,) = home.sandbox.keys
    assert (row.name, row.remain_quota, row.model_limits) == ("shop bot", 2_500_000, "gpt-4.1-mini")
    assert '"gpt 4.1 mini" is the model "gpt-4.1-mini".' in done.stderr
    assert "Make this key? [y/N]" in done.stderr
    assert "cometapi-mcp run 'shop bot' -- PROGRAM" in done.stdout
    (file,) = home.key_files
    assert str(file) in done.stdout
    assert row.key not in done.stdout + done.stderr


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_a_new_key_that_the_person_does_not_want_is_not_made(home: Home, answer: str) -> None:
    done = keys(home, "new", "x", "--budget", "5", "--lifetime", "2h", columns=80, stdin=answer)
    assert done.returncode == 1
    assert "Nothing was done." in done.stderr
    assert home.sandbox.keys == []


def test_a_script_makes_a_key_with_yes_and_is_told_what_is_open_without_it(home: Home) -> None:
    wish = ["new", "ci", "--budget", "2", "--lifetime", "2h"]
    assert "Nobody can be asked here, so nothing was done. --yes does it unasked." in keys(home, *wish).stderr
    assert "How long shall the key live" in keys(home, "new", "ci", "--budget", "2", "--yes").stderr
    assert home.sandbox.keys == []
    data = json.loads(keys(home, *wish, "--yes", "--json").stdout)
    assert (data["name"], [row.id for row in home.sandbox.keys]) == ("ci", [data["id"]])


@pytest.mark.parametrize("option", ["--models", "--ips"])
@pytest.mark.parametrize("nothing", ["", " ", ","])
def test_a_limit_that_names_nothing_makes_and_changes_no_key(home: Home, option: str, nothing: str) -> None:
    home.sandbox.add_key("old", remain_quota=500_000)
    for words in (["new", "x", "--budget", "5", "--lifetime", "2h"], ["update", "old", "--add-budget", "1"]):
        done = keys(home, *words, option, nothing, "--yes")
        assert (done.returncode, f"'{option}': It names nothing." in done.stderr) == (2, True)
    assert records(home) == [(1, Status.ENABLED, 500_000)]


def test_a_value_is_never_printed_whatever_the_settings_are_for_agents(home: Home) -> None:
    home.extra["COMETAPI_MCP_SECRETS"] = "result"
    done = keys(home, "new", "x", "--budget", "5", "--lifetime", "2h", "--yes", "--json")
    (row,) = home.sandbox.keys
    assert done.returncode == 0
    assert row.key not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["delete", "off"],
        ["rotate", "all of it"],
        ["update", "all of it", "--disable"],
        ["update", "off", "--budget", "9"],
    ],
    ids=lambda words: words[0],
)
def test_what_takes_something_away_or_spends_is_asked_first(many: Home, command: list[str]) -> None:
    before = records(many)
    declined = keys(many, *command, columns=80, stdin="n\n")
    assert (declined.returncode, declined.stdout) == (1, "")
    assert "[y/N]" in declined.stderr
    assert "Nothing was done." in declined.stderr
    assert "client declined" not in declined.stderr
    unasked = keys(many, *command)
    assert unasked.returncode == 1
    assert "--yes" in unasked.stderr
    assert records(many) == before
    assert keys(many, *command, columns=80, stdin="y\n").returncode == 0
    assert records(many) != before


def test_a_persons_quick_no_is_no_clients_in_the_trail(many: Home) -> None:
    keys(many, "delete", "off", columns=80, stdin="n\n")
    trail = in_process("audit", "--json", environment=many.environment).stdout
    assert json.loads(trail.splitlines()[-1])["confirmation"] == "unticked"


@pytest.mark.parametrize(
    ("calls", "fault", "said"),
    [(["reveal", "reveal_batch"], "status", "was left as it is"), (["update"], "refused", "could not be ended")],
)
def test_a_rotation_that_is_not_finished_fails_and_says_what_is_left(
    calls: list[str], fault: str, said: str, make_home: Callable[..., Home]
) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.add_key("shop", remain_quota=500_000)
    for call in calls:
        home.sandbox.faults.add(call, fault, times=9)
    done = keys(home, "rotate", "shop", "--yes", "--json")
    assert done.returncode == 1
    assert said in " ".join(json.loads(done.stdout)["warnings"])
    home.sandbox.faults.clear()
    assert keys(home, "rotate", "1", "--yes", "--json").returncode == 0


def test_a_deleted_key_is_gone_and_a_rotated_one_has_a_successor(many: Home) -> None:
    assert keys(many, "delete", "off", "--yes").stdout == 'Key 5 "off" was deleted.\n'
    done = keys(many, "rotate", "blog summariser", "--old", "disable", "--yes")
    assert "Key 8 was made with the same scope." in done.stdout
    assert "cometapi-mcp run 'blog summariser' -- PROGRAM" in done.stdout
    assert [row.status for row in many.sandbox.keys if row.name == "blog summariser"] == [2, 1]
    assert all(row.name != "off" for row in many.sandbox.keys)


def test_a_new_name_and_enabling_ask_nothing(many: Home) -> None:
    done = keys(many, "update", "off", "--name", "on", "--enable")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        'Key 5 "on" was changed.',
        'name   "off" -> "on"',
        "state  disabled -> works",
    ]


def test_a_check_has_the_verdict_for_its_status_and_the_command_that_fixes(many: Home) -> None:
    done = keys(many, "verify", "off", columns=80)
    assert done.returncode == 1
    assert "It is disabled. Run `cometapi-mcp keys update` with --enable." in done.stdout
    assert keys(many, "verify", "all of it").returncode == 0


def test_a_value_goes_into_a_programs_file_once_the_person_agrees(many: Home) -> None:
    path = many.directory / ".env"
    done = keys(many, "save", "all of it", "--file", ".env", columns=80, stdin="y\n")
    assert done.returncode == 0
    assert "[y/N]" in done.stderr
    assert path.read_text() == f"COMETAPI_KEY=sk-{many.sandbox.keys[3].key}\n"
    assert many.sandbox.keys[3].key not in done.stdout


def test_errors_name_commands_and_no_tool(many: Home) -> None:
    missing = keys(many, "show", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == (
        'cometapi-mcp keys show: No API key is named "nobody". Run `cometapi-mcp keys` to see the names.\n'
    )
    many.extra["COMETAPI_MCP_READ_ONLY"] = "1"
    refused = keys(many, "new", "x", "--budget", "5", "--lifetime", "2h", "--yes")
    assert refused.stderr == (
        "cometapi-mcp keys new: The settings do not allow this (COMETAPI_MCP_READ_ONLY). Nothing was done.\n"
    )


def test_without_a_token_a_person_is_led_to_login(home: Home) -> None:
    done = in_process("keys", environment=home.environment | {"COMETAPI_ACCESS_TOKEN": ""})
    assert done.returncode == 1
    assert "run `cometapi-mcp login`" in done.stderr


def test_the_policy_and_the_trail_hold_for_a_person_too(home: Home) -> None:
    home.extra["COMETAPI_MCP_POLICY_MAX_BUDGET_USD"] = "1"
    refused = keys(home, "new", "x", "--budget", "5", "--lifetime", "2h", "--yes")
    assert "The policy does not allow this key, and nothing was made." in refused.stderr
    assert keys(home, "new", "x", "--budget", "1", "--lifetime", "2h", "--yes").returncode == 0
    (entry,) = in_process(
        "audit", "--json", "--tool", "create_api_key", environment=home.environment
    ).stdout.splitlines()[-1:]
    assert json.loads(entry)["client"].startswith("cometapi-mcp in a terminal")
    assert json.loads(entry)["outcome"] == "ok"


if sys.platform != "win32":

    @pytest.mark.long
    def test_ctrl_c_at_a_question_stops_with_one_line_and_changes_nothing(many: Home) -> None:
        answers = [("[y/N] ", "\x03")]
        status, screen = in_terminal("keys", "delete", "off", environment=many.environment, answers=answers)
        assert status == 130
        assert screen.splitlines()[-1] == "Stopped."
        assert "Traceback" not in screen
        assert [row.name for row in many.sandbox.keys if row.id == 5] == ["off"]
