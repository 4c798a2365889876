"""What a change is asked to do, with its words for an end and its dollars as the API's own fields.

They become these fields before anything is judged, so the checks, the policy and the question know nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from comet_mcp.domain.key import Key
from comet_mcp.domain.money import MAX_QUOTA, Units
from comet_mcp.errors import ArgumentError

_BUDGETS = ("remain_quota", "budget_usd", "add_budget_usd")


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """What is asked for.

    Args:
        fields: The API's fields that are named, an end in words among them.
        status: "enabled" or "disabled", None to leave it.
        budget_usd: What the key may still spend, in US dollars.
        add_budget_usd: What is added to that, or taken off.
        lifetime: The end in words, "" where there is none.
        ends_in_span: Whether that is a span from now.
        warnings: What has to be said of how it was understood.
    """

    fields: Mapping[str, Any]
    status: str | None = None
    budget_usd: float | None = None
    add_budget_usd: float | None = None
    lifetime: str = ""
    ends_in_span: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def fixed_end(self) -> int | None:
        """The end that was understood from words that may mean another one later; None where there is none."""
        return self.fields["expired_time"] if self.lifetime and not self.ends_in_span else None

    @property
    def is_of_money(self) -> bool:
        """Whether it says what the key may spend."""
        return self.budget_usd is not None or self.add_budget_usd is not None or "remain_quota" in self.fields

    def sets_budget_of(self, row: Key) -> bool:
        """Whether the key has then what is named, whatever it spends meanwhile; else that comes off it.

        What a key without a budget has spent meanwhile is nothing of the budget that it gets.
        """
        return "remain_quota" in self.fields or (self.is_of_money and row.unlimited_quota)

    def fields_for(self, row: Key, units: Units) -> dict[str, Any]:
        """The API's fields that are to be another, for this key. Raises ArgumentError."""
        fields = dict(self.fields)
        if self.budget_usd is not None:
            fields |= {"remain_quota": _quota(self.budget_usd, units), "unlimited_quota": False}
        elif self.add_budget_usd is not None:
            fields["remain_quota"] = _topped_up(row, fields.get("unlimited_quota"), self.add_budget_usd, units)
        return fields


def request_of(arguments: Mapping[str, Any], now: float, zone: tzinfo) -> UpdateRequest:
    """What the arguments of a change ask for.

    Args:
        arguments: Those that are given.
        now: Unix seconds.
        zone: The person's.

    Raises:
        ArgumentError: They name nothing, contradict each other, or an end that is not understood.
    """
    _check_one_each(arguments)
    named = dict(arguments)
    status, budget, added = (named.pop(name, None) for name in ("status", "budget_usd", "add_budget_usd"))
    lifetime = named.pop("lifetime", "")
    if not lifetime:
        return UpdateRequest(named, status, budget, added)
    from comet_mcp.domain.lifetime_words import end_of, span_of  # noqa: PLC0415 - 50 ms, which few changes need

    end = end_of(lifetime, now, zone)
    named["expired_time"] = end.expired_time
    spans = span_of(lifetime, now) is not None
    return UpdateRequest(named, status, budget, added, lifetime, spans, (end.warning,) if end.warning else ())


def _check_one_each(arguments: Mapping[str, Any]) -> None:
    """Refuse a change that names nothing, or one thing in two ways."""
    if not arguments:
        raise ArgumentError("Nothing to change is named. Give at least one field beside id.")
    budgets = [name for name in _BUDGETS if name in arguments]
    if len(budgets) > 1:
        raise ArgumentError(f"{' and '.join(budgets)} all say what the key may spend. Give one of them.")
    if "lifetime" in arguments and "expired_time" in arguments:
        raise ArgumentError("lifetime and expired_time both say when the key ends. Give one of them.")
    if "budget_usd" in arguments and arguments.get("unlimited_quota"):
        raise ArgumentError("budget_usd gives the key a budget, and unlimited_quota true takes it. Give one of them.")
    if arguments.get("add_budget_usd") == 0:
        raise ArgumentError("add_budget_usd must not be 0: a positive number adds to what is left, a negative takes.")


def _quota(amount: float, units: Units) -> int:
    """US dollars in quota units. Raises ArgumentError."""
    quota = units.from_usd(amount)
    if (amount and not quota) or quota > MAX_QUOTA:
        raise ArgumentError(f"budget_usd must be 0, or from {units.usd(1)}, one quota unit, to {units.usd(MAX_QUOTA)}.")
    return quota


def _topped_up(old: Key, unlimited_quota: bool | None, amount: float, units: Units) -> int:
    """What is left and `amount` US dollars; for a key that had no budget, the amount is its whole one.

    What a key has spent more than it had comes off it.
    """
    added = units.from_usd(amount)
    if added == 0:
        raise ArgumentError(f"add_budget_usd {amount} is less than one quota unit, {units.usd(1)}.")
    if old.unlimited_quota if unlimited_quota is None else unlimited_quota:
        raise ArgumentError(
            "Without a budget there is nothing to add to: unlimited_quota is true. Send unlimited_quota false too, "
            "which makes the sum the key's whole budget, or budget_usd."
        )
    left = 0 if old.unlimited_quota else old.remain_quota
    if added < 0 and left + added < 0:
        raise ArgumentError(
            f"The key has {units.usd(max(left, 0))} left, and add_budget_usd can take no more than that. budget_usd 0 "
            "leaves it nothing."
        )
    if added > 0 and left + added <= 0:
        raise ArgumentError(
            f"The key has spent {units.usd(-left)} more than its budget, which comes off what is added: it "
            "would still have nothing to spend. Give a larger add_budget_usd."
        )
    if left + added > MAX_QUOTA:
        raise ArgumentError(f"That would be more than the API allows, {units.usd(MAX_QUOTA)}.")
    return left + added
