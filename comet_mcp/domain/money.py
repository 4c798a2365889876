"""Quota units and US dollars: the only place where they are converted.

Whole numbers and Decimal throughout: a float's rounding must not decide what a key may spend.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation

PER_USD = 500_000
"""Quota units in 1 USD, unless the settings say otherwise (the official cli's figure)."""

MAX_QUOTA = 500_000_000_000_000
"""Largest remain_quota the API takes (measured: "maximum is 500000000000000")."""

MAX_USD = 10**9
"""Most US dollars that anything may be limited to."""

_FINEST = Decimal("0.000000001")
"""Digits of an exact amount, where a unit is no decimal fraction of a dollar."""

MAX_QUOTA_NEWER = 2_147_483_647
"""Largest remain_quota that newer releases take (measured on the release of 18 August 2026)."""


@dataclass(frozen=True, slots=True)
class Units:
    """What a quota unit is worth."""

    per_usd: int = PER_USD
    is_assumed: bool = False
    """Whether nobody said so: then the API is asked."""

    def usd(self, units: int) -> str:
        """Quota units as dollars, rounded down: "$5.00", and below a dollar as many digits as it takes, "$0.0004"."""
        sign, units = ("-" if units < 0 else ""), abs(units)
        cents, rest = divmod(units * 100, self.per_usd)
        if not rest or cents >= 100:
            return _dollars(sign, cents)
        return f"{sign}${(Decimal(units) / self.per_usd).normalize():f}"

    def cost(self, units: int) -> str:
        """What was spent as dollars, to the nearest cent: a sum is then told alike wherever it stands.

        Below a cent it has as many digits as it takes. Parts that are told so may differ from their sum by cents.
        """
        if abs(units) * 100 < self.per_usd:
            return self.usd(units)
        cents = (abs(units) * 200 + self.per_usd) // (2 * self.per_usd)
        return _dollars("-" if units < 0 else "", cents)

    def exact(self, units: int) -> str:
        """Quota units as dollars with every digit, at least two: figures of one sentence then add up."""
        if units * 100 % self.per_usd == 0:
            return self.usd(units)
        amount = (Decimal(abs(units)) / self.per_usd).quantize(_FINEST, ROUND_DOWN).normalize()
        return f"{'-' if units < 0 else ''}${amount:,f}"

    def from_usd(self, amount: float) -> int:
        """Dollars as quota units, rounded down to a whole one.

        The decimal digits of the number count, not its binary neighbour: 0.1 is a tenth.
        """
        return int((Decimal(str(amount)) * self.per_usd).to_integral_value(rounding=ROUND_DOWN))


def _dollars(sign: str, cents: int) -> str:
    return f"{sign}${cents // 100:,}.{cents % 100:02}"


def usd_amount(text: str) -> float | None:
    """The US dollars that a text such as "5" or "0.50" says; None where it says none from 0 to a billion."""
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return None
    return float(amount) if amount.is_finite() and 0 <= amount <= MAX_USD else None
