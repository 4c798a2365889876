"""`cometapi-mcp save`: a key's value into a dotenv file of a person's own program, from their own terminal.

It needs nobody's leave, and asks before it replaces a value. What reveals a value is counted in the journal, like every
server's, and so is the place noted there, so that a rotation finds it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TextIO

import anyio

from comet_mcp import settings as configuration
from comet_mcp.cli.finding import find_row
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.errors import CometError
from comet_mcp.redaction import Redactor
from comet_mcp.secret_store.base import KEY_VARIABLE, needed_base_url
from comet_mcp.secret_store.env_files import Spot
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_DONE = {"created": "is a new file and has", "changed": "has", "kept": "had already"}


def main(arguments: list[str]) -> int:
    """Save the value. Returns the exit status: 0 where it is in the file, 1 where it is not, 2 for a wrong command."""
    given = _parser().parse_args(arguments)
    settings = configuration.load()
    if settings.problems:
        print(f"cometapi-mcp save: {' '.join(settings.problems)}", file=sys.stderr)
        return 1
    redactor = Redactor(settings.known_secrets)
    stderr = redactor.stream(sys.stderr)
    try:
        return anyio.run(_save, settings, redactor, given)
    except CometError as error:
        print(f"cometapi-mcp save: {error}", file=stderr)
        return 1


async def _save(settings: Settings, redactor: Redactor, given: argparse.Namespace) -> int:
    app = Services.of(settings, redactor=redactor)
    places = app.secrets.places
    try:
        spot = await places.spot(_full(given.file), given.variable)
        row, said = await find_row(app, given.key)
        if said:
            print(f"cometapi-mcp save: {said}", file=redactor.stream(sys.stderr))
        found = await places.look(spot, Deadline(app.clock, settings.timeout))
        value = await app.secrets.value_of(row, Deadline(app.clock, settings.timeout))
        is_other = found.value is not None and not app.secrets.places.is_same(found.value, value)
        if is_other and not await anyio.to_thread.run_sync(_agreed, spot, sys.stderr):
            print("Nothing was changed.", file=sys.stderr)
            return 1
        outcome = await places.put(row, spot.place, value, found.value)
        await app.progress.saved(row)
    finally:
        await app.secrets.note_reveals()
        await app.aclose()
    print(f"{spot.path} {_DONE[outcome]} the value of key {row.id} {quoted(row.name)} as {spot.variable}.")
    if base := needed_base_url(spot.variable, settings.base_url):
        print(f"The program needs this too: {base}")
    return 0


def _full(file: str) -> str:
    """The full path of a file as a person writes it in a shell; of its folder's links, where they lead."""
    path = Path(file).expanduser()
    return str(path.parent.resolve() / path.name)


def _agreed(spot: Spot, stderr: TextIO) -> bool:
    """Whether the person agrees to lose the value that is there; nobody does where nobody can be asked."""
    print(f"{spot.path} has another value for {spot.variable}. Replace it? [y/N] ", end="", file=stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cometapi-mcp save",
        description="Put a key's value into a dotenv file of your own program. Only that variable's line is changed, "
        "and you are asked before another value is replaced. A file that git tracks or does not ignore is refused.",
    )
    parser.add_argument("key", metavar="NAME-or-ID", help="the key, by its id or its exact name")
    parser.add_argument(
        "--file", required=True, help="the dotenv file, such as ~/shop/.env; it is made where it is missing"
    )
    parser.add_argument(
        "--as", dest="variable", default=KEY_VARIABLE, metavar="VARIABLE", help=f"its name there ({KEY_VARIABLE})"
    )
    return parser
