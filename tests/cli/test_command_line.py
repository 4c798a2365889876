"""The commands as a person types them."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from comet_mcp import __version__
from comet_mcp.cli import demo, root
from tests.support import in_process

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str, home: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "comet_mcp", *arguments],
        env={**kept, "HOME": str(home), "USERPROFILE": str(home), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=home,
    )


def test_the_version_is_printed(tmp_path: Path) -> None:
    shown = run("--version", home=tmp_path)
    assert (shown.returncode, shown.stdout) == (0, f"cometapi-mcp {__version__}\n")


def test_the_help_names_every_command(tmp_path: Path) -> None:
    shown = run("--help", home=tmp_path)
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in ("demo", "sandbox", "COMETAPI_", "config.toml"))


class _Full(io.RawIOBase):
    """A file on a full disk."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_output_that_cannot_be_written_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(_Full()), write_through=True))
    assert root.main(["--version"]) == 1
    assert f"It could not go on ({os.strerror(errno.ENOSPC)})." in capsys.readouterr().err


def test_a_command_whose_output_was_closed_by_its_caller_ends_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert root.main(["completion", "bash"]) == 0


def test_an_unknown_command_is_refused_on_stderr_with_where_the_help_is(tmp_path: Path) -> None:
    shown = run("serve\x1b[31m", home=tmp_path)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert r"No such command 'serve\x1b[31m'." in shown.stderr
    assert "Help: cometapi-mcp --help" in shown.stderr


@pytest.mark.long
def test_the_end_of_input_ends_the_server_without_a_word(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.touch(0o600)
    config.write_text('access_token = "made-up-token"\n', encoding="utf-8")
    shown = run(home=tmp_path, COMETAPI_MCP_CONFIG=str(config))
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


def test_a_missing_token_is_told_on_stderr_too(tmp_path: Path) -> None:
    assert "COMETAPI_ACCESS_TOKEN is not set" in run(home=tmp_path).stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_config_file_with_the_token_that_others_can_read_is_told_on_stderr(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('access_token = "made-up-token"\n', encoding="utf-8")
    config.chmod(0o644)
    shown = run(home=tmp_path, COMETAPI_MCP_CONFIG=str(config))
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "chmod 600" in shown.stderr
    assert "made-up-token" not in shown.stderr


@pytest.mark.long
def test_the_demo_plays_the_main_job_with_no_settings_of_the_users_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    planted = [tmp_path / f"{module}.py" for module in ("anyio", "mcp", "comet_mcp")]
    for path in planted:  # nothing of the directory that it is started in is run
        path.write_text(f"print('planted {path.stem}')\nraise SystemExit(9)\n", encoding="utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    users = {"COMETAPI_BASE_URL": "https://unreachable.invalid", "COMETAPI_MCP_SECRETS": "none"}
    places = {"HOME": tmp_path, "USERPROFILE": tmp_path, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "comet_mcp", "demo"],  # as the installed script does
        env={**kept, **users, **{name: str(place) for name, place in places.items()}},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "budget_usd" in shown.stdout
    assert "refused: " in shown.stdout
    assert "Key 1 was disabled." in shown.stdout
    assert "planted" not in shown.stdout
    assert len(shown.stdout.splitlines()) <= 45
    assert sorted(tmp_path.rglob("*")) == sorted([temporary, *planted])


@pytest.mark.long
def test_a_demo_that_goes_wrong_says_so_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "OTHER_MODEL", demo.MODEL)  # the key then allows what the demo expects to be refused
    shown = in_process("demo", environment={"HOME": str(tmp_path)})
    assert shown.returncode == 1
    assert "The demo failed: POST /v1/chat/completions was not refused" in shown.stderr


def test_the_sandbox_prints_the_settings_that_point_at_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "comet_mcp", "sandbox", "--dialect", "gateway", "--fault", "list:status=503"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        settings = dict(line.split(" ", 1)[1].strip().split("=", 1) for line in lines if line.startswith("export"))
        if sys.platform == "win32":
            settings = dict(line.strip().removeprefix("$env:").split("=", 1) for line in lines if line.startswith("$"))
        request = urllib.request.Request(settings["COMETAPI_BASE_URL"].strip("'") + "/api/user/self")
        request.add_header("Authorization", settings["COMETAPI_ACCESS_TOKEN"].strip("'"))
        request.add_header("New-Api-User", settings["COMETAPI_USER_ID"].strip("'"))
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert b'"success":true' in answer.read()
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "create:explode"], "The faults are: "),
        (["--fault", "explode"], "is not CALL:NAME"),
        (["--dialect", "klingon"], "documented"),
        (["--port", "70000"], "is no port: give a number from 1 to 65535"),
    ],
)
def test_the_sandbox_refuses_a_wrong_option_with_the_choices(tmp_path: Path, arguments: list[str], said: str) -> None:
    shown = in_process("sandbox", *arguments, environment={"HOME": str(tmp_path)})
    assert shown.returncode == 2
    assert said in shown.stderr


def test_the_sandbox_says_when_its_port_is_taken(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = run("sandbox", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert "another program listens on port" in shown.stderr
    assert 'of "127.0.0.1" already. Give another --port' in shown.stderr


if sys.platform != "win32":

    @pytest.mark.long
    def test_started_by_hand_in_a_terminal_it_says_what_it_is(tmp_path: Path) -> None:
        leader, follower = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "comet_mcp"],
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COMETAPI_ACCESS_TOKEN": "made-up-token"},
            cwd=tmp_path,
        )
        os.close(follower)
        assert process.stderr is not None
        first = process.stderr.readline()
        os.write(leader, b"\x04")
        out, rest = process.communicate(timeout=20)
        os.close(leader)
        assert b"It is waiting for an MCP client" in first
        assert b"cometapi-mcp demo" in rest
        assert (process.returncode, out) == (0, b"")
