"""The account's newest keys, asked for once on behalf of everyone who wants to know at that moment.

Two hundred creates at once would else list two hundred times and run into the API's limit of 360 calls in three
minutes. Who asks while a listing is under way waits for the next one, since the running one may have been answered
before their key was made; all who wait share it.
"""

from __future__ import annotations

import anyio

from comet_mcp.client import CometAPI
from comet_mcp.wire import Token

_FIRST_PAGE = 20
_PAGE = 100
_MOST_PAGES = 20


class NewestKeys:
    """The rows newer than a given id, by listings that begin after the question was asked."""

    def __init__(self, api: CometAPI) -> None:
        self._api = api
        self._lock = anyio.Lock()
        self._begun = 0
        self._floors: list[int] = []
        self._rows: list[Token] = []
        self._listed_from = 0

    async def above(self, floor: int, seconds: float) -> list[Token]:
        """Every row with an id above `floor`, newest first. Raises APIError.

        Args:
            floor: An id; 0 for all.
            seconds: How long one call of the API may take.
        """
        asked = self._begun
        self._floors.append(floor)
        try:
            async with self._lock:
                if self._begun == asked or self._listed_from > floor:
                    await self._list(seconds)
                return [row for row in self._rows if row.id > floor]
        finally:
            self._floors.remove(floor)

    async def id(self, seconds: float) -> int:
        """The newest key's id, 0 where the account has none. Raises APIError."""
        page = await self._api.list_tokens(1, 1, seconds=seconds)
        return max((row.id for row in page.items), default=0)

    async def _list(self, seconds: float) -> None:
        self._begun += 1
        floor = min(self._floors)
        rows = (await self._api.list_tokens(1, _FIRST_PAGE, seconds=seconds)).items
        if len(rows) >= _FIRST_PAGE and min(row.id for row in rows) > floor:
            rows = await self._all_above(floor, seconds)
        self._rows, self._listed_from = rows, floor

    async def _all_above(self, floor: int, seconds: float) -> list[Token]:
        found: dict[int, Token] = {}
        for number in range(1, _MOST_PAGES + 1):
            items = (await self._api.list_tokens(number, _PAGE, seconds=seconds)).items
            found.update((row.id, row) for row in items)
            if len(items) < _PAGE or min(row.id for row in items) <= floor:
                break
        return list(found.values())
