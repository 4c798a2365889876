"""The account and the models it may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.app import App
from comet_mcp.catalog import nearest
from comet_mcp.errors import APIError
from comet_mcp.results import AccountInfo, ListedModel, ModelPage
from comet_mcp.text import quoted


async def list_models(
    app: App,
    *,
    search: Annotated[str, Field(max_length=100, description="Part of an id or provider")] = "",
    type: Annotated[str, Field(max_length=40, description='Such as "text" or "image"')] = "",
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
) -> ModelPage:
    """List the models that keys of the account can call, with prices where the API tells them."""
    models = await app.catalog.models()
    word, kind = search.casefold(), type.casefold()
    types = sorted({model.model_type for model in models if model.model_type})
    note = None
    if kind and not types:
        kind, note = "", "This API does not tell the types of models, so all types are listed."
    elif kind and kind not in (known.casefold() for known in types):
        note = f"There is no type {quoted(type)}. There are {', '.join(types)}."
    found = [
        model
        for model in models
        if (word in model.id.casefold() or word in model.provider.casefold())
        and kind in ("", model.model_type.casefold())
    ]
    alike = nearest(search, [model.id for model in models]) if search and not found else []
    items = [ListedModel.of(model) for model in found[:limit]]
    return ModelPage(total=len(found), items=items, did_you_mean=alike or None, note=note)


async def get_account(app: App) -> AccountInfo:
    """Show the account: balance and use in quota units and USD, and its groups where the API tells them."""
    account = await app.api.account()
    try:
        groups: list[str] | None = await app.catalog.groups()
    except APIError:
        groups = None  # this API has no such call, or it failed: the balance is worth telling all the same
    return AccountInfo(
        username=account.username or None,
        balance=app.units.usd(account.quota),
        balance_quota=account.quota,
        used=app.units.usd(account.used_quota),
        used_quota=account.used_quota,
        requests=account.request_count,
        group=account.group or None,
        groups=groups or None,
    )
