"""How many calls of the API one question about spending may make: half of them are left to those that change keys."""

from __future__ import annotations

import math

from comet_mcp.api.client import CometAPI
from comet_mcp.concurrency import Deadline
from comet_mcp.errors import RateLimitedError

_AT_ONCE = 10
"""Calls that are made before it is looked again what the other servers of this machine have made."""
_LEAST_SECONDS = 1.0
"""Less time than that is left to the answer itself."""


class CallBudget:
    """The calls of one question."""

    def __init__(self, api: CometAPI, deadline: Deadline) -> None:
        self._api = api
        self.deadline = deadline
        self._allowed = 0.0

    async def require(self, calls: int) -> None:
        """Raise RateLimitedError where not so many may be made now. Nothing was sent."""
        if await self.lacks(calls) == "calls":
            raise RateLimitedError(
                "Questions about spending may make half of the calls that the API allows in three minutes; the others "
                "are kept for keys. That half is used up. Nothing was sent. Try again in a minute.",
                retry_after=60,
            )

    async def lacks(self, calls: int = 1) -> str:
        """What is missing for so many calls more, "calls" or "time"; "" where nothing is, and they are counted."""
        if self.deadline.left < _LEAST_SECONDS:
            return "time"
        if self._allowed < calls:
            spare = await self._api.limit.spare()
            kept = self._api.limit.most // 2
            self._allowed = math.inf if spare is None else min(spare - kept, max(calls, _AT_ONCE))
            if self._allowed < calls:
                return "calls"
        self._allowed -= calls
        return ""
