"""The command line: which commands there are, and what holds for all. A command is loaded when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NamedTuple

import click

from comet_mcp import __version__
from comet_mcp.cli.beginning import use_profile
from comet_mcp.cli.terminal import Group, examples, run_command


class _Entry(NamedTuple):
    """A command: the module in comet_mcp.cli whose `command` it is, and what it does, in a line."""

    module: str
    does: str


COMMANDS = {
    "demo": _Entry("demo", "Show the main job, end to end, without an account or a network."),
    "setup": _Entry("setup", "Log in, add this server to clients, choose a policy, make a first key."),
    "login": _Entry("login", "Keep an account's access token, once it is checked."),
    "logout": _Entry("logout", "Remove it again."),
    "install": _Entry("install", "Add this server to MCP clients."),
    "uninstall": _Entry("uninstall", "Take it out again."),
    "keys": _Entry("keys", "List, make, change, replace and delete API keys."),
    "doctor": _Entry("doctor", "Look for what is wrong here, and say what helps."),
    "run": _Entry("run", "Run a program with a key in its environment."),
    "save": _Entry("save", "Put a key into the .env file of a program."),
    "tidy": _Entry("tidy", "Delete keys that have ended, and those that runs left behind."),
    "policy": _Entry("policy", "Show what agents may do, or judge a key."),
    "usage": _Entry("usage", "Show what was spent, by day, key and model."),
    "board": _Entry("board", "Show keys and spending on one page, in the browser or a file."),
    "watch": _Entry("watch", "Tell when a key or the balance runs low."),
    "audit": _Entry("audit", "Show, verify or prune the audit trail."),
    "sandbox": _Entry("sandbox", "Run a pretend CometAPI on this machine."),
    "completion": _Entry("completion", "Print what completes commands in a shell."),
}
"""Every command, in the order of the help."""


class Commands(Group):
    """A group whose commands are loaded one by one, by name. Its help is printed without loading any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(f"comet_mcp.cli.{entry.module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant by the first word. Raises NoSuchCommand, with those that are spelt alike."""
        if not args[0].startswith("-") and args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names with what they do."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.does) for name, entry in COMMANDS.items()])


def _use_profile(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
    del context, parameter
    if name is not None:
        use_profile(name)


@click.group(
    "cometapi-mcp",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "cometapi-mcp                        serve; an MCP client starts it so",
        "cometapi-mcp keys                   list the account's API keys",
        "cometapi-mcp run NAME -- PROGRAM    run a program with a key",
    )
    + "\n\nSettings come from COMETAPI_... environment variables and ~/.config/cometapi/config.toml; "
    "docs/settings.md lists them.",
)
@click.option(
    "--profile",
    metavar="NAME",
    expose_value=False,
    callback=_use_profile,
    help="The account of that name in the config file.",
)
@click.version_option(__version__, "-V", "--version", prog_name="cometapi-mcp", message="%(prog)s %(version)s")
def root() -> None:
    """Make and manage scoped CometAPI keys: an MCP server for AI agents, and commands for people.

    Without a command it serves over stdio.
    """


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for. Returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal can't show ends no command
    if not arguments:  # a shell asks what would complete a line, which click finds in the environment
        root.main([], prog_name="cometapi-mcp")
    if arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    return run_command(root, arguments, "cometapi-mcp")
