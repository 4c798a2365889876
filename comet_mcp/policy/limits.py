"""What was given out so far: how many keys were made, and what budgets they got, by all servers of a user.

The journal counts each create and each added budget before the call is sent, and takes it back only where the call
provably had no effect. So a limit may be reached a key too early, after an answer that was lost; never too late.
A deleted key and a lowered budget give nothing back: what they had may have been spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comet_mcp.units import Units, when

HOUR = 3600.0
DAY = 24 * HOUR
LONGEST_WINDOW = DAY
"""Seconds for which single entries matter; of older ones only the sums do."""


@dataclass(frozen=True, slots=True)
class Spending:
    """The keys ever made, the quota units ever given, and the `recent` entries: (Unix seconds, keys, units)."""

    keys: int = 0
    units: int = 0
    recent: tuple[tuple[float, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` keys or quota units (`of`) in any window of `seconds`, or ever where that is None."""

    rule: str
    seconds: float | None
    most: int
    of: Literal["keys", "units"]

    @property
    def window(self) -> str:
        """The window in words: per hour, per day, in all."""
        return {HOUR: "per hour", DAY: "per day"}.get(self.seconds or 0, "in all")

    def spent(self, spending: Spending, now: float) -> int:
        """What is used up of it."""
        if self.seconds is None:
            return spending.keys if self.of == "keys" else spending.units
        return sum(amount for _, amount in self._within(spending, now))

    def exceeded(self, spending: Spending, asked: int, now: float, units: Units) -> str:
        """In a sentence, that `asked` more would exceed it, and when there is room again; "" where there is room."""
        spent = self.spent(spending, now)
        if not asked or spent + asked <= self.most:
            return ""
        text = f"at most {self.most} keys may be made {self.window}, and {spent} were."
        if self.of == "units":
            text = (
                f"budgets of at most {units.usd(self.most)} may be given {self.window}; {units.usd(spent)} was, and "
                f"{units.usd(asked)} more is asked for."
            )
        if self.seconds is not None and asked <= self.most:
            for at, amount in self._within(spending, now):
                spent -= amount
                if spent + asked <= self.most:
                    return f"{text} There is room again at {when(int(at + self.seconds) + 1)}."
        return text

    def _within(self, spending: Spending, now: float) -> list[tuple[float, int]]:
        """When how much of it was used, oldest first."""
        start = now - (self.seconds or 0)
        column = 1 if self.of == "keys" else 2
        return [(entry[0], int(entry[column])) for entry in spending.recent if entry[0] > start]
