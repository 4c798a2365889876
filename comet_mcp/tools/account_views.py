"""What the tools return of the account and its models."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.api.models import CatalogModel, Pricing
from comet_mcp.tools.result import Result


@dataclass(kw_only=True, eq=False, repr=False)
class ListedModel(Result):
    """A model; prices are USD."""

    id: str
    provider: str | None = None
    type: str | None = None
    price: str | None = None

    @classmethod
    def of(cls, model: CatalogModel) -> ListedModel:
        """The catalog's entry, short."""
        return cls(
            id=model.id,
            provider=model.provider or None,
            type=model.model_type or None,
            price=_price(model.pricing) if model.pricing else None,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class ModelPage(Result):
    """The models that were asked for, cheapest first. `total` counts those that `limit` cut off too.

    `sorted_by` says by what, and `more` how to see what was cut off.
    """

    unpublished = frozenset({"sorted_by", "more", "did_you_mean", "note"})

    total: int
    items: list[ListedModel]
    sorted_by: str | None = None
    more: str | None = None
    did_you_mean: list[str] | None = None
    note: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class AccountInfo(Result):
    """The account in quota units and USD."""

    unpublished = frozenset({"username", "balance_quota", "used_quota", "requests"})

    username: str | None = None
    balance: str
    balance_quota: int
    used: str
    used_quota: int
    requests: int
    group: str | None = None
    groups: list[str] | None = None


def _price(pricing: Pricing) -> str | None:
    sign = "$" if pricing.currency == "USD" else f"{pricing.currency} "
    parts = []
    if pricing.input is not None or pricing.output is not None:
        figures = " in, ".join(f"{sign}{figure:g}" for figure in (pricing.input, pricing.output) if figure is not None)
        parts.append(f"{figures} out per 1M tokens" if pricing.output is not None else f"{figures} per 1M tokens")
    if pricing.per_request is not None:
        parts.append(f"{sign}{pricing.per_request:g} per call")
    if pricing.per_second is not None:
        parts.append(f"{sign}{pricing.per_second:g} per second")
    return "; ".join(parts) or None
