"""The account's newest keys, in few calls for many creates."""

from __future__ import annotations

from comet_mcp.client import CometAPI
from comet_mcp.flights import Crowd, Flights
from comet_mcp.wire import Token

_FIRST_PAGE = 20
_PAGE = 100
_MOST_PAGES = 20
_PATIENCE = 0.3


class NewestKeys:
    """The newest id, and the rows above one, as the API has them after the question was asked."""

    def __init__(self, api: CometAPI, creating: Crowd) -> None:
        """`creating` are the creates whose answer is awaited: a list waits for them, so that it shows their rows."""
        self._api = api
        self._ids = Flights(self._newest_id)
        self._rows = Flights(self._rows_above, creating, _PATIENCE)

    async def id(self, seconds: float) -> int:
        """The newest key's id, 0 where the account has none. Raises APIError."""
        return await self._ids.join(None, seconds)

    async def above(self, floor: int, seconds: float) -> list[Token]:
        """Every row with an id above `floor`, newest first. Raises APIError."""
        return [row for row in await self._rows.join(floor, seconds) if row.id > floor]

    async def _newest_id(self, _: list[None], seconds: float) -> int:
        page = await self._api.list_tokens(1, 1, seconds=seconds)
        return max((row.id for row in page.items), default=0)

    async def _rows_above(self, floors: list[int], seconds: float) -> list[Token]:
        floor = min(floors)
        if len(floors) < _FIRST_PAGE // 2:
            rows = (await self._api.list_tokens(1, _FIRST_PAGE, seconds=seconds)).items
            if len(rows) < _FIRST_PAGE or min(row.id for row in rows) <= floor:
                return rows
        found: dict[int, Token] = {}
        for number in range(1, _MOST_PAGES + 1):
            rows = (await self._api.list_tokens(number, _PAGE, seconds=seconds)).items
            found.update((row.id, row) for row in rows)
            if len(rows) < _PAGE or min(row.id for row in rows) <= floor:
                break
        return list(found.values())
