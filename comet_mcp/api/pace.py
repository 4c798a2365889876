"""The API's pace: how many calls it takes, and what its clock shows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import monotonic

from comet_mcp.errors import RateLimitedError

WINDOW = 180.0
"""Seconds over which the API counts calls (measured: 360 per IP)."""

WRITE_CALLS = 6
"""Calls that a create or a change takes with all that follows it: it is read back, corrected, its value is read."""

_HELD_FOR = 5
"""Seconds after which a change that is under way is over, as a rule."""


@dataclass(slots=True)
class _Room:
    """Calls that are held for a write and not made yet."""

    left: int


_ROOM: ContextVar[_Room | None] = ContextVar("room", default=None)


class CallLimit:
    """Keeps this server under the API's limit, so that it is not locked out for three minutes by a 429.

    A write is refused before it begins, or not at all: a change whose correction is refused leaves a key with quota
    that nobody gave it. What a write takes beyond its room goes into the 10 calls between our limit and the API's.
    """

    def __init__(self, calls: int) -> None:
        """At most `calls` in any three minutes; 0 for no limit."""
        self._calls = calls
        self._made: deque[float] = deque()
        self._held = 0

    def count(self) -> None:
        """Count a call that is about to be sent. Raises RateLimitedError where it would be one too many."""
        self.require_room(1)
        room = _ROOM.get()
        if room is not None and room.left:
            room.left -= 1
            self._held -= 1
        if self._calls:
            self._made.append(monotonic())

    def require_room(self, calls: int) -> None:
        """Raise RateLimitedError unless so many calls may be made now. Inside `room` they always may."""
        if not self._calls or _ROOM.get() is not None:
            return
        now = monotonic()
        while self._made and self._made[0] <= now - WINDOW:
            self._made.popleft()
        calls = min(calls, max(self._calls // 2, 1))  # a low limit makes writes rare, not impossible
        if len(self._made) + self._held + calls <= self._calls:
            return
        over = len(self._made) + calls - self._calls
        wait = math.ceil(self._made[over - 1] + WINDOW - now) if over > 0 else _HELD_FOR
        raise RateLimitedError(
            f"This server makes at most {self._calls} calls of the API in three minutes, since the API would lock it "
            f"out, and too few of them are left for now. Nothing was sent. Try again in {wait} seconds.",
            retry_after=wait,
        )

    @contextmanager
    def room(self, calls: int, *, shared: int = 0) -> Iterator[None]:
        """A context for a write, in which no call is refused here. A room inside another is part of that one.

        Args:
            calls: How many the write may take. They are kept from others until it is over.
            shared: How many of these it shares with other writes, so that they are not kept for each.

        Raises:
            RateLimitedError: There are not so many left. Nothing was sent.
        """
        if _ROOM.get() is not None:
            yield
            return
        self.require_room(calls)
        room = _Room(calls - shared if self._calls else 0)
        self._held += room.left
        entered = _ROOM.set(room)
        try:
            yield
        finally:
            _ROOM.reset(entered)
            self._held -= room.left


class APIClock:
    """The API's own time, by the Date header of its answers."""

    def __init__(self) -> None:
        self._date: float | None = None
        self._heard = 0.0

    def hear(self, date: str | None) -> None:
        """Note an answer's Date header."""
        try:
            self._date = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):  # a date that nobody can read, or too large a one
            return
        self._heard = monotonic()

    def at_least(self) -> int | None:
        """A time in Unix seconds that the API's clock has surely reached; None while it was never heard."""
        return None if self._date is None else math.floor(self._date + monotonic() - self._heard)
