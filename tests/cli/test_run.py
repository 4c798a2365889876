"""`cometapi-mcp run`: a program with a key in its environment."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any
from unittest import mock

import anyio
import pytest

from comet_mcp.errors import StoreError
from comet_mcp.secret_store.files import FileStore
from tests.e2e.life import connected, full_key
from tests.support import Home, data_of, in_process

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """One dialect: what differs between them is how the value is found."""
    return make_home()


@pytest.fixture(params=["documented", "gateway"])
def either(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    return make_home(dialect=request.param)


def run(home: Home, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The command in this process, which starts the program instead of becoming it; Windows starts it anyway."""
    if sys.platform == "win32":
        return run_alone(home, *arguments, **extra)
    done: list[subprocess.CompletedProcess[str]] = []

    def execvpe(file: str, command: list[str], environment: dict[str, str]) -> None:
        found = shutil.which(file, path=environment.get("PATH"))
        if found is None:
            raise FileNotFoundError(file)
        done.append(
            subprocess.run(
                [found, *command[1:]],
                capture_output=True,
                check=False,
                encoding="utf-8",
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        )
        raise SystemExit(done[0].returncode)

    with mock.patch("os.execvpe", execvpe), mock.patch("signal.signal"):
        said = in_process("run", *arguments, environment={**home.environment, **extra})
    out, err = (done[0].stdout, done[0].stderr) if done else ("", "")
    return subprocess.CompletedProcess(arguments, said.returncode, said.stdout + out, said.stderr + err)


async def beside(home: Home, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The same while an event loop runs."""
    return await anyio.to_thread.run_sync(lambda: run(home, *arguments, **extra))


def run_alone(home: Home, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, where that is the point."""
    return subprocess.run(
        [sys.executable, "-m", "comet_mcp", "run", *arguments],
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        env={**home.environment, **extra},
        stdin=subprocess.DEVNULL,
        timeout=30,
    )


def shown(done: subprocess.CompletedProcess[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment that the program got."""
    assert (done.returncode, done.stderr) == (0, "")
    arguments, environment = json.loads(done.stdout)
    return arguments, environment


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_program_gets_the_key_named_by_its_id_or_its_name(by: str, either: Home) -> None:
    full_key(either.sandbox, name="other")
    row = full_key(either.sandbox, name="blog summariser")
    wanted = str(row.id) if by == "id" else "blog summariser"
    _, environment = shown(run(either, wanted, "--", sys.executable, "-c", SHOW))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert "OPENAI_API_KEY" not in environment
    assert "OPENAI_BASE_URL" not in environment


def test_with_the_openai_flag_its_two_variables_are_set_too(home: Home) -> None:
    row = full_key(home.sandbox)
    _, environment = shown(
        run(home, "--openai", "blog", "--", sys.executable, "-c", SHOW, OPENAI_BASE_URL="http://127.0.0.1:1/other")
    )
    assert environment["COMETAPI_KEY"] == environment["OPENAI_API_KEY"] == f"sk-{row.key}"
    assert environment["OPENAI_BASE_URL"] == f"{home.url}/v1"


def test_nothing_of_the_servers_own_is_in_the_programs_environment_and_all_else_is(home: Home) -> None:
    full_key(home.sandbox)
    extra = {"MINE": "1", "COMETAPI_KEY": "an older one", "COMETAPI_MCP_PROXY": "http://me:made-up@proxy.example:1"}
    done = run(home, "blog", "--", sys.executable, "-c", SHOW, **extra)
    _, environment = shown(done)
    assert not [name for name in environment if name.startswith(("COMETAPI_MCP_", "COMETAPI_ACCESS_TOKEN"))]
    assert home.sandbox.access_token not in done.stdout
    assert "made-up" not in done.stdout
    assert environment["MINE"] == "1"
    assert environment["COMETAPI_BASE_URL"] == home.url
    assert environment["COMETAPI_KEY"] != "an older one"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-x", "--openai", "--help"],
        ["a b", "", "*", "$HOME", "'"],
        ["run", "--", "more", "--", "-1"],
        ["--"],
    ],
)
def test_the_programs_own_arguments_reach_it_as_they_are(arguments: list[str], home: Home) -> None:
    full_key(home.sandbox)
    given, environment = shown(run(home, "blog", "--", sys.executable, "-c", SHOW, *arguments))
    assert given == arguments
    assert "OPENAI_API_KEY" not in environment


@pytest.mark.parametrize("name", ["two words", "鍵🔑", "²", "0x1", "a--b"])
def test_a_key_of_an_unusual_name_is_found(name: str, home: Home) -> None:
    row = full_key(home.sandbox, name=name)
    assert shown(run(home, name, "--", sys.executable, "-c", SHOW))[1]["COMETAPI_KEY"] == f"sk-{row.key}"


def test_a_name_that_looks_like_an_option_can_follow_two_dashes_of_its_own(home: Home) -> None:
    row = full_key(home.sandbox, name="--odd")
    given, environment = shown(run(home, "--", "--odd", "--", sys.executable, "-c", SHOW, "--", "x"))
    assert (given, environment["COMETAPI_KEY"]) == (["--", "x"], f"sk-{row.key}")


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_programs_exit_status_is_passed_on(status: int, home: Home) -> None:
    full_key(home.sandbox)
    assert run(home, "blog", "--", sys.executable, "-c", f"raise SystemExit({status})").returncode == status


def test_a_program_that_is_not_there_is_status_127_and_the_value_is_not_told(home: Home) -> None:
    row = full_key(home.sandbox)
    done = run(home, "blog", "--", "no-such-program-anywhere")
    assert done.returncode == 127
    assert "no-such-program-anywhere" in done.stderr
    assert row.key not in done.stderr + done.stdout


@pytest.mark.parametrize(("wanted", "said"), [("nobody", 'No key is named "nobody"'), ("99", "No key has the id 99")])
def test_an_unknown_key_starts_nothing(wanted: str, said: str, home: Home) -> None:
    full_key(home.sandbox)
    done = run(home, wanted, "--", sys.executable, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "list_api_keys" not in done.stderr


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429])
def test_a_page_in_the_apis_place_is_no_verdict_on_the_token_or_the_key(status: int, home: Home) -> None:
    row = home.sandbox.add_key("blog")
    home.sandbox.faults.add("*", "page", times=5, value=status)
    done = run(home, f"{row.id}", "--", sys.executable, "-c", SHOW)
    assert done.returncode == 1
    assert "[" not in done.stderr  # a code is for an agent
    assert "says nothing of the access token or of a key" in done.stderr


@pytest.mark.parametrize("old_key", ["grace", "disable"])
async def test_after_a_rotation_the_name_is_the_new_keys_and_that_is_said(old_key: str, either: Home) -> None:
    old = full_key(either.sandbox)
    async with connected(either) as client:
        done = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": old_key}))
    new = done["new_key"]["id"]
    ran = await beside(either, "blog", "--", sys.executable, "-c", SHOW)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)[1]["COMETAPI_KEY"] == f"sk-{either.sandbox.keys[-1].key}"
    assert f'2 keys are named "blog"; key {new} is taken' in ran.stderr


def test_of_several_keys_of_a_name_the_only_one_that_works_is_taken(home: Home) -> None:
    full_key(home.sandbox, status=2)
    row = full_key(home.sandbox)
    full_key(home.sandbox, remain_quota=0)
    ran = run(home, "blog", "--", sys.executable, "-c", SHOW)
    assert json.loads(ran.stdout)[1]["COMETAPI_KEY"] == f"sk-{row.key}"
    assert f"key {row.id} is taken, the only one of them that works" in ran.stderr


def test_a_name_that_two_keys_have_is_refused_with_their_ids(home: Home) -> None:
    rows = [full_key(home.sandbox), full_key(home.sandbox)]
    done = run(home, "blog", "--", sys.executable, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (1, "")
    assert '2 keys are named "blog"' in done.stderr
    assert all(str(row.id) in done.stderr.rpartition(":")[2] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "The key's name or id is missing, and so is the program."),
        (["--openai"], "The key's name or id is missing, and so is the program."),
        (["blog"], "The program is missing."),
        (["blog", "--"], "The program is missing."),
        (["--", "--odd", "--"], "The program is missing."),
        (["--"], "The key's name or id is missing."),
        (["--", "echo", "hi"], "The key's name or id is missing."),
        (["--openai", "--", "echo", "hi"], "The key's name or id is missing."),
        (["--unknown", "blog", "--", "x"], "No such option '--unknown'."),
        (["blog", "--openai", "--", "x"], "--openai goes before the name or id of the key."),
        (["blog", "--unknown", "--", "x"], 'There is no option "--unknown".'),
    ],
)
def test_a_command_line_without_key_or_program_is_told_what_is_missing_before_the_usage(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    done = in_process("run", *arguments, environment={"HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"cometapi-mcp run: {said}")
    assert "NAME-or-ID -- PROGRAM" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--openai", "--help"], ["blog", "--help"]])
def test_help_that_is_asked_for_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    done = in_process("run", *arguments, environment={"HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME-or-ID -- PROGRAM" in done.stdout


# A key whose requests will be refused.

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"status": 2}, "is disabled"),
    ({"status": 9}, "is unknown (9)"),
    ({"expired_time": 1_600_000_000}, "expired at 2020-09-13T12:26:40Z"),
    ({"status": 3}, "still has the status expired, although it has not ended"),
    ({"remain_quota": 0}, "has nothing left to spend"),
    ({"status": 4}, "still has the status exhausted, although it has something left"),
]


@pytest.mark.parametrize(("fields", "said"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_key_that_will_be_refused_is_told_of_and_the_program_is_started(
    fields: dict[str, Any], said: str, home: Home
) -> None:
    row = full_key(home.sandbox, **fields)
    for wanted in ("blog", str(row.id)):
        done = run(home, wanted, "--", sys.executable, "-c", SHOW)
        assert done.stderr == f"cometapi-mcp run: key {row.id} {said}; its requests will be refused.\n"
        assert done.returncode == 0
        assert f"sk-{row.key}" in done.stdout


async def test_a_stored_key_is_looked_up_too_where_the_api_answers(either: Home) -> None:
    async with connected(either) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
    (row,) = either.sandbox.keys
    row.status = 2
    done = await beside(either, str(key["id"]), "--", sys.executable, "-c", SHOW)
    assert done.stderr == "cometapi-mcp run: key 1 is disabled; its requests will be refused.\n"
    assert f"sk-{row.key}" in done.stdout
    either.sandbox.keys.clear()
    done = await beside(either, str(key["id"]), "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stdout) == (1, "")
    assert "This account has no key 1, so nothing was started." in done.stderr


@pytest.mark.parametrize("trouble", ["hang", "status", "page", "garbage", "reset_before", "no token"])
async def test_a_stored_key_is_used_in_silence_where_the_api_cannot_be_asked(trouble: str, home: Home) -> None:
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
    (row,) = home.sandbox.keys
    row.status = 2
    extra = {}
    if trouble == "no token":
        extra["COMETAPI_ACCESS_TOKEN"] = ""
    else:
        home.sandbox.faults.add("get", trouble, times=9)
    begun = monotonic()
    _, environment = shown(await beside(home, str(key["id"]), "--", sys.executable, "-c", SHOW, **extra))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert monotonic() - begun < 50  # one that hangs does so for 60 seconds


async def test_a_stored_value_is_used_without_revealing_it_again(either: Home) -> None:
    async with connected(either) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
    (row,) = either.sandbox.keys
    either.sandbox.requests.clear()
    _, environment = shown(await beside(either, str(key["id"]), "--", sys.executable, "-c", SHOW))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert either.sandbox.count("get") == len(either.sandbox.requests) == 1
    _, environment = shown(await beside(either, "blog", "--", sys.executable, "-c", SHOW))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert either.sandbox.count("reveal") == 0


async def _of_another_key(home: Home) -> tuple[str, Any]:
    """A gateway's database begun anew: its ids name other keys than those whose values are stored."""
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 500_000}))
    (row,) = home.sandbox.keys
    dead, row.key = row.key, row.key[::-1]
    return dead, row


def reveals(home: Home) -> int:
    with closing(sqlite3.connect(home.state)) as db:
        return int(db.execute("SELECT count(*) FROM reveal").fetchone()[0])


async def test_a_stored_value_of_another_key_is_replaced_by_the_keys_own(either: Home) -> None:
    dead, row = await _of_another_key(either)
    before = reveals(either)
    done = await beside(either, "1", "--", sys.executable, "-c", SHOW)
    assert f"sk-{row.key}" in done.stdout
    assert dead not in done.stdout
    assert done.stderr == (
        "cometapi-mcp run: the value that was stored for key 1 is another key's, and was replaced by the key's own.\n"
    )
    revealed = either.sandbox.count("reveal")
    assert reveals(either) == before + revealed - 1 if revealed else before == reveals(either)
    assert shown(await beside(either, "1", "--", sys.executable, "-c", SHOW))[1]["COMETAPI_KEY"] == f"sk-{row.key}"
    assert either.sandbox.count("reveal") == revealed
    (file,) = either.key_files
    assert (dead in file.read_text(), row.key in file.read_text()) == (False, True)


async def test_a_key_named_like_the_token_is_stored_anew_without_it(either: Home) -> None:
    _, row = await _of_another_key(either)
    row.name = f"blog {either.sandbox.access_token}"
    done = await beside(either, "1", "--", sys.executable, "-c", SHOW)
    assert "was replaced by the key's own" in done.stderr
    (file,) = either.key_files
    assert (file.name, file.read_text(encoding="utf-8").partition("\n")[0]) == (
        "blog-1.env",
        "# CometAPI key 1, blog ***",
    )


async def test_a_reveal_for_a_program_counts_among_those_of_all_servers(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox)
    for number in range(1, 3):
        shown(await beside(home, str(row.id), "--", sys.executable, "-c", SHOW))
        assert reveals(home) == number


async def test_where_the_value_of_the_key_cannot_be_read_the_person_is_told_what_to_do(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(dialect="gateway")
    dead, _ = await _of_another_key(home)
    home.sandbox.faults.add("reveal", "status", times=9)
    done = await beside(home, "1", "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The value that was stored for key 1 is another key's, and its own could not be read" in done.stderr
    assert "run `cometapi-mcp keys save 1`" in done.stderr
    (file,) = home.key_files
    assert dead in file.read_text()


def test_a_value_that_cannot_be_stored_is_used_and_that_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _, row = anyio.run(_of_another_key, home)

    def refused(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(FileStore, "save", refused)
    done = run(home, "1", "--", sys.executable, "-c", SHOW)
    assert f"sk-{row.key}" in done.stdout
    assert "could not be stored instead: " in done.stderr
    assert "The disk is full. Until then each start reads it from the API" in done.stderr
    assert "20 such calls in 20 minutes" in done.stderr


def test_without_settings_the_fix_is_told_and_nothing_is_started(make_home: Callable[..., Home]) -> None:
    home = make_home()
    done = run(home, "blog", "--", sys.executable, "-c", "print('started')", COMETAPI_ACCESS_TOKEN="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "COMETAPI_ACCESS_TOKEN" in done.stderr


if sys.platform != "win32":

    @pytest.fixture
    def blog(make_home: Callable[..., Home]) -> tuple[Home, Any]:
        home = make_home()
        return home, full_key(home.sandbox)

    def test_the_value_is_on_no_command_line(blog: tuple[Home, Any]) -> None:
        home, row = blog
        script = (
            "cat /proc/self/cmdline /proc/$$/cmdline /proc/$PPID/cmdline" if sys.platform == "linux" else "ps -axww"
        )
        done = run_alone(home, "blog", "--", "sh", "-c", script)
        assert done.returncode == 0
        assert done.stdout
        assert row.key not in done.stdout

    @pytest.mark.parametrize(
        "number",
        [
            signal.SIGTERM,
            *(
                pytest.param(number, marks=pytest.mark.long)
                for number in (signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
            ),
        ],
    )
    def test_a_program_that_dies_of_a_signal_is_seen_to(number: signal.Signals, blog: tuple[Home, Any]) -> None:
        assert run_alone(blog[0], "blog", "--", "sh", "-c", f"kill -{number.value} $$; exit 9").returncode == -number

    @pytest.mark.long
    def test_a_pipe_that_closes_ends_the_program_as_without_us(blog: tuple[Home, Any]) -> None:
        done = run_alone(blog[0], "blog", "--", "sh", "-c", "kill -PIPE $$; exit 9")
        assert done.returncode == -signal.SIGPIPE

    @pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
    def test_a_signal_sent_to_us_reaches_the_program(number: signal.Signals, blog: tuple[Home, Any]) -> None:
        home, _ = blog
        # the trap says that the program got it, and its status is its own answer to it
        script = f"trap 'echo caught; exit 42' {number.value}; echo ready; while :; do sleep 0.05; done"
        with subprocess.Popen(
            [sys.executable, "-m", "comet_mcp", "run", "blog", "--", "sh", "-c", script],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                process.send_signal(number)
                assert process.stdout.read() == "caught\n"
                assert process.wait(timeout=30) == 42
            finally:
                process.kill()

    @pytest.mark.long
    def test_the_program_reads_what_we_are_given(blog: tuple[Home, Any]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "comet_mcp", "run", "blog", "--", "cat"],
            env=blog[0].environment,
            input=b"through\x00",
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert done.stdout == b"through\x00"

    @pytest.mark.long
    def test_a_file_that_cannot_be_executed_is_status_126(blog: tuple[Home, Any]) -> None:
        home, row = blog
        plain = home.directory / "plain"
        plain.write_text("no program", encoding="utf-8")
        done = run_alone(home, "blog", "--", str(plain))
        assert done.returncode == 126
        assert row.key not in done.stderr
