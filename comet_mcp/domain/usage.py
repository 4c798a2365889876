"""What was spent, summed by key, model or day: rows are added and forgotten, so a month of them takes little memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Literal, NamedTuple, get_args

from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

Dimension = Literal["key", "model", "day"]
_NAMED: dict[str, Dimension] = {word: one for one in get_args(Dimension) for word in (one, f"{one}s")}

MOST_GROUPS = 20_000
"""Most sums that are held; what else was spent is summed as one, without a name."""

_QUARTER = 900
"""Seconds in which no zone changes its day: they are all whole quarters of an hour from UTC."""


class Group(NamedTuple):
    """Whose sum it is; None for what is not told apart, or not known."""

    key_id: int | None = None
    model: str | None = None
    day: date | None = None


class Charge(NamedTuple):
    """What was charged for `calls` of a model, or given back: when a call ended or its hour began, in Unix seconds."""

    at: int
    key_id: int
    name: str
    model: str
    units: int
    calls: int = 1


@dataclass(slots=True)
class Sum:
    """Quota units, less what was given back, and model calls."""

    units: int = 0
    calls: int = 0

    def add(self, units: int, calls: int) -> None:
        """Count some more; a refund is a negative number of units and no call."""
        self.units += units
        self.calls += calls


class Spending:
    """The sums of a span.

    Args:
        by: What is told apart: one or two of key, model and day.
        zone: Where the days begin.
        key_id: The only key that is counted, None for all.
    """

    def __init__(self, by: Sequence[Dimension], zone: tzinfo, key_id: int | None = None) -> None:
        self.by = tuple(by)
        self.groups: dict[Group, Sum] = {}
        self.total = Sum()
        self.names: dict[int, str] = {}
        """The newest name of each key that is known, by its id."""
        self.logged = 0
        """Units of all calls, other keys' too and before refunds: what the API's own sum counts."""
        self._zone = zone
        self._key_id = key_id
        self._days: dict[int, date] = {}

    def add(self, charge: Charge) -> None:
        """Count what was charged. The newest come first, since a key is named as it was last."""
        self.logged += charge.units
        self._count(charge)

    def refund(self, charge: Charge) -> None:
        """Take off what an asynchronous call got back."""
        self._count(charge._replace(units=-charge.units, calls=0))

    def ranked(self) -> list[tuple[Group, Sum]]:
        """The sums, the dearest first."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].units, -item[1].calls, str(item[0])))

    def only_by(self, dimension: Dimension) -> Spending:
        """The sums by one of the two things that are told apart here."""
        spending = Spending((dimension,), self._zone)
        spending.total, spending.names = self.total, self.names
        for group, found in self.groups.items():
            one = Group(
                group.key_id if dimension == "key" else None,
                group.model if dimension == "model" else None,
                group.day if dimension == "day" else None,
            )
            spending.groups.setdefault(one, Sum()).add(found.units, found.calls)
        return spending

    def _count(self, charge: Charge) -> None:
        if self._key_id not in (None, charge.key_id):
            return
        self.total.add(charge.units, charge.calls)
        group = Group(
            charge.key_id if "key" in self.by else None,
            charge.model if "model" in self.by else None,
            self._day(charge.at) if "day" in self.by else None,
        )
        if group not in self.groups and len(self.groups) >= MOST_GROUPS:
            group = Group()
        self.groups.setdefault(group, Sum()).add(charge.units, charge.calls)
        if charge.name and len(self.names) < MOST_GROUPS:
            self.names.setdefault(charge.key_id, charge.name)

    def _day(self, at: int) -> date:
        quarter = at // _QUARTER
        if quarter not in self._days:
            self._days[quarter] = datetime.fromtimestamp(quarter * _QUARTER, self._zone).date()
        return self._days[quarter]


def dimensions(text: str) -> tuple[Dimension, ...]:
    """What "key", "model,day" or "key and model" tells apart. Raises ArgumentError."""
    words = [word.strip() for word in re.split(r",|\+| and | by ", text.lower()) if word.strip()]
    found = tuple(one for one in dict.fromkeys(map(_NAMED.get, words)) if one is not None)
    if not all(word in _NAMED for word in words) or not 1 <= len(found) <= 2:
        raise ArgumentError(f'by {quoted(text)} is not understood. Give "key", "model", "day", or two: "key,day".')
    return found
