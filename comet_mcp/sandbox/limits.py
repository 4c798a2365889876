"""How many calls the API takes from one caller (measured: counted per window, refused with 429)."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

Limit = Literal["api", "search", "critical"]

LIMITS: dict[Limit, tuple[int, int]] = {"api": (360, 180), "search": (10, 60), "critical": (20, 1200)}
"""Calls and seconds: all of /api; searches; revealing a key, asking for usage and a key's log together.

Searches, of keys and of the log together, are counted by account; the others by address (measured)."""


class RateLimits:
    """Counts calls by limit and caller. Switched off, it admits everything."""

    def __init__(self, clock: Callable[[], float], *, enabled: bool) -> None:
        self.clock = clock
        self.enabled = enabled
        self._calls: dict[tuple[Limit, str], deque[int]] = {}
        self._lock = threading.Lock()

    def refused_for(self, limit: Limit, caller: str) -> int:
        """Count one call; 0 when it is admitted, else the seconds the server tells the caller to wait."""
        if not self.enabled:
            return 0
        most, window = LIMITS[limit]
        now = int(self.clock())
        with self._lock:
            calls = self._calls.setdefault((limit, caller), deque(maxlen=most))
            if len(calls) == most and now - calls[0] < window:
                # Measured: the whole window, however much of it has passed.
                return window
            calls.append(now)
            return 0
