"""What the board shows, read of the account: keys in the words of list_api_keys, spending as get_usage sums it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from comet_mcp.board.data import IDLE_DAYS, SPAN, Board, Told, board_of
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.selection import Selection
from comet_mcp.domain.span_words import span_of
from comet_mcp.errors import CometError
from comet_mcp.services.listing import all_keys
from comet_mcp.services.usage import Question
from comet_mcp.settings import Settings
from comet_mcp.tools.key_words import runs_out, words_of
from comet_mcp.tools.usage_views import UsageLine, notes, previous

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent: lines by key, model and day, the span before in words, and what has to be known of it."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    before: str | None = None
    notes: list[str] = field(default_factory=list)


async def read_board(app: Services, deadline: Deadline, spent: Spent) -> Board:
    """The board of now. Raises CometError where the keys can't be read."""
    rows, is_every = await all_keys(app.api)
    now, zone = app.clock.now(), app.settings.timezone
    listed = Selection(order="ends").of(rows, now)
    await app.pace.look(listed, deadline)
    keys = [
        {
            "id": row.id,
            "name": row.name,
            "runs_out": runs_out(app.pace.of_key(row), app.units),
            **words_of(row, app.units, now),
        }
        for row in listed
    ]
    idle = Selection(state="works", unused_since=now - IDLE_DAYS * _DAY).of(rows, now)
    told = Told(
        keys=app.redactor.data(keys),
        idle=[row.id for row in idle],
        lines=spent.lines,
        before=spent.before,
        notes=[*([] if is_every else [f"Shown are the newest {len(rows)} keys: the API lists more."]), *spent.notes],
    )
    return board_of(told, account=_account(app.settings), at=now, zone=zone, units=app.units)


async def read_spent(app: Services, deadline: Deadline) -> Spent:
    """What was spent in the days of the board; where that can't be read, a note says so."""
    zone = app.settings.timezone
    try:
        await app.hear_clock(deadline)
        question = Question(span_of(SPAN, app.clock.now(), zone), ("key", "model", "day"))
        usage = await app.usage.read(question, deadline)
    except CometError as error:
        return Spent(notes=[f"What was spent could not be read: {app.redactor.text(error.args[0])}"])
    spending = usage.read.spending
    lines = [UsageLine.of(group, found, spending.names, app.units) for group, found in spending.groups.items()]
    return Spent(
        app.redactor.data([vars(line) for line in lines]),
        previous(usage, question, app.units, zone),
        notes(usage, question, app.units, zone),
    )


def _account(settings: Settings) -> str:
    host = urlsplit(settings.base_url).netloc
    return f"Profile {settings.profile} at {host}" if settings.profile else f"Account at {host}"
