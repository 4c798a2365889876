"""The end of a call, for work that goes on when the call itself is cancelled."""

from __future__ import annotations

from time import monotonic

MARGIN = 1.0
"""Seconds kept for what comes after the last call of the API: writing a file, writing the answer."""


class Deadline:
    """The moment by which an answer has to be under way."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds - min(MARGIN, seconds / 4)

    @property
    def left(self) -> float:
        """Seconds that are left; a little even when it has passed, so that a last call may still succeed."""
        return max(self._end - monotonic(), 0.05)

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return monotonic() >= self._end
