"""What the board shows: what list_api_keys and get_usage tell, put together. No value of a key is in it.

A key's fields are the words of the tools; beside them stand the figures that charts and sorting need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from comet_mcp.domain.money import Units
from comet_mcp.domain.told_times import seconds_of
from comet_mcp.text import printable
from comet_mcp.tools.key_words import ANY, UNUSED, dry_of, left_of

DAYS = 30
"""Days of spending that the board shows, today among them."""
SPAN = f"last {DAYS} days"
"""The same for get_usage."""
IDLE_DAYS = 90
"""Unused for so many days, a key is one to look at."""
_SOON = 7 * 86_400
"""Seconds: what ends or runs out within them does so soon."""
_LITTLE = 0.1
"""The part of a budget below which little is left."""
_TOP = 6
"""Keys or models that a chart tells apart; the others are one."""
_OTHERS = "others"
_LONGEST = 60
"""Characters of a name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What should worry about a key, in a few words; what many keys have may be meant so, and is not serious."""

    text: str
    is_serious: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """What a key or a model cost on each day, in quota units."""

    name: str
    units: list[int]
    calls: int = 0

    @property
    def total(self) -> int:
        """Quota units of all days."""
        return sum(self.units)


@dataclass(frozen=True, slots=True)
class BoardKey:
    """A key: `said` are the tools' words of it. Times are Unix seconds, None for never."""

    id: int
    name: str
    said: Mapping[str, str]
    ends: float | None
    last_used: float | None
    left: float | None
    """The part of the budget that is left, from 0 to 1; None where it has none."""
    units: list[int]
    """Quota units of each day."""
    marks: list[Mark]

    @property
    def works(self) -> bool:
        """Whether a program can use it."""
        return self.said["state"] == "works"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything that the page shows."""

    account: str
    at: float
    zone: tzinfo
    units: Units
    days: list[date]
    keys: list[BoardKey]
    by_model: list[Series]
    by_key: list[Series]
    before: str | None = None
    """What the span before cost, in words."""
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Quota units of all days."""
        return sum(series.total for series in self.by_model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the tools told: keys with every word that a list leaves out, and lines of spending by key, model and day."""

    keys: Sequence[Mapping[str, Any]]
    idle: Iterable[int] = ()
    """Ids of the working keys that were not used for `IDLE_DAYS`."""
    lines: Sequence[Mapping[str, Any]] = ()
    before: str | None = None
    notes: Sequence[str] = ()


def board_of(told: Told, *, account: str, at: float, zone: tzinfo, units: Units) -> Board:
    """The board of what the tools told.

    Args:
        told: It.
        account: Whose keys these are, in a few words.
        at: When it was told, in Unix seconds.
        zone: The person's, in which days begin.
        units: What a quota unit is worth.
    """
    today = datetime.fromtimestamp(at, zone).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    spent = _by_day(told.lines, "id", days)
    names = {key["id"]: printable(str(key["name"]), _LONGEST) for key in told.keys}
    logged = {line["id"]: printable(str(line["key"]), _LONGEST) for line in told.lines if line.get("key")}
    idle = frozenset(told.idle)
    return Board(
        account=account,
        at=at,
        zone=zone,
        units=units,
        days=days,
        keys=[_key(key, spent.get(key["id"]), at, is_idle=key["id"] in idle) for key in told.keys],
        by_model=_ranked(_by_day(told.lines, "model", days), lambda model: printable(str(model or "-"), _LONGEST)),
        by_key=_ranked(spent, _called(spent, names, logged).__getitem__),
        before=told.before,
        notes=list(told.notes),
    )


def _called(spent: Iterable[Any], names: Mapping[Any, str], logged: Mapping[Any, str]) -> dict[Any, str]:
    """How each key is called: by its name, that of the log where it is deleted; with its id where two are called so."""
    called = {key: names.get(key) or logged.get(key) or (f"id {key}" if key else "-") for key in spent}
    uses = Counter(called.values())
    return {key: f"{name} (id {key})" if uses[name] > 1 else name for key, name in called.items()}


def _key(said: Mapping[str, Any], spent: Series | None, now: float, *, is_idle: bool) -> BoardKey:
    budget = left_of(str(said["budget"]))
    left = None if budget is None else float(budget[0] / budget[1]) if budget[1] > 0 else 0.0
    words = {name: str(text) for name, text in said.items() if text is not None}
    ends = _time(words["ends"])
    return BoardKey(
        id=int(said["id"]),
        name=printable(words["name"], _LONGEST),
        said=words,
        ends=ends,
        last_used=_time(words["last_used"]),
        left=None if left is None else min(max(left, 0.0), 1.0),
        units=spent.units if spent else [0] * DAYS,
        marks=list(_marks(words, ends, left, now, is_idle=is_idle)) if words["state"] == "works" else [],
    )


def _marks(said: Mapping[str, str], ends: float | None, left: float | None, now: float, *, is_idle: bool) -> list[Mark]:
    """What should worry about a key that works."""
    dry = _time(dry_of(said.get("runs_out", UNUSED))[0])
    found = {
        "runs out soon": dry is not None and dry < now + _SOON,
        "little left": left is not None and left < _LITTLE,
        "ends soon": ends is not None and ends < now + _SOON,
        "no budget": left is None,
        "no end": ends is None,
        f"unused for {IDLE_DAYS} days": is_idle,
    }
    serious = [Mark(text) for text, holds in found.items() if holds]
    return [*serious, *([Mark("any address", is_serious=False)] if said["addresses"] == ANY else [])]


def _time(words: str) -> float | None:
    """A time as tools tell it, in Unix seconds; None for "never", and for one that no calendar has."""
    try:
        return None if words == UNUSED else seconds_of(words)
    except ValueError:
        return None


def _by_day(lines: Iterable[Mapping[str, Any]], field: str, days: Sequence[date]) -> dict[Any, Series]:
    """What each key or model cost on each day."""
    place = {day.isoformat(): at for at, day in enumerate(days)}
    found: dict[Any, list[int]] = {}
    calls: dict[Any, int] = {}
    for line in lines:
        at = place.get(str(line.get("day")))
        if at is not None:
            who = line.get(field)
            found.setdefault(who, [0] * len(days))[at] += line["units"]
            calls[who] = calls.get(who, 0) + line["calls"]
    return {who: Series(str(who), units, calls[who]) for who, units in found.items()}


def _ranked(found: Mapping[Any, Series], named: Callable[[Any], str]) -> list[Series]:
    """The dearest, each with its name, and all others as one."""
    ranked = sorted(found.items(), key=lambda item: -item[1].total)
    top = [Series(named(who), series.units, series.calls) for who, series in ranked[:_TOP]]
    rest = [series for _, series in ranked[_TOP:]]
    if rest:
        units = [sum(day) for day in zip(*(series.units for series in rest), strict=True)]
        top.append(Series(f"{len(rest)} {_OTHERS}", units, sum(series.calls for series in rest)))
    return top
