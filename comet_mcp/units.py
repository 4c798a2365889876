"""Quota units and USD, Unix seconds and dates: the only place where they are converted.

Whole numbers and Decimal throughout: a float's rounding must not decide what a key may spend.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal

PER_USD = 500_000
"""Quota units in 1 USD, unless the settings say otherwise (the official cli's figure)."""

MAX_QUOTA = 500_000_000_000_000
"""Largest remain_quota the API takes (measured: "maximum is 500000000000000")."""

MAX_QUOTA_NEWER = 2_147_483_647
"""Largest remain_quota that newer releases take (measured on the release of 18 August 2026)."""

CENTURY = 100 * 366 * 86_400
"""Seconds in a hundred years, the longest that a key may live: what ends later was meant otherwise."""

NEVER = -1
"""The API's expired_time of a key that never expires."""

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last one datetime can show


@dataclass(frozen=True, slots=True)
class Units:
    """What a quota unit is worth."""

    per_usd: int = PER_USD

    def usd(self, units: int) -> str:
        """Quota units as dollars: "$5.00", and below a dollar as many digits as it takes, "$0.0004"."""
        sign, units = ("-" if units < 0 else ""), abs(units)
        cents, rest = divmod(units * 100, self.per_usd)
        if not rest or cents >= 100:
            return f"{sign}${cents // 100:,}.{cents % 100:02}"
        return f"{sign}${(Decimal(units) / self.per_usd).normalize():f}"

    def from_usd(self, amount: float) -> int:
        """Dollars as quota units, rounded down to a whole one.

        The decimal digits of the number count, not its binary neighbour: 0.1 is a tenth.
        """
        return int((Decimal(str(amount)) * self.per_usd).to_integral_value(rounding=ROUND_DOWN))


def when(seconds: int) -> str:
    """Unix seconds as an ISO date and time in UTC, "2027-09-03T12:00Z"; seconds are shown where not zero."""
    if not 0 <= seconds <= _LAST_SECOND:
        return f"{seconds} (Unix seconds)"
    shown = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds" if seconds % 60 else "minutes")
    return shown.replace("+00:00", "Z")


def expiry(expired_time: int) -> str:
    """The API's expired_time in words: "never" for -1, else the date."""
    return "never" if expired_time == NEVER else when(expired_time)


def seconds_from(stamp: int, now: float) -> tuple[int, str] | None:
    """The Unix seconds that `stamp` means if it is in a smaller unit, and that unit; None if it is in none.

    A stamp is in a smaller unit when, read so, it lies within 30 years of `now`, and read as seconds far from it.
    """
    thirty_years = 30 * 365 * 86_400
    if abs(stamp - now) <= thirty_years * 10:
        return None
    for scale, unit in ((10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")):
        if abs(stamp // scale - now) <= thirty_years:
            return stamp // scale, unit
    return None
