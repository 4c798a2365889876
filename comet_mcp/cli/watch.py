"""`cometapi-mcp watch`: says once when a key or the balance runs low, from a terminal that stays open or from cron."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import click

from comet_mcp.cli.notices import Notify, way_of
from comet_mcp.cli.options import profile_option
from comet_mcp.cli.people import usable_settings, why
from comet_mcp.cli.said import Said
from comet_mcp.cli.terminal import examples
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.forecast import Forecast
from comet_mcp.domain.lifetimes import duration
from comet_mcp.domain.watch import Notice, Purse, Threshold, is_watched, kept, kinds, notices, unsaid
from comet_mcp.errors import APIError, ArgumentError, CometError
from comet_mcp.redaction import Redactor
from comet_mcp.services.listing import all_keys
from comet_mcp.settings import Settings

_LEAST_PAUSE = 60
"""Seconds between two looks, at least: each takes some calls of the API."""
_WITHIN = 60.0


@click.command(
    "watch",
    epilog=examples(
        "cometapi-mcp watch --below 1.00 --notify desktop",
        "cometapi-mcp watch --once --below 20% \\",
        "    --notify 'command:mail -s Low me@example.com'",
    )
    + "\n\nFrom cron, each quarter of an hour:\n\n  */15 * * * * cometapi-mcp watch --once --notify desktop",
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option("--below", default="20%", show_default=True, help="Dollars, or of a key its part of the whole.")
@click.option(
    "--notify",
    multiple=True,
    default=("stderr",),
    help="stderr (the default), desktop, or command:PROGRAM ARGUMENT ..., which gets the text on its standard input.",
)
@click.option("--every", default="5 minutes", show_default=True, help="How long to wait between two looks.")
@profile_option
def command(*, once: bool, below: str, notify: Sequence[str], every: str) -> int:
    """Tell when a key with a budget or the account's balance falls below a threshold, or will be used up in a day.

    Each is told once, whoever looks, until the key or the account was topped up; that is noted beside the journal. A
    notice that could not be given is given by the next look, and the exit status is then 1.
    """
    settings = usable_settings()
    threshold = Threshold.parse(below, settings.units)
    ways = [way_of(text) for text in notify]
    pause = duration(every)
    if pause < _LEAST_PAUSE:
        raise ArgumentError("--every needs at least a minute.")
    return anyio.run(_watch, settings, threshold, ways, 0 if once else pause)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found of an account, and of which kinds it is."""

    account: str
    kinds: Sequence[str]
    found: list[Notice]


async def _watch(settings: Settings, threshold: Threshold, ways: Sequence[Notify], pause: int) -> int:
    """Look once, or for ever with so many seconds between. Returns the exit status."""
    redactor = Redactor(settings.known_secrets)
    app = Services.of(settings, redactor=redactor)
    told = ""
    try:
        while True:
            failed = await _failure(app, threshold, ways)
            if failed is not None and failed.code != told:  # one that lasts is told once
                click.echo(f"cometapi-mcp watch: {redactor.text(why(failed))}", err=True)
            if not pause:
                return int(failed is not None)
            told = failed.code if failed else ""
            await app.clock.sleep(pause)
    finally:
        await app.aclose()


async def _failure(app: Services, threshold: Threshold, ways: Sequence[Notify]) -> CometError | None:
    """Look, and give what failed, if anything did."""
    try:
        await _look(app, threshold, ways)
    except CometError as error:
        return error
    return None


async def _look(app: Services, threshold: Threshold, ways: Sequence[Notify]) -> None:
    """Look at all keys and the balance, and say what was not said before. Raises CometError."""
    account, purses = await _purses(app)
    found = notices(purses, threshold, app.units, app.clock.now())
    await anyio.to_thread.run_sync(_say, app, _Look(account, kinds(threshold), found), ways)


async def _purses(app: Services) -> tuple[str, list[Purse]]:
    """The account, and what it has to spend from."""
    rows, is_every = await all_keys(app.api)
    if not is_every:
        raise CometError("The API lists more keys than are looked at, so nothing was said.", code="too_many_keys")
    watched = [row for row in rows if is_watched(row, app.clock.now())]
    await app.pace.look(watched, Deadline(app.clock, _WITHIN))
    account = await app.api.account()
    name = f"{app.identity.base_url}#{account.id or app.identity.alias}"
    forecast = await _of_balance(app, account.quota)
    balance = Purse("balance", "The account's balance", account.quota, None, forecast)
    return name, [balance, *(Purse.of_key(row, app.pace.of_key(row)) for row in watched)]


async def _of_balance(app: Services, left: int) -> Forecast | None:
    try:
        return await app.pace.of_balance(left)
    except APIError:
        return None  # an API without these sums, or one that failed: what is left is worth a notice all the same


def _say(app: Services, look: _Look, ways: Sequence[Notify]) -> None:
    """Say what was not said, and note it once it was. Raises CometError for what could not be said."""
    failed: CometError | None = None
    with Said.held(app.settings.state.parent / "watch") as memory:
        said = memory.of(look.account, look.found)
        for notice in unsaid(look.found, said):
            try:
                for way in ways:
                    way(app.redactor.text(notice.text))
            except CometError as error:
                failed = error
            else:
                said.add(notice.id)
                # at once: a watcher that is killed says nothing twice
                memory.note(look.account, look.kinds, kept(look.found, said))
        memory.note(look.account, look.kinds, kept(look.found, said))
    if failed is not None:
        raise failed
    sys.stderr.flush()
