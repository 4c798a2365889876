"""Whether a key and its account have enough left for one model call.

A key that is enabled, has something left and lists its models is refused every call all the same where the account has
nothing, or where less is left than the API sets aside for a call (domain/reservation.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from comet_mcp.api.catalog import MAX_WAIT, Catalog
from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import Account, CatalogModel
from comet_mcp.domain.key import Key
from comet_mcp.domain.money import Units
from comet_mcp.domain.reservation import LEAST_OF_GPT_4O, least_reserved
from comet_mcp.errors import APIError

_NAMED = 10


@dataclass(slots=True)
class Means:
    """What speaks against a key's calls, what could not be found out, and what is worth knowing."""

    reasons: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def means_of(row: Key, api: CometAPI, catalog: Catalog, units: Units) -> Means:
    """Look at what the account and the key have left. A key that has nothing itself is its record's to tell of."""
    account = await _account(api)
    if account is None:
        return Means(doubts=["The account's balance could not be read, and without one every call is refused."])
    if account.quota <= 0:
        said = f"The account has nothing left ({units.usd(account.quota)}), so every call of every key is refused."
        return Means(reasons=[f"{said} Ask the person to top the account up: nothing is wrong with the key."])
    left = account.quota if row.unlimited_quota else min(row.remain_quota, account.quota)
    if left <= 0:
        return Means()
    least = await _least_by_model(row, account, api, catalog, units)
    return _judged(row, left, least, is_accounts=left == account.quota, units=units)


async def _account(api: CometAPI) -> Account | None:
    """The account with its balance; None where the API does not tell it soon."""
    with anyio.move_on_after(_wait(api)):
        try:
            account = await api.account()
        except APIError:
            return None  # the caller says so
        return account if "quota" in account.model_fields_set else None
    return None


def _wait(api: CometAPI) -> float:
    """Seconds for one of two looks beside the check itself."""
    return min(MAX_WAIT, api.seconds / 3)


async def _least_by_model(
    row: Key, account: Account, api: CometAPI, catalog: Catalog, units: Units
) -> dict[str, int | None]:
    """What a call of each model that the key may call reserves at least; None where that is not known."""
    models: list[CatalogModel] = []
    ratio: float | None = None
    with anyio.move_on_after(_wait(api)):
        try:
            models = await catalog.models()
            ratio = await catalog.group_ratio(row.group or account.group or "default")
        except APIError:
            pass  # the prices are not known then, which is told
    wanted = row.spec.models.ids if row.model_limits_enabled else [model.id for model in models]
    prices = {model.id: model.pricing for model in models if model.pricing and model.pricing.currency == "USD"}
    return {
        name: least_reserved(input_price=price.input, per_request=price.per_request, group_ratio=ratio, units=units)
        if ratio is not None and (price := prices.get(name))
        else None
        for name in wanted
    }


def _judged(row: Key, left: int, least: dict[str, int | None], *, is_accounts: bool, units: Units) -> Means:
    """Hold what is left against what the models' calls reserve."""
    has = f"{'The account' if is_accounts else 'It'} has {units.usd(left)} ({left} quota units) left"
    fix = "Ask the person to top the account up" if is_accounts else "Call update_api_key with add_budget_usd"
    short = {name: sum_ for name, sum_ in least.items() if sum_ is not None and sum_ > left}
    if short and len(short) == len(least):
        name = min(short, key=lambda model: short[model])
        needs = f"the API sets aside at least {short[name]} for a call of {name}, the cheapest that it may call"
        return Means(reasons=[f"{has}, and {needs}: every call is refused. {fix}."])
    if left < LEAST_OF_GPT_4O and None in [*least.values(), *([] if least else [None])]:
        needs = f"sets aside a sum for each call, {LEAST_OF_GPT_4O} for any of gpt-4o, and does not tell that of others"
        return Means(doubts=[f"{has}. The API {needs}: its calls may all be refused. {fix}."])
    if short and row.model_limits_enabled:
        names = sorted(short)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return Means(notes=[f"{has}, less than a call of {', '.join(names[:_NAMED])}{more} takes: {fix.lower()}."])
    return Means()
