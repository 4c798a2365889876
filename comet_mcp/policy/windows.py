"""What was given out so far: how many keys were made, and what budgets they got, by all servers of a user.

The journal counts each create and each added budget before the call is sent, and takes it back only where the call
provably had no effect. So a limit may be reached a key too early, after an answer that was lost; never too late.
A deleted key and a lowered budget give nothing back: what they had may have been spent.

A change whose answer was lost may be carried out minutes later, and then gives again what its key has spent. That much
is held back until the key was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from comet_mcp.domain.lifetimes import when
from comet_mcp.domain.money import Units

HOUR = 3600.0
DAY = 24 * HOUR
LONGEST_WINDOW = DAY
"""Seconds for which single entries matter; of older ones only the sums do."""


_WRITTEN_WITHIN = 5.0
"""Seconds after which a change is written as a rule. Until then one that is under way holds nothing back."""


class Held(NamedTuple):
    """The quota units that an open change of a key gives again if it comes late, and whether its answer was lost."""

    begun: float
    key_id: int
    units: int
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Spending:
    """The keys ever made, the quota units ever given, and the `recent` entries: (Unix seconds, keys, units)."""

    keys: int = 0
    units: int = 0
    recent: tuple[tuple[float, int, int], ...] = ()
    open: tuple[Held, ...] = ()
    """What changes that were left open may give again."""


NOTHING = Spending()


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
        """What is used up of it, or held back."""
        held = sum(entry.units for entry in self._held(spending, now))
        if self.seconds is None:
            return held + (spending.keys if self.of == "keys" else spending.units)
        return held + sum(amount for _, amount in self._within(spending, now))

    def exceeded(self, spending: Spending, asked: int, now: float, units: Units) -> str:
        """In sentences, that `asked` more would exceed it, what is left, until when; "" where there is room."""
        if not asked or self.spent(spending, now) + asked <= self.most:
            return ""
        said = (
            self._too_many(spending, asked, now) if self.of == "keys" else self._too_much(spending, asked, now, units)
        )
        if self.seconds is None and self.most and self.spent(spending, now):
            what = "key" if self.of == "keys" else "budget"
            said += (
                f" That counts every {what} in this journal, those from before the rule too; the person who runs the "
                "server can raise it."
            )
        if held := self._held(spending, now):
            keys = ", ".join(str(number) for number in sorted({entry.key_id for entry in held}))
            said += (
                f" {units.usd(sum(entry.units for entry in held))} of that is held back: the answer to a change of key "
                f"{keys} was lost, and if the API still carries it out, what the key has spent since is given again. "
                "The first change of the key that is made a quarter of an hour later sets that free."
            )
        return said

    def _too_many(self, spending: Spending, asked: int, now: float) -> str:
        if not self.most:
            return "no key may be made."
        spent = self.spent(spending, now)
        made = "1 was" if spent == 1 else f"{spent} were"
        said = f"at most {self.most} key{'s' if self.most > 1 else ''} may be made {self.window}, and {made}."
        again = self._room(spending, asked, now)
        return f"{said} No key can be made before {again}." if again else said

    def _too_much(self, spending: Spending, asked: int, now: float, units: Units) -> str:
        if not self.most:
            return f"no budget may be given, and {units.exact(asked)} is asked for."
        said = f"at most {units.exact(self.most)} of budget may be given {self.window}"
        spent = self.spent(spending, now)
        if not spent:
            return f"{said}, and {units.exact(asked)} is asked for."
        left = max(self.most - spent, 0)
        more = self._room(spending, left + 1, now)
        said += f"; {units.exact(spent)} was given, so {units.exact(left) if left else 'nothing'} is left"
        said += f"{f' until {more}' if more else ''}, and {units.exact(asked)} is asked for."
        again = self._room(spending, asked, now)
        return f"{said} There is room for that from {again}." if again else said

    def _room(self, spending: Spending, asked: int, now: float) -> str:
        """When there is room for `asked`, where that is a matter of waiting; "" where it is not."""
        spent = self.spent(spending, now)
        if self.seconds is not None and asked <= self.most:
            for at, amount in self._within(spending, now):
                spent -= amount
                if spent + asked <= self.most:
                    return when(int(at + self.seconds) + 1)
        return ""

    def _held(self, spending: Spending, now: float) -> list[Held]:
        """What counts of the changes that were left open."""
        start = now - self.seconds if self.seconds else 0.0
        held = [entry for entry in spending.open if entry.is_lost or entry.begun <= now - _WRITTEN_WITHIN]
        return [entry for entry in held if self.of == "units" and entry.units and entry.begun > start]

    def _within(self, spending: Spending, now: float) -> list[tuple[float, int]]:
        """When how much of it was used, oldest first."""
        start = now - (self.seconds or 0)
        column = 1 if self.of == "keys" else 2
        return [(entry[0], int(entry[column])) for entry in spending.recent if entry[0] > start]
