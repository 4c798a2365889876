"""`cometapi-mcp install` and `uninstall`: this server in the configuration of the MCP clients that a person has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path

import click

from comet_mcp.cli.options import profile_option
from comet_mcp.cli.tables import hung
from comet_mcp.clients import jsonc
from comet_mcp.clients.file import Edit, block, entry_in, installing, is_there, path_of, uninstalling, write
from comet_mcp.clients.start import Start
from comet_mcp.clients.table import BY_NAME, CLIENTS, Client
from comet_mcp.errors import SettingsError
from comet_mcp.settings import load

_HAS = "has this server"


def client_names(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> list[Client]:
    """The clients of these names. What is misspelt is told with what was meant."""
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        near = get_close_matches(unknown[0].lower(), BY_NAME, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Those it knows: {', '.join(BY_NAME)}. Any other: --print."
        raise click.BadParameter(f"{unknown[0]!r} is no client that this command knows. {hint}", context, parameter)
    return [BY_NAME[name] for name in dict.fromkeys(names)]


@click.command("install", epilog="Without CLIENT it lists those that were found. No token is ever written.")
@click.argument("clients", metavar="[CLIENT]...", nargs=-1, callback=client_names)
@profile_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a file is changed.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--print", "only_print", is_flag=True, help="Print the block to paste, for the client or for any other.")
def install(clients: list[Client], *, yes: bool, dry_run: bool, only_print: bool) -> int:
    """Add this server to the configuration of MCP clients.

    Only its own entry is touched; the file's other lines stay as they are, and a copy is kept beside it.
    """
    if unknown := load().unknown_profile:
        raise click.UsageError(unknown)
    environ = os.environ
    start = Start.of_this(environ)
    if only_print:
        for client in clients or [BY_NAME["claude-desktop"]]:
            click.echo(block(client, start.entry(client)), nl=False)
        return 0
    if not clients:
        return _list(environ)
    return _apply(clients, lambda client, path: installing(client, start, path), environ, yes=yes, dry_run=dry_run)


@click.command("uninstall")
@click.argument("clients", metavar="CLIENT...", nargs=-1, callback=client_names, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a file is changed.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
def uninstall(clients: list[Client], *, yes: bool, dry_run: bool) -> int:
    """Take this server out of the configuration of MCP clients. Keys, tokens and settings stay."""
    return _apply(clients, uninstalling, os.environ, yes=yes, dry_run=dry_run)


command = install


def found(environ: Mapping[str, str] = os.environ) -> list[Client]:
    """The clients that seem to be on this machine."""
    return [client for client in CLIENTS if is_there(client, environ)]


def installed(environ: Mapping[str, str] = os.environ) -> list[Client]:
    """Those whose configuration has this server."""
    return [client for client in found(environ) if _state(client, path_of(client, environ)) == _HAS]


def put_into(clients: list[Client], environ: Mapping[str, str] = os.environ) -> int:
    """Add this server to these clients, unasked; each change is shown. The status is 1 where one could not be made."""
    start = Start.of_this(environ)
    return _apply(clients, lambda client, path: installing(client, start, path), environ, yes=True, dry_run=False)


def take_out_of(clients: list[Client], environ: Mapping[str, str] = os.environ) -> int:
    """Take it out again, likewise."""
    return _apply(clients, uninstalling, environ, yes=True, dry_run=False)


def _state(client: Client, path: Path) -> str:
    try:
        return _HAS if entry_in(client, path) is not None else "found"
    except SettingsError as error:
        return f"not readable: {error.args[0]}"


def _list(environ: Mapping[str, str]) -> int:
    there = found(environ)
    if not there:
        click.echo("No MCP client was found. For one that is not in its usual place: cometapi-mcp install --print")
        return 1
    width = max(len(client.name) for client in there)
    states = {client.name: _state(client, path_of(client, environ)) for client in there}
    for client in there:
        click.echo(f"{client.name:{width}}  {states[client.name]:15}  {path_of(client, environ)}")
    others = [client.name for client in CLIENTS if client not in there]
    lacking = [name for name, state in states.items() if state != _HAS]
    click.echo(f"\nTo add it: cometapi-mcp install {(lacking or ['NAME'])[0]}")
    click.echo(hung("It knows these too: ", ", ".join(others)))
    return 0


def _apply(
    clients: list[Client],
    change: Callable[[Client, Path], Edit],
    environ: Mapping[str, str],
    *,
    yes: bool,
    dry_run: bool,
) -> int:
    """Show, ask, and write each client's change. The status is 1 where one could not be made."""
    failed = False
    for client in clients:
        try:
            _apply_one(change(client, path_of(client, environ)), yes=yes, dry_run=dry_run)
        except SettingsError as error:
            failed = True
            click.echo(f"{client.title}: {error.args[0]}", err=True)
    return int(failed)


def _apply_one(edit: Edit, *, yes: bool, dry_run: bool) -> None:
    client = edit.client
    if not edit.is_change:
        state = "has this server already" if edit.entry is not None else "does not have this server"
        click.echo(f"{client.title}: {state}. Nothing to do in {edit.path}.")
        return
    verb = "removed from" if edit.entry is None else "written into"
    click.echo(f"{client.title}: to be {verb} {edit.path}")
    for line in edit.shown().splitlines():
        click.echo(f"    {line}")
    if client.form == "json" and not client.takes_comments and edit.before and jsonc.has_comments(edit.before):
        click.echo(f"    {client.title} reads strict JSON only, and this file has comments or trailing commas.")
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError("nobody can be asked here. Give --yes to write it, or --dry-run to see it only.")
        if not click.confirm("Write it?" if edit.entry is not None else "Take it out?", default=True):
            click.echo("Left as it was.")
            return
    copy = write(edit)
    kept = f" What was there before is in {copy}." if copy else ""
    click.echo(f"{client.title}: done.{kept} Now: {client.then}.")
