"""What falls short: a key or the balance below a threshold, or about to be used up. Each is worth one notice."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from comet_mcp.domain.forecast import DAY, HOUR, Forecast
from comet_mcp.domain.key import Key
from comet_mcp.domain.money import Units, usd_amount
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

SOON = DAY
"""What runs out within so many seconds is about to."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """An amount in quota units, or a part of what there was in all, in per cent."""

    text: str
    units: int | None = None
    per_cent: float | None = None

    @classmethod
    def parse(cls, text: str, units: Units) -> Threshold:
        """Dollars such as "1.00" or "$1", or a part such as "20%". Raises ArgumentError."""
        plain = text.strip().removeprefix("$")
        if found := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", plain):
            if 0 < float(found[1]) <= 100:
                return cls(f"{found[1]}%", per_cent=float(found[1]))
        elif (amount := usd_amount(plain)) is not None:
            given = units.from_usd(amount)
            return cls(units.usd(given), units=given)
        raise ArgumentError(f'{quoted(text)} is no threshold. Give dollars such as "1.00", or a part such as "20%".')

    def is_above(self, left: int, whole: int | None) -> bool:
        """Whether so little is left, of the whole where there is one; quota units."""
        if left <= 0:
            return True
        if self.units is not None:
            return left < self.units
        return whole is not None and left * 100 < whole * (self.per_cent or 0)


@dataclass(frozen=True, slots=True)
class Purse:
    """A key or the balance: what is left of what it had in all, in quota units, and when that is used up.

    The balance has no whole: what the account had since it was opened is no measure of it.

    `id` stays the same while nobody fills it. A key's has its time of creation, for ids may begin anew, and what it had
    in all, which no call changes: calls in flight move units to and fro.
    """

    id: str
    called: str
    left: int
    whole: int | None
    forecast: Forecast | None = None

    @classmethod
    def of_key(cls, row: Key, forecast: Forecast | None) -> Purse:
        """A key that has a budget."""
        name = f"The API key {quoted(row.name)} (id {row.id})"
        return cls(f"key {row.id} {row.created_time} {row.total}", name, row.remain_quota, row.total, forecast)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be said once, by its id, as long as it holds; the text is "" where it holds no longer for sure.

    The kind is which of a look's questions it answers: another look may ask with another threshold.
    """

    kind: str
    purse: str
    text: str

    @property
    def id(self) -> str:
        """What tells it from all others."""
        return f"{self.purse} {self.kind}"


def kinds(threshold: Threshold) -> tuple[str, str]:
    """The kinds of notices that a look with this threshold has: of what is below it, and of what is used up soon."""
    return f"below {threshold.text}", "soon"


def is_watched(row: Key, now: float) -> bool:
    """Whether a key has a budget, and works or would with more of it."""
    return not row.unlimited_quota and row.state(now).word in ("works", "used up")


def notices(purses: Iterable[Purse], threshold: Threshold, units: Units, now: float) -> list[Notice]:
    """What is worth a notice now, and what may be again in a moment, so that it is not to be said twice."""
    found = []
    below, soon = kinds(threshold)
    for purse in purses:
        of = f" of {units.usd(purse.whole)}" if purse.whole is not None else ""
        left = f"{purse.called} has {units.usd(purse.left)}{of} left"
        seconds = math.inf if purse.forecast is None else purse.forecast.at - now
        end = _end(purse.forecast, seconds)
        is_key = purse.whole is not None  # another whole is another id, so that nothing is said twice of this one
        is_below = threshold.is_above(purse.left, purse.whole)
        if is_below:
            found.append(Notice(below, purse.id, f"{left}, less than {threshold.text}.{end}"))
        elif is_key or threshold.is_above(purse.left - purse.left // 5, None):
            found.append(Notice(below, purse.id, ""))
        if end and not is_below:
            found.append(Notice(soon, purse.id, f"{left}.{end}"))
        elif is_key or purse.forecast is None or seconds <= 2 * SOON:
            found.append(Notice(soon, purse.id, ""))
    return found


def unsaid(found: Iterable[Notice], said: Collection[str]) -> list[Notice]:
    """Those that are to be said now."""
    return [notice for notice in found if notice.text and notice.id not in said]


def kept(found: Iterable[Notice], said: Collection[str]) -> list[Notice]:
    """What was said and still holds; what does not is said again when it comes true again."""
    return [notice for notice in found if notice.id in said]


def _end(forecast: Forecast | None, seconds: float) -> str:
    """That it is about to be used up; "" where it is not."""
    if forecast is None or seconds > SOON:
        return ""
    hours = max(round(seconds / HOUR), 1)
    return f" At the pace of the last {forecast.each}s it is used up in about {hours} hour{'s' * (hours > 1)}."
