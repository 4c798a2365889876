"""The API's pace: how many calls it takes, and what its clock shows."""

from __future__ import annotations

import math
from collections import deque
from email.utils import parsedate_to_datetime
from time import monotonic

from comet_mcp.errors import RateLimitedError

WINDOW = 180.0
"""Seconds over which the API counts calls (measured: 360 per IP)."""


class CallLimit:
    """Keeps this server under the API's limit, so that it is not locked out for three minutes by a 429."""

    def __init__(self, calls: int) -> None:
        """At most `calls` in any three minutes; 0 for no limit."""
        self._calls = calls
        self._made: deque[float] = deque()

    def count(self) -> None:
        """Count a call that is about to be sent. Raises RateLimitedError where it would be one too many."""
        if not self._calls:
            return
        now = monotonic()
        while self._made and self._made[0] <= now - WINDOW:
            self._made.popleft()
        if len(self._made) >= self._calls:
            wait = math.ceil(self._made[0] + WINDOW - now)
            raise RateLimitedError(
                f"This server has made {self._calls} calls of the API in three minutes, and makes no more for now, "
                f"since the API would lock it out. Nothing was sent. Try again in {wait} seconds.",
                retry_after=wait,
            )
        self._made.append(now)


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
