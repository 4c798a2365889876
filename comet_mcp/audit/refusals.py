"""Refused calls, which change nothing: the first of a kind has a row at once, those that follow soon share one.

What is not written yet is written with the next row of the trail, and when the server ends. One that is killed loses
the count of at most the last minute, of calls that did nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comet_mcp.clock import Clock

SUMMED_FOR = 60.0
"""Seconds in which equal refusals have one row."""

_SAME = ("account", "tool", "outcome")
"""What makes refusals equal. Not the client: each message of the newer era may name another one."""


@dataclass(slots=True)
class _Kind:
    written: float
    unwritten: dict[str, Any] | None = None


class Refusals:
    """Those of one server. An entry is that of its last call, with how often it was refused since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: dict[tuple[Any, ...], _Kind] = {}

    def add(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        """Count a refusal. Gives the entries that are to be written now."""
        now, kind = self._clock.monotonic(), tuple(entry.get(name) for name in _SAME)
        found = self._kinds.setdefault(kind, _Kind(now - SUMMED_FOR))
        before = found.unwritten
        found.unwritten = {
            **entry,
            "count": 1 if before is None else before["count"] + 1,
            "first": entry["last"] if before is None else before["first"],
        }
        return self.due() if now - found.written >= SUMMED_FOR else []

    def due(self) -> list[dict[str, Any]]:
        """What is not written yet; it counts as written now."""
        entries = []
        for kind in self._kinds.values():
            if kind.unwritten is not None:
                entries.append(kind.unwritten)
                kind.unwritten, kind.written = None, self._clock.monotonic()
        return entries
