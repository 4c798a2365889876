"""The end of a call, for work that goes on when the call itself is cancelled."""

from __future__ import annotations

from time import monotonic

from comet_mcp.errors import UnsentError

MARGIN = 1.0
"""Seconds kept for what comes after the last call of the API: writing a file, writing the answer."""


class Deadline:
    """The moment by which an answer has to be under way."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds - min(MARGIN, seconds / 4)
        self._to_write = seconds / 4

    def require_time_to_write(self) -> None:
        """Raise UnsentError where so little time is left that the answer to a write would hardly be waited for."""
        if self._end - monotonic() < self._to_write:
            raise UnsentError(
                "The API is slow, and too little time was left to change something and to see what came of it. "
                "Nothing was sent. Try again.",
                code="timed_out",
            )

    @property
    def left(self) -> float:
        """Seconds that are left; a little even when it has passed, so that a last read may still succeed."""
        return max(self._end - monotonic(), 0.05)

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return monotonic() >= self._end
