"""Help, wrong usage, and how a command ends early."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click
import pytest

from comet_mcp.cli.root import COMMANDS, root
from tests.support import in_process


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and its own ones."""
    context = click.Context(root)
    for name in COMMANDS:
        yield (name,)
        command = root.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, own) for own in command.commands)


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_help_of_a_command_fits_the_terminal_and_says_what_each_option_does(
    words: tuple[str, ...], width: int, tmp_path: Path
) -> None:
    shown = in_process(*words, "--help", environment={"HOME": str(tmp_path)}, columns=width)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"Usage: cometapi-mcp {' '.join(words)} [OPTIONS]")
    assert max(map(len, shown.stdout.splitlines())) <= width
    command = root.get_command(click.Context(root), words[0])
    for own in words[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[own]
    assert command is not None
    assert (command.help or "").rstrip().endswith((".", "--disable"))
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_first_help_names_every_command_with_what_it_does(tmp_path: Path) -> None:
    shown = in_process("--help", environment={"HOME": str(tmp_path)}, columns=80)
    words = " ".join(shown.stdout.split())
    assert all(f" {name} {entry.does}" in words for name, entry in COMMANDS.items())
    assert in_process("help", environment={"HOME": str(tmp_path)}, columns=80).stdout == shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keyss"], "cometapi-mcp: No such command 'keyss'. Did you mean 'keys'?"),
        (["keys", "roatte", "1"], "cometapi-mcp keys: No such command 'roatte'. Did you mean 'rotate'?"),
        (["keys", "--jsn"], "cometapi-mcp keys: No such option '--jsn'. Did you mean '--json'?"),
        (["keys", "delete"], "cometapi-mcp keys delete: Missing argument 'NAME-or-ID'."),
        (["keys", "update", "1"], "cometapi-mcp keys update: Nothing to change is given."),
        (["keys", "--json", "show", "1"], "cometapi-mcp keys: --json is for the list."),
        (["keys", "new", "x", "--budget", "5", "--unlimited"], "Give --budget or --unlimited, not both."),
        (["keys", "new", "x", "--budget", "five"], '"five" is no amount of US dollars, such as 5 or 0.50.'),
        (["keys", "update", "1", "--ips", "300.1.1.1"], '"300.1.1.1" is no IP address or range'),
        (["keys", "update", "1", "--models", "a", "--all-models"], "Give --models or --all-models, not both."),
        (["policy", "--al"], "cometapi-mcp policy: No such option '--al'. (Did you mean one of: '--all', '--help'?)"),
        (["policy", "--all", "check", "x"], "cometapi-mcp policy: --all goes without check."),
        (["install", "cursr"], "'cursr' is no client that this command knows. Did you mean cursor?"),
        (["completion"], "cometapi-mcp completion: Missing argument"),
        (["save", "x"], "cometapi-mcp save: Give one of --file and --to."),
        (["run\x1b[2J"], r"cometapi-mcp: No such command 'run\x1b[2J'."),
        (["keys", "--\u202eevil"], "No such option"),
    ],
)
def test_wrong_usage_says_why_and_where_the_help_is(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = in_process(*arguments, environment={"HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "\nHelp: cometapi-mcp" in done.stderr
    assert all(char.isprintable() or char == "\n" for char in done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [["keys"], ["run", "1", "--", "x"], ["save", "1", "--file", ".env"], ["demo"]],
    ids=lambda words: words[0],
)
def test_ctrl_c_ends_a_command_with_one_line(arguments: list[str], tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "COMETAPI_ACCESS_TOKEN": "made-up-token"}
    with mock.patch("anyio.run", side_effect=KeyboardInterrupt):
        done = in_process(*arguments, environment=environment)
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_that_nobody_reads_any_more_ends_a_command_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp", "sandbox", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_shells_completion_says_where_it_goes(shell: str, tmp_path: Path) -> None:
    done = in_process("completion", shell, environment={"HOME": str(tmp_path)})
    if shell == "powershell" and done.returncode:
        assert "This version of click has no completion for powershell" in done.stderr
        return
    assert done.returncode == 0
    assert f"cometapi-mcp completion {shell}" in done.stdout.splitlines()[1]
    assert "_COMETAPI_MCP_COMPLETE" in done.stdout


def test_a_shell_that_asks_is_told_the_commands_that_begin_so(tmp_path: Path) -> None:
    asked = {"_COMETAPI_MCP_COMPLETE": "bash_complete", "COMP_WORDS": "cometapi-mcp ke", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **asked},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("plain,keys\n", "")


def test_a_profile_is_handed_on_to_the_settings(tmp_path: Path) -> None:
    seen: list[str] = []

    def load() -> None:
        seen.append(os.environ["COMETAPI_PROFILE"])
        raise click.Abort

    with mock.patch("comet_mcp.settings.load", load):
        in_process("--profile", "work", "keys", environment={"HOME": str(tmp_path)})
    assert seen == ["work"]
