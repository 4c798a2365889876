"""What happens later, by the sandbox's own clock."""

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[float], None]
"""What is done at its time; the time that it was due, in Unix seconds, is its argument."""


class Agenda:
    """Actions with their times. Nothing runs by itself: whoever looks at the state lets what is due happen first.

    So a clock that a test turns on moves the sandbox on, without threads and without waiting.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()

    def add(self, time: float, action: Action) -> None:
        """Do that at `time`, in Unix seconds."""
        heapq.heappush(self._entries, (time, next(self._numbers), action))

    def catch_up(self, now: float) -> None:
        """Do what is due by now, in the order of its times."""
        while self._entries and self._entries[0][0] <= now:
            time, _, action = heapq.heappop(self._entries)
            action(time)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
