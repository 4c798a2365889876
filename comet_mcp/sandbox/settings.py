"""What the operator of a gateway has set, and may change while it runs."""

from dataclasses import dataclass

UNITS_PER_USD = 500_000
"""Quota units in one US dollar, unless the operator has set another number."""

_MAX_USD = 1_000_000_000


@dataclass(slots=True)
class Settings:
    """The operator's settings, by the names that `GET /api/status` gives them where it shows them."""

    quota_per_unit: float = UNITS_PER_USD
    """Quota units in one US dollar; may be fractional or, wrongly set, 0. A change holds at once (measured)."""
    quota_display_type: str = "USD"
    """In what the dashboard shows amounts: `USD`, `CNY`, `TOKENS` or `CUSTOM`. Nothing is converted by it."""
    usd_exchange_rate: float = 7.3
    custom_currency_symbol: str = "¤"
    custom_currency_exchange_rate: float = 1
    price: float = 7.3
    system_name: str = "New API"
    enable_data_export: bool = True
    """Whether `/api/data/self` and `/api/data/flow/self` are fed."""
    log_consumption: bool = True
    """Whether calls leave rows in the log. Without them `used_quota` moves all the same (measured)."""
    log_errors: bool = False
    """Whether calls that fail upstream leave a row of type 5 in the log."""
    record_ip_log: bool = False
    """Whether log rows hold the caller's address (the account's own setting)."""

    @property
    def trusted_above(self) -> int:
        """Quota units, 10 US dollars: who has more left reserves nothing; 0 for nobody is trusted (measured)."""
        return int(10 * self.quota_per_unit)

    def largest_budget(self, cap: int) -> int:
        """The largest budget of a limited key, in quota units: a billion US dollars, but `cap` at most."""
        return int(min(cap, _MAX_USD * self.quota_per_unit))

    def amount(self, units: int) -> str:
        """Quota units as the gateway's messages show them: US dollars after a full-width sign (measured)."""
        if not self.quota_per_unit:
            return "＄+Inf" if units > 0 else "＄-Inf" if units else "＄NaN"
        return f"＄{units / self.quota_per_unit:.6f}"
