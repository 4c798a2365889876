"""The account's newest keys, in few calls for many creates."""

from __future__ import annotations

from time import monotonic

from comet_mcp.api.client import CometAPI
from comet_mcp.api.wire import TokenPage
from comet_mcp.domain.key import Key
from comet_mcp.keys.flights import Crowd, Flights
from comet_mcp.state.intents import Floor

_FIRST_PAGE = 20
_PAGE = 100
_MOST_PAGES = 20
_PATIENCE = 0.3
_PACE = (25, 1.0)
_FRESH = 0.1
"""Seconds for which a list may stand for one that is made now, as if its answer had been that long on the way."""
_CLOCKS_APART = 2
"""Seconds by which the clock of the Date headers and that of the rows may differ; a proxy can have one of its own."""


async def all_keys(api: CometAPI) -> list[Key]:
    """Every key of the account; the API's own search matches whole names only (measured). Raises APIError."""
    rows: dict[int, Key] = {}
    number = 1
    while True:
        page = await api.list_tokens(number, _PAGE)
        rows.update((row.id, row) for row in page.items)
        if len(page.items) < _PAGE or len(rows) < number * _PAGE - _PAGE // 2:
            return list(rows.values())  # the last page, or an API that gives the same page again and again
        number += 1


class KeyPages:
    """Pages of keys, each asked for once by all who want it at that moment."""

    def __init__(self, api: CometAPI) -> None:
        self._api = api
        self._flights: dict[tuple[int, int], Flights[None, TokenPage]] = {}

    async def get(self, number: int, size: int) -> TokenPage:
        """The page as the API has it after the question was asked. Raises APIError."""
        if len(self._flights) > _MOST_PAGES:
            self._flights.clear()

        async def fetch(_: list[None], seconds: float) -> TokenPage:
            return await self._api.list_tokens(number, size, seconds=seconds)

        flights = self._flights.setdefault((number, size), Flights(fetch))
        return await flights.join(None, self._api.seconds)


class NewestKeys:
    """The newest id, and the rows above a floor, as the API has them after the question was asked."""

    def __init__(self, api: CometAPI, creating: Crowd) -> None:
        """`creating` are the creates whose answer is awaited: a list waits for them, so that it shows their rows."""
        self._api = api
        self._known: int | None = None
        self._asked = 0.0
        self._clocks_agree: bool | None = None
        self._ids = Flights(self._newest_id, pace=_PACE)
        self._rows = Flights(self._rows_above, creating, _PATIENCE, _PACE)

    async def floor(self, seconds: float) -> Floor:
        """The floor of a create that is sent now. Raises APIError.

        Once a list was seen, it costs no call: newer rows that somebody else made are told by the API's own clock.
        That clock is believed once a key of ours was dated by it, and never again after one that was not.
        """
        clock = self._api.clock.at_least()
        if self._known is not None and clock is not None and self._clocks_agree:
            return Floor(self._known, clock - _CLOCKS_APART)
        if self._known is not None and monotonic() - self._asked < _FRESH:
            return Floor(self._known)
        return Floor(await self._ids.join(None, seconds))

    def compare_clocks(self, sent: int | None, row: Key) -> None:
        """Learn from a key of ours that has just been found; `sent` is when its create was, by the Date headers."""
        now = self._api.clock.at_least()
        if sent is None or now is None or self._clocks_agree is False:
            return
        self._clocks_agree = sent - _CLOCKS_APART <= row.created_time <= now + 1 + _CLOCKS_APART

    def doubt_clocks(self) -> None:
        """Believe the Date headers no more: they may have hidden a row."""
        self._clocks_agree = False

    async def above(self, floor: Floor, seconds: float) -> list[Key]:
        """Every row above `floor`, newest first. Raises APIError."""
        return floor.below(await self._rows.join(floor.id, seconds))

    async def _newest_id(self, _: list[None], seconds: float) -> int:
        asked = monotonic()
        page = await self._api.list_tokens(1, 1, seconds=seconds)
        self._known, self._asked = max((row.id for row in page.items), default=0), asked
        return self._known

    async def _rows_above(self, floors: list[int], seconds: float) -> list[Key]:
        asked = monotonic()
        rows = await self._listed(min(floors), len(floors), seconds)
        self._known, self._asked = max((row.id for row in rows), default=0), asked
        return rows

    async def _listed(self, floor: int, asked: int, seconds: float) -> list[Key]:
        if asked < _FIRST_PAGE // 2:
            rows = (await self._api.list_tokens(1, _FIRST_PAGE, seconds=seconds)).items
            if len(rows) < _FIRST_PAGE or min(row.id for row in rows) <= floor:
                return rows
        found: dict[int, Key] = {}
        for number in range(1, _MOST_PAGES + 1):
            rows = (await self._api.list_tokens(number, _PAGE, seconds=seconds)).items
            found.update((row.id, row) for row in rows)
            if len(rows) < _PAGE or min(row.id for row in rows) <= floor:
                break
        return list(found.values())
