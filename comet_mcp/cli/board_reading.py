"""What the board shows, asked of the tools and of the account's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from comet_mcp.board.data import IDLE, SPAN, Board, Told, board_of
from comet_mcp.cli.calls import Calls
from comet_mcp.cli.keys import pages
from comet_mcp.cli.people import for_people, why
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.span_words import span_of
from comet_mcp.errors import CometError
from comet_mcp.redaction import Redactor
from comet_mcp.services.usage import Question
from comet_mcp.settings import Settings
from comet_mcp.tools.usage_views import UsageLine, notes, previous

_MOST = 1000
"""Keys that the page shows: as many as the API holds."""
_FIRST = 100
"""Keys that end first, of which it is asked when they run out: a page of them is one question."""
_MOST_IDLE = 300
"""Unused keys that are marked."""
_WITHIN = 120.0
"""Seconds for the log: a person has more time than a client."""


@dataclass
class Reading:
    """Reads what the board shows. What was spent takes most calls of the API: it is kept until it is asked anew."""

    calls: Calls
    _spent: dict[str, Any] | None = field(default=None, init=False)

    async def board(self, *, is_new: bool = True) -> Board:
        """The board of now; with what was spent as it was read before, unless `is_new`. Raises CometError."""
        calls, settings = self.calls, self.calls.settings
        page = await _keys(calls)
        idle = await pages(calls, {"state": "works", "unused_for": IDLE}, _MOST_IDLE)
        if is_new or self._spent is None:
            self._spent = await _spent(settings)
        told = [calls.said(note) for note in page.get("notes") or []]
        if page["total"] > len(page["items"]):
            told.append(f"Shown are {len(page['items'])} of {page['total']} keys.")
        spent = {**self._spent, "notes": [*told, *self._spent["notes"]]}
        at = spent.pop("at")
        return board_of(
            Told(keys=page["items"], idle=[key["id"] for key in idle["items"]], **spent),
            account=_account(settings),
            at=at,
            zone=settings.timezone,
            units=settings.units,
        )


async def _keys(calls: Calls) -> dict[str, Any]:
    """The page of all keys. Those that end first come with when they run out, and for many that is not asked."""
    first = await pages(calls, {"sort": "ends"}, _FIRST)
    if first["total"] <= len(first["items"]):
        return first
    every = await pages(calls, {}, _MOST)
    known = {key["id"]: key for key in first["items"]}
    rest = [key for key in every["items"] if key["id"] not in known]
    return {**every, "items": [*first["items"], *rest]}


def _account(settings: Settings) -> str:
    host = urlsplit(settings.base_url).netloc
    return f"Profile {settings.profile} at {host}" if settings.profile else f"Account at {host}"


async def _spent(settings: Settings) -> dict[str, Any]:
    """What was spent, in lines as get_usage has them: of each key, model and day; and the time of the API's clock."""
    redactor = Redactor(settings.known_secrets)
    app = Services.of(settings, redactor=redactor)
    try:
        deadline = Deadline(app.clock, _WITHIN)
        await app.hear_clock(deadline)
        question = Question(span_of(SPAN, app.clock.now(), settings.timezone), ("key", "model", "day"))
        usage = await app.usage.read(question, deadline)
    except CometError as error:
        return {"notes": [f"What was spent could not be read: {redactor.text(why(error))}"], "at": app.clock.now()}
    finally:
        await app.aclose()
    spending = usage.read.spending
    lines = [UsageLine.of(group, found, spending.names, app.units) for group, found in spending.groups.items()]
    return {
        "lines": [redactor.data(vars(line)) for line in lines],
        "before": previous(usage, question, app.units, settings.timezone),
        "notes": [for_people(note) for note in notes(usage, question, app.units, settings.timezone)],
        "at": app.clock.now(),
    }
