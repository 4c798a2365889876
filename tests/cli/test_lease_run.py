"""`cometapi-mcp run --lease`: a program with a key of its own, which is gone when the program is."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import pytest

from comet_mcp.cli.program import Signals
from tests.support import Home, in_process

MakeHome = Callable[..., Home]
PYTHON = sys.executable
SHOW = "import json, os, sys; json.dump([sys.argv[2:], dict(os.environ)], open(sys.argv[1], 'w'))"
CHAT = """
import json, os, urllib.request as u
tokens = {"sandbox_prompt_tokens": 1000, "sandbox_completion_tokens": 500}
body = {"model": "gpt-4o", "messages": [], "metadata": tokens}
request = u.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode())
request.add_header("Authorization", "Bearer " + os.environ["OPENAI_API_KEY"])
request.add_header("Content-Type", "application/json")
u.urlopen(request).read()
"""
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    return make_home()


@pytest.fixture(params=["documented", "gateway"])
def either(request: pytest.FixtureRequest, make_home: MakeHome) -> Home:
    return make_home(dialect=request.param)


def run(home: Home, *words: str, lease: str = "15m", budget: str = "0.50") -> subprocess.CompletedProcess[str]:
    """The command in this process; the program that it starts is a real one."""
    return in_process("run", "--lease", lease, "--budget", budget, *words, environment=home.environment)


def run_show(home: Home, *options: str, **limits: str) -> tuple[list[str], dict[str, str], dict[str, Any]]:
    """What a program was given: its arguments, its environment, and the API's row of its key."""
    shown = home.directory / "shown"
    rows: list[dict[str, Any]] = []
    record = home.sandbox.account.record

    def noted(row: Any) -> dict[str, Any]:
        rows.append(record(row))
        return rows[-1]

    home.sandbox.account.record = noted  # type: ignore[method-assign]
    done = run(home, *options, "--", PYTHON, "-c", SHOW, str(shown), "--lease", "--", **limits)
    assert done.returncode == 0, done.stderr
    arguments, environment = json.loads(shown.read_text(encoding="utf-8"))
    return arguments, environment, rows[-1]


def leases(home: Home) -> list[tuple[str, int | None]]:
    """The state of each create with a lease, and what its key had spent."""
    query = "SELECT state, json_extract(lease, '$[2]') FROM operation WHERE lease IS NOT NULL ORDER BY begun"
    with closing(sqlite3.connect(home.state)) as db:
        return db.execute(query).fetchall()


def lock_files(home: Home) -> list[Path]:
    return list(home.state.parent.glob("*-leases/*"))


def test_the_program_has_a_key_of_its_own_with_the_limits_that_were_given(either: Home) -> None:
    other = either.sandbox.add_key("somebody's", remain_quota=5)
    options = ("--models", "gpt-4o,gpt-4.1", "--ips", "127.0.0.1, ::1", "--openai")
    arguments, environment, row = run_show(either, *options)
    assert arguments == ["--lease", "--"], "a program's own words are its own"
    assert environment["COMETAPI_KEY"] == environment["OPENAI_API_KEY"]
    assert len(environment["COMETAPI_KEY"]) == 51
    assert "COMETAPI_ACCESS_TOKEN" not in environment
    assert row["name"].startswith("run-python")
    assert (row["remain_quota"], row["unlimited_quota"]) == (250_000, False)
    assert (row["model_limits_enabled"], row["model_limits"]) == (True, "gpt-4o,gpt-4.1")
    assert row["allow_ips"] == "127.0.0.1\n::1"
    assert 900 < row["expired_time"] - time() < 970, "the lease and a minute"
    assert either.sandbox.keys == [other], "it is gone, and no other is"
    assert either.key_files == [], "its value is in no file"
    assert leases(either) == [("released", 0)]
    assert lock_files(either) == []


def test_what_the_run_spent_is_told_and_kept_in_the_journal(home: Home) -> None:
    done = run(home, "--openai", "--", PYTHON, "-c", CHAT)
    ((state, spent),) = leases(home)
    assert (done.returncode, state) == (0, "released")
    assert spent
    usd = f"${spent / 500_000:.10f}".rstrip("0")
    assert done.stderr.startswith(f'cometapi-mcp run: This run spent {usd} of $0.50; key 1 "run-python')
    assert done.stderr.endswith('" is deleted.\n')


def test_two_runs_have_two_keys(home: Home) -> None:
    keys = {run_show(home)[1]["COMETAPI_KEY"] for _ in range(2)}
    assert len(keys) == 2
    assert leases(home) == [("released", 0), ("released", 0)]


@pytest.mark.parametrize("status", [1, 3, 255])
def test_the_programs_status_is_passed_on(status: int, home: Home) -> None:
    assert run(home, "--", PYTHON, "-c", f"raise SystemExit({status})").returncode == status
    assert home.sandbox.keys == []


def test_a_program_that_is_not_there_costs_no_key(home: Home) -> None:
    done = run(home, "--", "no-such-program-anywhere")
    assert (done.returncode, done.stderr) == (
        127,
        'cometapi-mcp run: There is no program "no-such-program-anywhere".\n',
    )
    assert home.sandbox.requests == []


@needs_signals
def test_a_program_that_cannot_be_started_leaves_no_key(home: Home) -> None:
    program = home.directory / "odd"
    program.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    program.chmod(0o755)
    done = run(home, "--", str(program))
    assert done.returncode == 126
    assert "can't be started" in done.stderr
    assert home.sandbox.keys == []


def test_when_the_lease_ends_the_key_is_deleted_and_the_program_goes_on(home: Home) -> None:
    done = run(home, "--", PYTHON, "-c", "import time; time.sleep(2.5); raise SystemExit(4)", lease="1s")
    assert done.returncode == 4
    said = done.stderr.splitlines()
    assert said[0] == "cometapi-mcp run: The lease has ended; the program goes on without the key."
    assert said[1].startswith("cometapi-mcp run: This run spent $0.00 of $0.50")
    assert len(said) == 2, "the end is told once"
    assert home.sandbox.keys == []


@needs_signals
def test_the_program_ends_with_the_lease_where_that_is_wanted(home: Home) -> None:
    with started(home, "--kill", "--", PYTHON, "-c", "import time; time.sleep(60)", lease="1s") as holder:
        assert holder.wait(30) == -signal.SIGTERM
    assert home.sandbox.keys == []


def test_a_key_that_cannot_be_deleted_now_is_told_and_the_status_is_still_the_programs(home: Home) -> None:
    home.sandbox.faults.add("delete", "refused", times=9)  # who looks for what others left may come to it too
    done = run(home, "--", PYTHON, "-c", "raise SystemExit(3)")
    assert done.returncode == 3
    assert "The key of this run could not be deleted:" in done.stderr
    assert "It ends by itself at 20" in done.stderr
    assert leases(home) == [("matched", None)]
    home.sandbox.faults.clear()
    done = run(home, "--", PYTHON, "-c", "")
    assert 'Key 1 "run-python' in done.stderr
    assert "which a run left behind, is deleted. It spent $0.00." in done.stderr
    assert home.sandbox.keys == []
    assert leases(home) == [("released", 0), ("released", 0)]


@pytest.mark.parametrize("fault", ["reset_after", "status_after"])
def test_a_create_whose_answer_is_lost_is_found_all_the_same(fault: str, home: Home) -> None:
    home.sandbox.faults.add("create", fault)
    assert run_show(home)[1]["COMETAPI_KEY"]
    assert home.sandbox.count("create") == 1
    assert home.sandbox.keys == []


def test_a_key_whose_value_cannot_be_read_is_deleted_and_nothing_is_started(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("reveal", "refused", times=9)
    done = run(home, "--", PYTHON, "-c", "print('started')")
    assert done.returncode == 1
    assert done.stderr.startswith("cometapi-mcp run: ")
    assert "This run spent" not in done.stderr
    assert home.sandbox.keys == []
    assert leases(home) == [("released", 0)]


def test_a_key_that_somebody_else_deletes_is_no_failure(home: Home) -> None:
    url = f"{home.url}/api/token/1"
    code = (
        "import sys, urllib.request as u\n"
        "r = u.Request(sys.argv[1], method='DELETE'); r.add_header('Authorization', sys.argv[2]); u.urlopen(r)"
    )
    done = run(home, "--", PYTHON, "-c", code, url, home.sandbox.access_token)
    assert done.returncode == 0
    assert "Somebody else has deleted key 1" in done.stderr
    assert leases(home) == [("released", None)]


# What the operator has set.


def test_the_policy_judges_the_key(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_BUDGET_USD="0.10")
    done = run(home, "--", PYTHON, "-c", "print('started')")
    assert done.returncode == 1
    assert "max_budget_usd" in done.stderr
    assert home.sandbox.count("create") == 0
    assert lock_files(home) == []


def test_a_lease_as_long_as_the_longest_lifetime_has_no_minute_more_and_the_name_that_is_demanded(
    make_home: MakeHome,
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_LIFETIME="15 min", COMETAPI_MCP_POLICY_NAME_PREFIX="ci-")
    _, _, row = run_show(home)
    assert row["name"].startswith("ci-run-python")
    assert 880 < row["expired_time"] - time() < 902


@pytest.mark.parametrize(
    ("setting", "value"),
    [("COMETAPI_MCP_READ_ONLY", "1"), ("COMETAPI_MCP_DISABLE_TOOLS", "create_api_key,save_api_key")],
)
def test_where_no_key_may_be_made_nothing_is_asked_of_the_api(setting: str, value: str, make_home: MakeHome) -> None:
    home = make_home(**{setting: value})
    done = run(home, "--", PYTHON, "-c", "")
    assert done.returncode == 1
    assert f"No key is made here: {setting}" in done.stderr
    assert home.sandbox.requests == []


@pytest.mark.parametrize(("fallback", "status", "creates"), [("refuse", 1, 0), ("allow", 0, 1)])
def test_where_a_person_has_to_agree_and_nobody_can_be_asked_the_fallback_holds(
    fallback: str, status: int, creates: int, make_home: MakeHome
) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="writes", COMETAPI_MCP_CONFIRM_FALLBACK=fallback)
    assert run(home, "--", PYTHON, "-c", "").returncode == status
    assert home.sandbox.count("create") == creates


def test_both_writes_are_in_the_trail(home: Home) -> None:
    assert run(home, "--", PYTHON, "-c", "").returncode == 0
    query = "SELECT json_extract(entry, '$.kind') || ' ' || json_extract(entry, '$.tool') FROM audit ORDER BY id"
    with closing(sqlite3.connect(home.state)) as db:
        rows = [row for (row,) in db.execute(query)]
    assert rows == ["begin create_api_key", "end create_api_key", "begin delete_api_key", "end delete_api_key"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lease", "15m", "--budget", "1"], "The program is missing. It goes after --."),
        (["--lease", "15m", "--", "true"], "Missing option '--budget'."),
        (["--lease", "soon", "--budget", "1", "--", "true"], '"soon" is no span of time.'),
        (["--lease", "0m", "--budget", "1", "--", "true"], '"0m" is no span of time.'),
        (["--lease", "15m", "--budget", "much", "--", "true"], "Give US dollars, such as 0.50."),
        (["--lease", "15m", "--budget", "0", "--", "true"], "Give US dollars, such as 0.50."),
        (["--lease", "15m", "--budget", "1", "blog", "--", "true"], "Got unexpected extra argument (blog)"),
        (["--lease", "15m", "--budget", "1", "--models", "", "--", "true"], "'--models': It names nothing."),
        (["--lease", "15m", "--budget", "1", "--ips", " ,", "--", "true"], "'--ips': It names nothing."),
    ],
)
def test_a_wrong_command_line_is_told_what_is_wrong(words: list[str], said: str, home: Home) -> None:
    done = in_process("run", *words, environment=home.environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert home.sandbox.requests == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ips", "1.2.3"], '--ips has the entry "1.2.3", which is no IP address or range.'),
        (["--models", "a b"], '--models has the entry "a b", which is no model id'),
    ],
)
def test_limits_that_are_none_make_no_key(options: list[str], said: str, home: Home) -> None:
    done = run(home, *options, "--", PYTHON, "-c", "")
    assert done.returncode == 1
    assert said in done.stderr
    assert home.sandbox.count("create") == 0


# Signals, for which the command is a process of its own.


@contextmanager
def started(home: Home, *words: str, lease: str = "15m", **options: Any) -> Iterator[subprocess.Popen[str]]:
    command = [PYTHON, "-m", "comet_mcp", "run", "--lease", lease, "--budget", "0.50", *words]
    with subprocess.Popen(command, env=home.environment, text=True, stderr=subprocess.PIPE, **options) as holder:
        try:
            yield holder
        finally:
            holder.kill()


def until(happened: Callable[[], bool]) -> None:
    end = monotonic() + 30
    while not happened():
        assert monotonic() < end, "it has not happened"
        sleep(0.02)


TRAP = """
import pathlib, signal, sys, time
def came(number, frame):
    sys.exit(40 + number)
signal.signal(int(sys.argv[2]), came)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


@needs_signals
@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.long)])
def test_a_signal_is_the_programs_and_the_key_is_deleted_after_it(name: str, home: Home) -> None:
    number, ready = getattr(signal, name), home.directory / "ready"
    with started(home, "--", PYTHON, "-c", TRAP, str(ready), str(int(number)), start_new_session=True) as holder:
        until(ready.exists)
        assert len(home.sandbox.keys) == 1
        holder.send_signal(number)
        assert holder.wait(30) == 40 + number
    assert home.sandbox.keys == []


@pytest.mark.long
@needs_signals
def test_a_program_that_ends_by_a_signal_ends_the_command_by_the_same(home: Home) -> None:
    with started(home, "--", PYTHON, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)") as holder:
        assert holder.wait(30) == -signal.SIGTERM
        assert holder.stderr
        assert "This run spent $0.00" in holder.stderr.read()
    assert home.sandbox.keys == []


@pytest.mark.long
@needs_signals
def test_a_signal_before_the_program_starts_ends_the_run_without_a_key(home: Home) -> None:
    home.sandbox.faults.add("create", "latency", value=3)
    with started(home, "--", PYTHON, "-c", "print('started')", stdout=subprocess.PIPE) as holder:
        until(lambda: home.sandbox.count("create") > 0)
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(30) == -signal.SIGTERM
        assert holder.stdout
        assert holder.stdout.read() == ""
    assert home.sandbox.keys == []


@pytest.mark.long
@needs_signals
def test_a_terminal_that_is_closed_leaves_no_key(home: Home) -> None:
    import pty  # noqa: PLC0415 - Windows has none

    ready = home.directory / "ready"
    code = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    words = ["run", "--lease", "15m", "--budget", "0.50", "--", PYTHON, "-c", code, str(ready)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(PYTHON, [PYTHON, "-m", "comet_mcp", *words], home.environment)  # noqa: S606
    until(ready.exists)
    assert len(home.sandbox.keys) == 1
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGHUP
    assert home.sandbox.keys == []


@needs_signals
def test_what_was_ignored_at_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.ending == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
