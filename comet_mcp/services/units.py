"""Whether the API counts in the quota units that this server takes for a dollar: else every budget is another one."""

from __future__ import annotations

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.money import Units
from comet_mcp.errors import APIError, RateLimitedError, RefusedError, SettingsError

_WITHIN = 2.0
"""Seconds for which a gateway is asked what its quota unit is worth."""


class UnitsCheck:
    """Asks once a process, before a budget is given, where the settings do not say what a unit is worth."""

    def __init__(self, units: Units, api: CometAPI) -> None:
        self._units = units
        self._api = api
        self._is_done = not units.is_assumed
        self._asking: anyio.Event | None = None
        self._worth: int | None = None

    async def require(self) -> None:
        """Raise SettingsError where the API says that its units are others.

        An API that has no such call is taken at the usual worth. One that could not be asked is, too, and asked again
        before the next budget. Calls that come at once ask it once.
        """
        if self._is_done:
            return
        if self._asking is not None:
            await self._asking.wait()
        else:
            self._asking = anyio.Event()
            try:
                await self._ask()
            finally:
                self._asking.set()
                self._asking = None
        if self._worth is not None and self._worth != self._units.per_usd:
            raise SettingsError(
                f"This API counts {self._worth} quota units to a US dollar, not {self._units.per_usd}, so the budget "
                "would be another one than was meant. Nothing was changed. The person who runs this server has to set "
                f"COMETAPI_MCP_UNITS_PER_USD to {self._worth} and restart it."
            )

    async def _ask(self) -> None:
        try:
            self._worth = await self._api.units_per_usd(seconds=_WITHIN)
        except RateLimitedError:
            return
        except RefusedError:
            self._worth = None
        except APIError:
            return
        self._is_done = self._worth is None or self._worth == self._units.per_usd
