"""The API's limit of calls, minded by all servers of this machine together.

Measured: 360 calls in three minutes, counted per address. The servers of a user have one journal, in which each takes
shares of these calls ahead, so that hardly a call waits for a step of its own. What was made of a share counts for
three minutes from the call on, as the API counts it. What was taken ahead may be used for half a minute, and counts for
three minutes more, since its server may have died after calls that nobody noted; one that lives gives it back.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import anyio

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

_TOGETHER = 10
"""Calls are counted together whose ends lie within so many seconds: a share has few rows then."""

_LOW = 8
"""More calls are taken ahead where no more than these are left."""

AT_FIRST = 3
"""Calls that a server may make before it has taken any ahead. Some more lie between our limit and the API's."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls that count for so many seconds from now."""

    calls: int
    seconds: float


@dataclass(slots=True)
class _Reserved:
    """Calls that are held for a write and not made yet."""

    left: int


_RESERVED: ContextVar[_Reserved | None] = ContextVar("reserved", default=None)

Share = Callable[[int], Awaitable[bool]]
"""Has so many calls ahead, as far as others have left them, and allows what it got; False where nobody shares."""

Look = Callable[[], Awaitable[int]]
"""How many calls the other servers have made or taken ahead, of those that count now."""


class RateLimit:
    """Keeps the servers under the API's limit, so that none is locked out for three minutes by a 429.

    A write is refused before it begins, or not at all: a change whose correction is refused leaves a key with quota
    that nobody gave it. What a write takes beyond its reservation goes into the 10 calls between our limit and the
    API's.
    """

    def __init__(self, calls: int, clock: Clock) -> None:
        """At most `calls` in any three minutes; 0 for no limit."""
        self.most = calls
        self._clock = clock
        self._made: deque[float] = deque()
        self._held = 0
        self.total = 0
        """All calls that were ever made."""
        self._take_share: Share | None = None
        self._look: Look | None = None
        self._share_end = 0
        """The total up to which calls may be made, where they are shared."""
        self._shared_at = 0.0
        self._others: tuple[Counted, ...] = ()
        self._asked: list[int] = []
        """What is asked for at this moment."""
        self._gives_back = False
        self._has_share = False
        self._taken = anyio.Event()

    def share(self, take: Share, look: Look | None = None) -> None:
        """Share the calls with other servers from now on; a few may be made before any were taken."""
        self._take_share, self._look = take, look
        self._share_end = self.total + AT_FIRST
        self._shared_at = self._clock.monotonic()

    async def spare(self) -> int | None:
        """How many calls all servers together may make now that no write of this one holds; None for any number.

        None are taken ahead: it is for work that leaves most of them to others.
        """
        if not self.most:
            return None
        others = await self._look() if self._look else 0
        self._forget()
        return max(self.most - len(self._made) - self._held - others, 0)

    async def count(self) -> None:
        """Count a call that is about to be sent. Raises RateLimitedError where it would be one too many."""
        await self.require_room(1)
        reserved = _RESERVED.get()
        if reserved is not None and reserved.left:
            reserved.left -= 1
            self._held -= 1
        if self.most:
            self._made.append(self._clock.monotonic())
            self.total += 1

    @property
    def counted(self) -> list[Counted]:
        """The calls of this server that the API still counts."""
        self._forget()
        now = self._clock.monotonic()
        ends = Counter(math.ceil((at + WINDOW - now) / _TOGETHER) * _TOGETHER for at in self._made)
        return [Counted(calls, seconds) for seconds, calls in ends.items()]

    def due(self) -> int | None:
        """How many calls to have ahead by the journal's next step: more where few are left, fewer where many are.

        What is given back is not made from now on, since another server has it once the step is done.
        """
        gives_back, self._gives_back = self._gives_back, False
        if self._asked:
            return None
        if self._free <= _LOW and not gives_back:
            return self._wanted
        if self._left <= self._enough + _LOW and not gives_back:
            return None
        ahead = self._held if gives_back else self._enough
        self._share_end = min(self._share_end, self.total + ahead)
        return ahead

    def allow(self, ahead: int, others: tuple[Counted, ...] = (), *, total: int, at: float) -> None:
        """Allow what was taken ahead.

        Args:
            ahead: How many calls.
            others: What the other servers have.
            total: After how many calls in all it was asked for.
            at: When, by the monotonic clock.
        """
        self._share_end, self._shared_at, self._others = total + ahead, at, others
        self._has_share = self._left > 0
        if self._has_share:
            self._taken.set()

    def give_back(self) -> bool:
        """Have the journal's next step give back what was taken ahead and not made. False where nothing was."""
        self._gives_back, self._has_share = self._has_share, False
        return self._gives_back

    async def share_ends(self) -> None:
        """Wait until calls were taken ahead and may not be made any more."""
        while not self._has_share or self._shared_at + SHARE_HOLDS > self._clock.monotonic():
            if self._has_share:
                await self._clock.sleep(self._shared_at + SHARE_HOLDS - self._clock.monotonic())
            else:
                self._taken = anyio.Event()
                await self._taken.wait()

    async def require_room(self, calls: int) -> None:
        """Raise RateLimitedError unless so many calls may be made now. Inside `reserved` they always may."""
        if not self.most or _RESERVED.get() is not None:
            return
        calls = min(calls, max(self.most // 2, 1))  # a low limit makes writes rare, not impossible
        await self._take_more(calls)
        if self._free >= calls:
            return
        wait = self._frees_in(calls)
        raise RateLimitedError(
            f"This server makes at most {self.most} calls of the API in three minutes, together with others on this "
            "machine, since the API would lock it out, and too few of them are left for now. Nothing was sent. Try "
            f"again in {wait} seconds.",
            retry_after=wait,
        )

    async def _take_more(self, calls: int) -> None:
        """Take so many calls ahead, as far as the other servers have left them."""
        while self._free < calls and self._take_share is not None:
            asked = max(self._wanted, self._held + calls, *self._asked)  # the last one to be granted is what holds
            end = self.total + asked
            self._asked.append(asked)
            try:
                is_shared = await self._take_share(asked)
            finally:
                self._asked.remove(asked)
            if not is_shared:
                alone = max(self.most - len(self._made), 0)
                self.allow(alone, total=self.total, at=self._clock.monotonic())
                return
            if self._share_end < end:  # else there are more: other writes of this server took these meanwhile
                return

    def _frees_in(self, calls: int) -> int:
        """Seconds after which so many calls may be made, by what all servers have now."""
        now = self._clock.monotonic()
        ends = [(at + WINDOW - now, 1) for at in self._made]
        ends += [(other.seconds - (now - self._shared_at), other.calls) for other in self._others]
        wait, over = float(_HELD_FOR), sum(counted for _, counted in ends) + calls - self.most
        for seconds, counted in sorted(ends):
            if over <= 0:  # else writes that are under way hold them
                break
            wait, over = seconds, over - counted
        return max(math.ceil(wait), 1)

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

    @property
    def _left(self) -> int:
        """How many calls may be made, those that writes hold included."""
        self._forget()
        return (self.most - len(self._made)) if self._take_share is None else self._share_end - self.total

    @property
    def _free(self) -> int:
        """How many calls may be made that no write holds."""
        return self._left - self._held

    @property
    def _enough(self) -> int:
        """The calls that writes hold, and as many more as are likely to be made soon, by what was made."""
        return self._held + max(2 * WRITE_CALLS, min(len(self._made) + self._held, 60))

    @property
    def _wanted(self) -> int:
        """How many calls to have ahead. What may be made is not given back: it is made while a share is taken."""
        return max(self._enough, self._left)

    def _forget(self) -> None:
        """Drop the calls that the API does not count any more, and what was taken ahead too long ago."""
        now = self._clock.monotonic()
        while self._made and self._made[0] <= now - WINDOW:
            self._made.popleft()
        if self._shared_at <= now - SHARE_HOLDS:
            self._share_end = min(self._share_end, self.total + self._held)
