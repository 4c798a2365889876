"""The account's keys, in few calls for many who ask at once."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import MAX_KEYS, TokenPage
from comet_mcp.clock import Clock
from comet_mcp.concurrency import Pending, SingleFlight
from comet_mcp.domain.key import Key
from comet_mcp.errors import APIError
from comet_mcp.journal.operations import Watermark

_FIRST_PAGE = 20
_PAGE = 100
_MOST_PAGES = 1_000
"""The API holds a thousand keys of an account; a gateway may give one a page."""
_MOST_BYTES = 8 * 1024 * 1024
"""Bytes of pages that are read for one question; a thousand keys have 0.6 MB."""
_MOST_FLIGHTS = 20
_MAX_WAIT = 0.3
_RATE = (25, 1.0)
_FRESH = 0.1
"""Seconds for which a list may stand for one that is made now, as if its answer had been that long on the way."""
_CLOCKS_APART = 2
"""Seconds by which the clock of the Date headers and that of the rows may differ; a proxy can have one of its own."""


class EndlessListError(APIError):
    """The API lists more keys than are looked at."""

    code = "too_many_keys_listed"


async def pages(api: CometAPI, size: int = _PAGE, seconds: float | None = None) -> AsyncIterator[list[Key]]:
    """The account's keys page by page, newest first, each row once.

    Some gateways page by 10 or 50 whatever was asked for: `total` says when all are there, an empty page or one without
    anything new where it does not.

    Raises:
        EndlessListError: There are more, after as many as are looked at.
        APIError: A page can't be had.
    """
    known: set[int] = set()
    read = 0
    for number in range(1, _MOST_PAGES + 1):
        if len(known) >= MAX_KEYS or read >= _MOST_BYTES:
            break
        page = await api.list_tokens(number, size, seconds=seconds)
        read += page.size
        fresh = [row for row in page.items if row.id not in known]
        known.update(row.id for row in fresh)
        if fresh:
            yield fresh
        if not fresh or len(known) >= page.total:
            return
    raise EndlessListError(f"The API lists more keys than are looked at: the newest {len(known)}.")


async def all_keys(api: CometAPI) -> tuple[list[Key], bool]:
    """Every key of the account, and whether it is every one: of an endless list the newest. Raises APIError.

    The API's own search matches whole names only (measured).
    """
    rows: list[Key] = []
    try:
        async for page in pages(api):
            rows += page
    except EndlessListError:
        return rows, False
    return rows, True


class KeyPages:
    """Pages of keys, each asked for once by all who want it at that moment."""

    def __init__(self, api: CometAPI) -> None:
        self._api = api
        self._flights: dict[tuple[int, int], SingleFlight[None, TokenPage]] = {}

    async def get(self, number: int, size: int) -> TokenPage:
        """The page as the API has it after the question was asked. Raises APIError."""
        if len(self._flights) > _MOST_FLIGHTS:
            self._flights.clear()

        async def fetch(_: list[None], seconds: float) -> TokenPage:
            return await self._api.list_tokens(number, size, seconds=seconds)

        flight = self._flights.setdefault((number, size), SingleFlight(fetch, self._api.clock))
        return await flight.join(None, self._api.seconds)


class NewestKeys:
    """The newest id, and the rows above a watermark, as the API has them after the question was asked."""

    def __init__(self, api: CometAPI, clock: Clock, creating: Pending) -> None:
        """`creating` are the creates whose answer is awaited: a list waits for them, so that it shows their rows."""
        self._api = api
        self._clock = clock
        self._known: Watermark | None = None
        self._asked = 0.0
        self._clocks_agree: bool | None = None
        self._dated = -math.inf
        """What the clock of the rows has surely reached, less the monotonic one."""
        self._ids: SingleFlight[None, Watermark] = SingleFlight(self._newest, clock, rate=_RATE)
        self._rows: SingleFlight[int, list[Key]] = SingleFlight(
            self._rows_above, clock, pending=creating, max_wait=_MAX_WAIT, rate=_RATE
        )

    async def watermark(self, seconds: float) -> Watermark:
        """What the row of a create that is sent now is above. Raises APIError.

        Once a list was seen, it costs no call: newer rows that somebody else made are told by the API's own clock.
        That clock is believed once a key of ours was dated by it, and never again after one that was not. Nor is it
        ever believed to be later than the clock that has dated our keys shows by now.
        """
        reached = self._clock.api_reached()
        if self._known is not None and reached is not None and self._clocks_agree:
            dated = math.floor(self._dated + self._clock.monotonic())
            return self._known._replace(since=min(reached, dated) - _CLOCKS_APART)
        if self._known is not None and self._clock.monotonic() - self._asked < _FRESH:
            return self._known
        return await self._ids.join(None, seconds)

    def compare_clocks(self, sent: int | None, row: Key) -> None:
        """Learn from a key of ours that has just been found; `sent` is when its create was, by the Date headers."""
        now = self._clock.api_reached()
        if sent is None or now is None or self._clocks_agree is False:
            return
        self._clocks_agree = sent - _CLOCKS_APART <= row.created_time <= now + 1 + _CLOCKS_APART
        self._dated = max(self._dated, row.created_time - self._clock.monotonic())

    def doubt_clocks(self) -> None:
        """Believe the Date headers no more: they may have hidden a row."""
        self._clocks_agree = False

    async def above(self, watermark: Watermark, seconds: float) -> list[Key]:
        """Every row above the watermark, newest first. Raises APIError."""
        return watermark.above(await self._rows.join(watermark.id, seconds))

    async def _newest(self, _: list[None], seconds: float) -> Watermark:
        asked = self._clock.monotonic()
        return self._note((await self._api.list_tokens(1, 1, seconds=seconds)).items, asked)

    async def _rows_above(self, marks: list[int], seconds: float) -> list[Key]:
        asked = self._clock.monotonic()
        rows: list[Key] = []
        size = _FIRST_PAGE if len(marks) < _FIRST_PAGE // 2 else _PAGE
        async for page in pages(self._api, size, seconds):
            rows += page
            if min(row.id for row in page) <= min(marks):
                break
        self._note(rows, asked)
        return rows

    def _note(self, rows: list[Key], asked: float) -> Watermark:
        newest = max(rows, key=lambda row: row.id, default=None)
        self._known = Watermark(newest.id, 0, newest.created_time) if newest else Watermark(0)
        self._asked = asked
        return self._known
