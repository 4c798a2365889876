"""The API's own sums of what was spent: few calls for many rows. They are of whole hours, and five minutes late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import pairwise

from comet_mcp.api.client import LONGEST_SUMS, CometAPI
from comet_mcp.concurrency import together
from comet_mcp.domain.spans import midnight
from comet_mcp.domain.usage import Charge, Spending
from comet_mcp.errors import RefusedError
from comet_mcp.services.call_budget import CallBudget

HOUR = 3600
LATE = 360
"""Seconds after which the sums of an hour that is over have come (measured: they are written every five minutes)."""

_WEEK = 7 * 86_400
"""Seconds for which hourly sums are asked at once: more of them could be larger than any answer that is read."""
_AT_ONCE = 8

Piece = tuple[Callable[[int, int], Awaitable[None]], int, int]
"""One call of a plan: what makes it, and its hours, from the first one until the end."""


class SpendingSums:
    """Asks for sums, and remembers whether this release of the API has those of keys."""

    def __init__(self, api: CometAPI) -> None:
        self._api = api
        self.has_keys = True
        """Whether sums of keys may be asked for: False once the API has said that it has none."""

    async def of_keys(self, start: int, end: int) -> dict[int, int] | None:
        """The quota units of each key in the whole hours from `start` until `end`; None where there are no such sums.

        Raises:
            APIError: They could not be had.
        """
        try:
            rows = await self._api.key_sums(start, end - 1)
        except RefusedError as error:
            self._note_refusal(error)
            return None
        units: dict[int, int] = {}
        for row in rows:
            units[row.token_id] = units.get(row.token_id, 0) + row.quota
        return units

    def plan(self, spending: Spending, start: int, end: int, zone: tzinfo, *, one_key: bool) -> list[Piece] | None:
        """The calls that add the whole hours from `start` until `end` to `spending`; None where no sums tell that."""
        if one_key or "key" in spending.by:
            if not self.has_keys:
                return None
            pieces = _days(start, end, zone) if "day" in spending.by else _pieces(start, end, LONGEST_SUMS)
            return [(partial(self._add_keys, spending, at), first, last) for at, first, last in pieces]
        if "day" not in spending.by and self.has_keys:
            pieces = _pieces(start, end, LONGEST_SUMS)
            return [(partial(self._add_keys, spending, at), first, last) for at, first, last in pieces]
        return [(partial(self._add_hours, spending), first, last) for _, first, last in _pieces(start, end, _WEEK)]

    async def fill(self, plan: list[Piece], budget: CallBudget) -> bool:
        """Make the calls of a plan. False where the calls or the time do not suffice, or the API has no such sums."""
        if await budget.lacks(len(plan)):
            return False
        for first in range(0, len(plan), _AT_ONCE):
            try:
                await together(*(partial(add, start, end) for add, start, end in plan[first : first + _AT_ONCE]))
            except RefusedError as error:
                self._note_refusal(error)
                return False
        return True

    async def _add_keys(self, spending: Spending, at: int, start: int, end: int) -> None:
        for row in await self._api.key_sums(start, end - 1):
            spending.add(Charge(at, row.token_id, "", row.model_name, row.quota, row.count))
            if row.token_name:  # today's, where rows have the name of their time
                spending.names[row.token_id] = row.token_name

    async def _add_hours(self, spending: Spending, start: int, end: int) -> None:
        for row in await self._api.hour_sums(start, end - 1):
            if start <= row.created_at < end:
                spending.add(Charge(row.created_at, 0, "", row.model_name, row.quota, row.count))

    def _note_refusal(self, error: RefusedError) -> None:
        if error.code == "no_such_call":
            self.has_keys = False


def _pieces(start: int, end: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The span in pieces of a length at most, the newest first: where each begins, twice, and where it ends."""
    for last in range(end, start, -length):
        first = max(last - length, start)
        yield first, first, last


def _days(start: int, end: int, zone: tzinfo) -> Iterator[tuple[int, int, int]]:
    """The days of a span, the newest first: where each begins, twice, and where it ends.

    Sums are of the hours that begin in a day, so in zones of half hours it begins with the first of these.
    """
    day, last = (datetime.fromtimestamp(moment, zone).date() for moment in (start, end - 1))
    begins = [start]
    while day < last:
        day += timedelta(days=1)
        begins.append(midnight(day, zone))
    for first, after in reversed(list(pairwise([*begins, end]))):
        yield first, first, after
