"""`cometapi-mcp run`: a program with a key in its environment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.life import connected, full_key
from tests.support import Home, data_of

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """One dialect: what differs between them is how the value is found."""
    return make_home()


@pytest.fixture(params=["documented", "gateway"])
def either(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    return make_home(dialect=request.param)


def run(home: Home, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
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


def test_the_access_token_is_not_in_the_programs_environment_and_all_else_is(home: Home) -> None:
    full_key(home.sandbox)
    done = run(home, "blog", "--", sys.executable, "-c", SHOW, MINE="1", COMETAPI_KEY="an older one")
    _, environment = shown(done)
    assert "COMETAPI_ACCESS_TOKEN" not in environment
    assert home.sandbox.access_token not in done.stdout
    assert environment["MINE"] == "1"
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


@pytest.mark.parametrize(("wanted", "said"), [("nobody", 'No key is named "nobody"'), ("99", "No API key has id 99")])
def test_an_unknown_key_starts_nothing(wanted: str, said: str, home: Home) -> None:
    full_key(home.sandbox)
    done = run(home, wanted, "--", sys.executable, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_two_keys_have_is_refused_with_their_ids(home: Home) -> None:
    rows = [full_key(home.sandbox), full_key(home.sandbox)]
    done = run(home, "blog", "--", sys.executable, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (1, "")
    assert '2 keys are named "blog"' in done.stderr
    assert all(str(row.id) in done.stderr.rpartition(":")[2] for row in rows)


@pytest.mark.parametrize("arguments", [[], ["blog"], ["blog", "--"], ["--unknown", "blog", "--", "x"]])
def test_a_command_line_without_key_or_program_is_a_usage_error(
    arguments: list[str], make_home: Callable[..., Home]
) -> None:
    done = run(make_home(), *arguments)
    assert done.returncode == 2
    assert "NAME-or-ID -- PROGRAM" in done.stderr


async def test_a_stored_value_is_used_without_asking_the_api(either: Home) -> None:
    async with connected(either) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog"}))
    (row,) = either.sandbox.keys
    either.sandbox.requests.clear()
    _, environment = shown(run(either, str(key["id"]), "--", sys.executable, "-c", SHOW))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert either.sandbox.requests == []
    _, environment = shown(run(either, "blog", "--", sys.executable, "-c", SHOW))
    assert environment["COMETAPI_KEY"] == f"sk-{row.key}"
    assert either.sandbox.count("reveal") == 0


def test_without_settings_the_mend_is_told_and_nothing_is_started(make_home: Callable[..., Home]) -> None:
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
        done = run(home, "blog", "--", "sh", "-c", script)
        assert done.returncode == 0
        assert done.stdout
        assert row.key not in done.stdout

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1])
    def test_a_program_that_dies_of_a_signal_is_seen_to(number: signal.Signals, blog: tuple[Home, Any]) -> None:
        assert run(blog[0], "blog", "--", "sh", "-c", f"kill -{number.value} $$; exit 9").returncode == -number

    def test_a_pipe_that_closes_ends_the_program_as_without_us(blog: tuple[Home, Any]) -> None:
        done = run(blog[0], "blog", "--", "sh", "-c", "kill -PIPE $$; exit 9")
        assert done.returncode == -signal.SIGPIPE

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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

    def test_a_file_that_cannot_be_executed_is_status_126(blog: tuple[Home, Any]) -> None:
        home, row = blog
        plain = home.directory / "plain"
        plain.write_text("no program", encoding="utf-8")
        done = run(home, "blog", "--", str(plain))
        assert done.returncode == 126
        assert row.key not in done.stderr
