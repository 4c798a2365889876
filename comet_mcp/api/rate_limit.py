"""The API's limit of calls, minded by all servers of this machine together.

Measured: 360 calls in three minutes, counted per address. The servers of a user have one journal, in which each takes
shares of these calls ahead, so that hardly a call waits for a step of its own. A share may be used for half a minute,
and is counted for three minutes more, since the API still counts what was called at its end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from comet_mcp.clock import Clock
from comet_mcp.errors import RateLimitedError

WINDOW = 180.0
"""Seconds over which the API counts calls (measured: 360 per IP)."""

SHARE_HOLDS = 30.0
"""Seconds for which calls that were taken ahead may be made. A server that has died keeps them from others so long."""

WRITE_CALLS = 6
"""Calls that a create or a change takes with all that follows it: it is read back, corrected, its value is read."""

_HELD_FOR = 5
"""Seconds after which a change that is under way is over, as a rule."""

_TAKEN_FOR = 60
"""Seconds after which it is worth asking again where others have taken the calls."""

_LOW = 8
"""More calls are taken ahead where no more than these are left."""

AT_FIRST = 3
"""Calls that a server may make before it has taken any ahead. Some more lie between our limit and the API's."""


@dataclass(slots=True)
class _Reserved:
    """Calls that are held for a write and not made yet."""

    left: int


_RESERVED: ContextVar[_Reserved | None] = ContextVar("reserved", default=None)

Share = Callable[[int], Awaitable[bool]]
"""Takes as many calls ahead as this server has need of, and allows what it got; False where nobody shares."""


class RateLimit:
    """Keeps the servers under the API's limit, so that none is locked out for three minutes by a 429.

    A write is refused before it begins, or not at all: a change whose correction is refused leaves a key with quota
    that nobody gave it. What a write takes beyond its reservation goes into the 10 calls between our limit and the
    API's.
    """

    def __init__(self, calls: int, clock: Clock) -> None:
        """At most `calls` in any three minutes; 0 for no limit."""
        self.most = calls
        self._allowed = calls
        self._allowed_at = 0.0
        self._clock = clock
        self._made: deque[float] = deque()
        self._held = 0
        self.has_share = False
        """Whether calls were taken ahead."""
        self.take_share: Share | None = None
        """Where the calls are shared with other servers."""

    async def count(self) -> None:
        """Count a call that is about to be sent. Raises RateLimitedError where it would be one too many."""
        await self.require_room(1)
        reserved = _RESERVED.get()
        if reserved is not None and reserved.left:
            reserved.left -= 1
            self._held -= 1
        if self.most:
            self._made.append(self._clock.monotonic())

    @property
    def wanted(self) -> int:
        """How many calls this server may make soon, by what it made: what a share is asked for."""
        self._forget()
        used = len(self._made) + self._held
        # calls are made while a share is taken: what may be made is not given back before it holds no longer
        return max(used + max(2 * WRITE_CALLS, min(used, 60)), self._allowed)

    @property
    def is_low(self) -> bool:
        """Whether more calls should be taken ahead."""
        return bool(self.most) and len(self._made) + self._held + _LOW >= self._allowed

    @property
    def made(self) -> int:
        """The calls of this server that the API still counts."""
        self._forget()
        return len(self._made)

    def allow(self, calls: int) -> None:
        """What this server may make of the calls now."""
        self._allowed = min(calls, self.most)
        self.has_share = self._allowed > AT_FIRST
        self._allowed_at = self._clock.monotonic()

    async def require_room(self, calls: int) -> None:
        """Raise RateLimitedError unless so many calls may be made now. Inside `reserved` they always may."""
        if not self.most or _RESERVED.get() is not None:
            return
        calls = min(calls, max(self.most // 2, 1))  # a low limit makes writes rare, not impossible
        while not self._has_room(calls):
            if self.take_share is None:
                break
            asked = max(self.wanted, len(self._made) + self._held + calls)
            if not await self.take_share(asked):
                self.allow(self.most)
                break
            if self._allowed < asked:  # else there are more: other writes of this server took these meanwhile
                break
        if self._has_room(calls):
            return
        over = len(self._made) + calls - self._allowed
        wait = _HELD_FOR if self._held else _TAKEN_FOR
        if 0 < over <= len(self._made):
            wait = math.ceil(self._made[over - 1] + WINDOW - self._clock.monotonic())
        raise RateLimitedError(
            f"This server makes at most {self.most} calls of the API in three minutes, together with others on this "
            "machine, since the API would lock it out, and too few of them are left for now. Nothing was sent. Try "
            f"again in {wait} seconds.",
            retry_after=wait,
        )

    @asynccontextmanager
    async def reserved(self, calls: int, *, shared: int = 0) -> AsyncIterator[None]:
        """A context for a write, in which no call is refused here. One inside another is part of that one.

        Args:
            calls: How many the write may take. They are kept from others until it is over.
            shared: How many of these it shares with other writes, so that they are not kept for each.

        Raises:
            RateLimitedError: There are not so many left. Nothing was sent.
        """
        if _RESERVED.get() is not None:
            yield
            return
        await self.require_room(calls)
        reserved = _Reserved(calls - shared if self.most else 0)
        self._held += reserved.left
        entered = _RESERVED.set(reserved)
        try:
            yield
        finally:
            _RESERVED.reset(entered)
            self._held -= reserved.left

    def _has_room(self, calls: int) -> bool:
        self._forget()
        return len(self._made) + self._held + calls <= self._allowed

    def _forget(self) -> None:
        """Drop the calls that the API does not count any more, and a share that holds no longer."""
        now = self._clock.monotonic()
        while self._made and self._made[0] <= now - WINDOW:
            self._made.popleft()
        if self.take_share is not None and self._allowed_at <= now - SHARE_HOLDS:
            self._allowed = min(self._allowed, len(self._made) + self._held)
