"""`cometapi-mcp save`: a key's value into a dotenv file of a person's own program, from their own terminal.

It needs nobody's leave, and asks before it replaces a value. What reveals a value is counted in the journal, like every
server's, and so is the place noted there, so that a rotation finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from comet_mcp import settings as configuration
from comet_mcp.cli.finding import find_row
from comet_mcp.cli.people import trouble
from comet_mcp.cli.terminal import confirmed, examples, redacted
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.errors import SettingsError
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store.base import KEY_VARIABLE, needed_base_url
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_DONE = {"created": "is a new file and has", "changed": "has", "kept": "had already"}


@click.command(
    "save",
    epilog=examples(
        'cometapi-mcp save "blog summariser" --file ~/shop/.env', "cometapi-mcp save 7 --file .env --as SHOP_KEY"
    ),
)
@click.argument("key", metavar="NAME-or-ID")
@click.option("--file", required=True, metavar="FILE", help="The dotenv file, such as ~/shop/.env; made where missing.")
@click.option("--as", "variable", default=KEY_VARIABLE, show_default=True, metavar="VARIABLE", help="Its name there.")
@click.option("-y", "--yes", is_flag=True, help="Replace another value without asking.")
def command(key: str, file: str, variable: str, *, yes: bool) -> int:
    """Put a key's value into a dotenv file of your own program.

    The key is one by its id or its exact name. Only that variable's line is changed, and you are asked before another
    value is replaced. A file that git tracks or does not ignore is refused.

    Exit status: 0 where the value is in the file, 1 where it is not, 2 for a wrong command.
    """
    settings = configuration.load()
    if wrong := trouble(settings):
        raise SettingsError(wrong)
    redactor = Redactor(settings.known_secrets)
    with redacted(redactor):
        return anyio.run(_save, settings, redactor, _Wish(key, file, variable, yes))


@dataclass(frozen=True, slots=True)
class _Wish:
    key: str
    file: str
    variable: str
    yes: bool


async def _save(settings: Settings, redactor: Redactor, given: _Wish) -> int:
    app = Services.of(settings, redactor=redactor)
    places = app.secrets.places
    try:
        spot = await places.spot(_full(given.file), given.variable)
        row, said = await find_row(app, given.key)
        if said:
            click.echo(redactor.text(f"cometapi-mcp save: {said}"), err=True)
        found = await places.look(spot, Deadline(app.clock, settings.timeout))
        value = await app.secrets.value_of(row, Deadline(app.clock, settings.timeout))
        is_other = found.value is not None and not app.secrets.places.is_same(found.value, value)
        if (
            is_other
            and not given.yes
            and not confirmed(f"{spot.path} has another value for {spot.variable}.", "Replace it?")
        ):
            click.echo("Nothing was changed.", err=True)
            return 1
        outcome = await places.put(row, spot.place, value, found.value)
        await app.progress.saved(row)
    finally:
        await app.secrets.note_reveals()
        await app.aclose()
    click.echo(f"{spot.path} {_DONE[outcome]} the value of key {row.id} {quoted(row.name)} as {spot.variable}.")
    if base := needed_base_url(spot.variable, settings.base_url):
        click.echo(f"The program needs this too: {base}")
    return 0


def _full(file: str) -> str:
    """The full path of a file as a person writes it in a shell; of its folder's links, where they lead."""
    path = Path(file).expanduser()
    return str(path.parent.resolve() / path.name)
