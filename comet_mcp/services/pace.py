"""How fast keys and the balance are spent, from the API's sums, and when they run out by that.

It takes a call of the API for each day that is looked at, so it is asked for only where somebody wants to know when
keys end; what was learnt holds for all until the hour is over. Nothing is told where the API has no sums of keys, or
where they can't be had soon: a forecast is never worth a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.clock import Clock
from comet_mcp.concurrency import Deadline, together
from comet_mcp.domain.forecast import DAY, LEAST, Forecast, forecast
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.errors import APIError
from comet_mcp.services.call_budget import CallBudget
from comet_mcp.services.spending_sums import HOUR, LATE, SpendingSums

_WITHIN = 3.0
"""Seconds that are waited for sums."""


@dataclass(frozen=True, slots=True)
class _Stretches:
    """So many stretches of time of a length, up to an hour that is summed; of a key those since it was made."""

    seconds: int
    count: int

    def since(self, created: int, end: int) -> int:
        """How many of them a key has lived through."""
        return min(max(end - created, 0) // self.seconds, self.count)


_DAYS = _Stretches(DAY, 7)
_HOURS = _Stretches(2 * HOUR, 6)
"""For keys that are younger than some days."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The units of each key in some stretches up to `end`, the oldest first."""

    end: int
    sums: tuple[dict[int, int], ...]


class Pace:
    """Tells when keys and the balance of one account run out."""

    def __init__(self, api: CometAPI, clock: Clock, sums: SpendingSums) -> None:
        self._api = api
        self._clock = clock
        self._sums = sums
        self._known: dict[_Stretches, _Known] = {}
        self._lock = anyio.Lock(fast_acquire=True)

    async def look(self, rows: Iterable[Key], deadline: Deadline) -> None:
        """Ask for what a forecast for these keys needs, where that is not known yet. It raises nothing."""
        wanted = {stretches for row in rows if (stretches := self._stretches(row)) is not None}
        if not wanted or not self._sums.has_keys:
            return
        with anyio.move_on_after(min(_WITHIN, deadline.left / 2)):
            async with self._lock:
                for stretches in wanted:
                    await self._ask(stretches, deadline)

    def of_key(self, row: Key) -> Forecast | None:
        """When a key runs out, by what is known by now; None where it ends before, or that can't be told."""
        stretches = self._stretches(row) if self._known else None
        known = self._known.get(stretches) if stretches else None
        if stretches is None or known is None or known.end != self._end:
            return None
        count = stretches.since(row.created_time, known.end)
        trace = [sums.get(row.id, 0) for sums in known.sums[-count:]]
        found = forecast(trace, stretches.seconds, row.remain_quota, self._clock.now())
        return found if found and (row.expired_time == NEVER or found.at < row.expired_time) else None

    async def of_balance(self, left: int) -> Forecast | None:
        """When so many units of the balance are used up, by all that the account spent. Raises APIError."""
        end = self._end
        rows = await self._api.hour_sums(end - _DAYS.count * DAY, end - 1)
        trace = [0] * _DAYS.count
        for row in rows:
            age = (end - 1 - row.created_at) // DAY
            if 0 <= age < _DAYS.count:
                trace[-1 - age] += row.quota
        return forecast(_since_first(trace), DAY, left, self._clock.now())

    @property
    def _end(self) -> int:
        """The end of the last hour that is summed."""
        return (int(self._clock.now()) - LATE) // HOUR * HOUR

    def _stretches(self, row: Key) -> _Stretches | None:
        """What is looked at for a key; None for one that can't run out, or has not lived long enough."""
        if row.unlimited_quota or not row.used_quota or not row.state(self._clock.now()).works:
            return None
        for stretches in (_DAYS, _HOURS):
            if stretches.since(row.created_time, self._end) >= LEAST:
                return stretches
        return None

    async def _ask(self, stretches: _Stretches, deadline: Deadline) -> None:
        end, known = self._end, self._known.get(stretches)
        if (known and known.end == end) or await CallBudget(self._api, deadline).lacks(stretches.count):
            return
        starts = [end - number * stretches.seconds for number in range(stretches.count, 0, -1)]
        try:
            sums = await together(*(partial(self._sums.of_keys, at, at + stretches.seconds) for at in starts))
        except APIError:
            return  # see the module's docstring
        there = tuple(one for one in sums if one is not None)
        if len(there) == len(sums):
            self._known[stretches] = _Known(end, there)


def _since_first(trace: Sequence[int]) -> Sequence[int]:
    """The trace after the first day that something was spent, where none was before: that day was no whole one."""
    first = next((at for at, units in enumerate(trace) if units), len(trace))
    return trace[first + 1 :] if first else trace
