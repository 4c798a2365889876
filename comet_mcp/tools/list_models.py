"""The models that keys of the account may call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.api.catalog import nearest
from comet_mcp.context import Context
from comet_mcp.text import quoted
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    ListedModel,
    ModelPage,
)

_TYPES_SHOWN = 20


async def list_models(
    context: Context,
    *,
    search: Annotated[str, Field(max_length=100, description="Part of an id or provider")] = "",
    type: Annotated[str, Field(max_length=40, description='Such as "text" or "image"')] = "",
    limit: Annotated[int, Field(ge=1, le=200)] = 20,
) -> ModelPage:
    """List the models that keys of the account can call, with prices where the API tells them."""
    models = await context.app.catalog.models()
    word, kind = search.casefold(), type.casefold()
    types = sorted({model.model_type for model in models if model.model_type})
    note = None
    if kind and not types:
        kind, note = "", "This API does not tell the types of models, so all types are listed."
    elif kind and kind not in (known.casefold() for known in types):
        note = f"There is no type {quoted(type)}. There are {', '.join(types[:_TYPES_SHOWN])}."
    found = [
        model
        for model in models
        if (word in model.id.casefold() or word in model.provider.casefold())
        and kind in ("", model.model_type.casefold())
    ]
    alike = nearest(search, [model.id for model in models]) if search and not found else []
    items = [ListedModel.of(model) for model in found[:limit]]
    return ModelPage(total=len(found), items=items, did_you_mean=alike or None, note=note)


TOOL = Tool.of(list_models, "List models", read_only=True)
