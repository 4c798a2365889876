"""`cometapi-mcp tidy`: delete the keys that have ended, and those that runs left behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio
import click

from comet_mcp import settings as configuration
from comet_mcp.cli.calls import Calls, with_calls
from comet_mcp.cli.people import for_people, trouble, why
from comet_mcp.cli.tables import Column, show_table
from comet_mcp.cli.terminal import examples
from comet_mcp.context import Services
from comet_mcp.errors import CometError, SettingsError
from comet_mcp.redaction import Redactor
from comet_mcp.removal import may_remove, remove_leftovers
from comet_mcp.settings import Settings
from comet_mcp.text import printable

BY = "cometapi-mcp tidy"
"""What the audit trail has for the client, of what runs left behind."""
_TOOL = "tidy_api_keys"
_READ_ONLY = "COMETAPI_MCP_READ_ONLY"
_COLUMNS = (Column("Id", right=True), Column("Name", may_shrink=True), Column("State"), Column("Spent", right=True))


@click.command(
    "tidy", epilog=examples("cometapi-mcp tidy --dry-run", "cometapi-mcp tidy --yes", "cometapi-mcp tidy --leases")
)
@click.option("-n", "--dry-run", is_flag=True, help="Show the keys, and delete none.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before ended keys are deleted.")
@click.option("--leases", is_flag=True, help="Only what runs left behind.")
def command(*, dry_run: bool, yes: bool, leases: bool) -> int:
    """Delete the keys that have ended, expired or used up, and those that runs with a lease left behind.

    A used-up key has ended once it was not called for an hour: what calls under way have set aside comes back to it.
    What a run left behind is deleted unasked: that was agreed to when its key was made.
    """
    settings = configuration.load()
    status = 0
    if may_remove(settings):
        status = anyio.run(_leftovers, settings, dry_run)
    elif leases:
        raise SettingsError(trouble(settings) or f"Nothing is deleted here: {settings.source(_READ_ONLY)} is set.")
    if leases:
        return status
    return with_calls(_Tidying(dry_run).work, yes=yes, asks=not yes) or status


async def _leftovers(settings: Settings, dry_run: bool) -> int:
    """Delete what runs left behind, and say so. Returns 1 where that could not be done."""
    redactor = Redactor(settings.known_secrets)
    app = Services.of(settings, redactor=redactor)
    try:
        if dry_run:
            said = [f"{name} was left behind by a run." for name in await app.leases.left_behind()]
        else:
            said = await remove_leftovers(app, BY)
    except CometError as error:
        click.echo(redactor.text(f"What runs left behind could not be looked for: {why(error)}"), err=True)
        return 1
    finally:
        await app.aclose()
    for sentence in said:
        click.echo(redactor.text(for_people(sentence)))
    return 0


@dataclass(frozen=True, slots=True)
class _Tidying:
    """The ended keys of an account, shown and deleted."""

    dry_run: bool

    async def work(self, calls: Calls) -> int:
        """Show them, and delete them unless that is not wanted. Returns the exit status."""
        found = await calls(_TOOL, dry_run=True)
        if not found["keys"]:
            click.echo("No key has ended.")
        while found["keys"]:
            _show(found)
            if self.dry_run:
                break
            done = await calls(_TOOL, dry_run=False)
            deleted = [key for key in done["keys"] if key["deleted"]]
            click.echo(f"Deleted: {len(deleted)}.")
            _note(note for note in done.get("notes", ()) if note not in found.get("notes", ()))
            if len(deleted) < len(done["keys"]):
                return 1
            found = await calls(_TOOL, dry_run=True)
        _note(found.get("notes", ()))
        return 0


def _show(found: dict[str, Any]) -> None:
    show_table(
        _COLUMNS, [[str(key["id"]), printable(key["name"]), key["state"], key["spent"]] for key in found["keys"]]
    )


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(for_people(note), err=True)
