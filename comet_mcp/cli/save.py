"""`cometapi-mcp save`: a key's value where a person's own programs read it, from their own terminal.

A dotenv file needs nobody's leave; a place elsewhere is one that the operator has listed. The person is asked before a
value is replaced. What reveals a value is counted in the journal, like every server's, and so is the place noted there,
so that a rotation finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from comet_mcp.cli.finding import find_row
from comet_mcp.cli.people import usable_settings
from comet_mcp.cli.terminal import confirmed, examples, redacted
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import Key
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store.base import KEY_VARIABLE, needed_base_url
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_DONE = {"created": "is a new file and has", "changed": "has", "kept": "has already"}
_ELSEWHERE_WITHIN = 30.0
"""Seconds for a place elsewhere: a person waits, and may be asked by its command."""


@click.command(
    "save",
    epilog=examples(
        'cometapi-mcp save "blog summariser" --file ~/shop/.env',
        "cometapi-mcp save 7 --file .env --as SHOP_KEY",
        "cometapi-mcp save 7 --to github:me/shop/COMETAPI_KEY",
        "cometapi-mcp save 7 --to 'command:pass insert -m shop'",
    ),
)
@click.argument("key", metavar="NAME-or-ID")
@click.option("--file", metavar="FILE", help="The dotenv file, such as ~/shop/.env; made where missing.")
@click.option("--as", "variable", metavar="VARIABLE", help=f"Its name in the file.  [default: {KEY_VARIABLE}]")
@click.option(
    "--to",
    metavar="PLACE",
    help="github:OWNER/REPO/SECRET_NAME, a secret of GitHub Actions (with your GH_TOKEN), or command:PROGRAM ..., "
    "which gets the value on its standard input. One of mcp.places.",
)
@click.option("-y", "--yes", is_flag=True, help="Replace another value without asking.")
def command(key: str, file: str | None, variable: str | None, to: str | None, *, yes: bool) -> int:
    """Put a key's value where your own programs read it: into a dotenv file, or elsewhere.

    The key is one by its id or its exact name. In a file only that variable's line is changed, and you are asked before
    another value is replaced. A file that git tracks or does not ignore is refused. A rotation of the key puts the new
    value into the same places.

    Exit status: 0 where the value is there, 1 where it is not, 2 for a wrong command.
    """
    if (file is None) == (to is None):
        raise click.UsageError("Give one of --file and --to.")
    if to is not None and variable is not None:
        raise click.UsageError("--as goes with --file; the name of a secret is part of --to.")
    settings = usable_settings()
    redactor = Redactor(settings.known_secrets)
    with redacted(redactor):
        return anyio.run(_save, settings, redactor, _Request(key, file or "", variable or KEY_VARIABLE, to or "", yes))


@dataclass(frozen=True, slots=True)
class _Request:
    key: str
    file: str
    variable: str
    to: str
    yes: bool


async def _save(settings: Settings, redactor: Redactor, given: _Request) -> int:
    app = Services.of(settings, redactor=redactor)
    try:
        return await (_into_file if given.file else _elsewhere)(app, given)
    finally:
        await app.secrets.note_reveals()
        await app.aclose()


async def _into_file(app: Services, given: _Request) -> int:
    places = app.secrets.places
    spot = await places.spot(_full(given.file), given.variable)
    row = await _row(app, given)
    found = await places.look(spot, Deadline(app.clock, app.settings.timeout))
    value = await app.secrets.value_of(row, Deadline(app.clock, app.settings.timeout))
    is_other = found.value is not None and not places.is_same(found.value, value)
    if is_other and not _replaces(given, f"{spot.path} has another value for {spot.variable}."):
        return 1
    outcome = await places.put(row, spot.place, value, found.value)
    await app.progress.saved(row)
    click.echo(f"{spot.path} {_DONE[outcome]} the value of key {row.id} {quoted(row.name)} as {spot.variable}.")
    if base := needed_base_url(spot.variable, app.settings.base_url):
        click.echo(f"The program needs this too: {base}")
    return 0


async def _elsewhere(app: Services, given: _Request) -> int:
    elsewhere = app.secrets.places.elsewhere
    place = elsewhere.place(given.to)
    row = await _row(app, given)
    is_other = not given.yes and await elsewhere.would_replace(row, place, _ELSEWHERE_WITHIN)
    if is_other and not _replaces(given, f"{place} has a value already, which nobody can read again."):
        return 1
    value = await app.secrets.value_of(row, Deadline(app.clock, app.settings.timeout))
    await elsewhere.put(row, place, value, _ELSEWHERE_WITHIN)
    await app.progress.saved(row)
    click.echo(f"{place} has the value of key {row.id} {quoted(row.name)}.")
    return 0


async def _row(app: Services, given: _Request) -> Key:
    """The key that is meant."""
    row, said = await find_row(app, given.key)
    if said:
        click.echo(app.redactor.text(f"cometapi-mcp save: {said}"), err=True)
    return row


def _replaces(given: _Request, found: str) -> bool:
    """Whether the person wants another value to be replaced."""
    if given.yes or confirmed(found, "Replace it?"):
        return True
    click.echo("Nothing was changed.", err=True)
    return False


def _full(file: str) -> str:
    """The full path of a file as a person writes it in a shell; of its folder's links, where they lead."""
    path = Path(file).expanduser()
    return str(path.parent.resolve() / path.name)
