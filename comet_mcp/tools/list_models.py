"""The models that keys of the account may call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.api.catalog import nearest
from comet_mcp.api.models import CatalogModel
from comet_mcp.context import Context
from comet_mcp.text import quoted
from comet_mcp.tools.account_views import ListedModel, ModelPage
from comet_mcp.tools.base import Tool

_TYPES_SHOWN = 20
_MOST = 200
_SYNONYMS = (
    {"text", "chat", "llm", "language", "completion", "text generation"},
    {"image", "picture", "image generation", "text to image"},
    {"video", "video generation", "text to video"},
    {"audio", "speech", "voice", "tts", "transcription", "speech to text", "text to speech"},
    {"embedding", "vector", "text embedding"},
    {"rerank", "reranker", "reranking"},
)
"""Words that mean one type of model: catalogs have a word of their own for it."""

_BY_PRICE = "price, cheapest first: per token (input and output together), then per call, then per second; unknown last"
_UNPRICED = (3, 0.0)
_UNSORTED = "the API's own order, for it tells no prices"


async def list_models(
    context: Context,
    *,
    search: Annotated[str, Field(max_length=100, description="Part of an id or provider")] = "",
    type: Annotated[str, Field(max_length=40, description='Such as "chat" or "image"')] = "",
    limit: Annotated[int, Field(ge=1, le=_MOST, description=f"1 to {_MOST}")] = 20,
) -> ModelPage:
    """List the models that keys of this CometAPI account can call, cheapest first, with prices."""
    models = await context.app.catalog.models()
    word = search.casefold()
    kinds, note = _kinds(type, models)
    found = [
        model
        for model in models
        if (word in model.id.casefold() or word in model.provider.casefold())
        and (kinds is None or model.model_type in kinds)
    ]
    alike = nearest(search, [model.id for model in models]) if search and not found else []
    cut = len(found) - limit
    return ModelPage(
        total=len(found),
        sorted_by=_BY_PRICE if any(_price(model) != _UNPRICED for model in found) else _UNSORTED,
        items=[ListedModel.of(model) for model in sorted(found, key=_price)[:limit]],
        more=f"{cut} more: give a larger limit (at most {_MOST}), or narrow search or type." if cut > 0 else None,
        did_you_mean=alike or None,
        note=note,
    )


def _kinds(asked: str, models: list[CatalogModel]) -> tuple[set[str] | None, str | None]:
    """The catalog's types that a word means, None for all of them, and what has to be said of it."""
    if not asked:
        return None, None
    types = sorted({model.model_type for model in models if model.model_type})
    if not types:
        return None, "This API does not tell the types of models, so all types are listed."
    wanted = _plain(asked)
    if exact := {kind for kind in types if _plain(kind) == wanted}:
        return exact, None
    same = next((words for words in _SYNONYMS if wanted in words), set())
    if meant := {kind for kind in types if _plain(kind) in same}:
        return meant, f"{quoted(asked)} is {' and '.join(map(quoted, sorted(meant)))} here."
    return set(), f"There is no type {quoted(asked)}. There are {', '.join(types[:_TYPES_SHOWN])}."


def _plain(word: str) -> str:
    """A word for a type without case, hyphens and its plural."""
    plain = " ".join(word.casefold().replace("-", " ").replace("_", " ").split())
    return plain if plain == "tts" else plain.removesuffix(" models").removesuffix(" model").removesuffix("s")


def _price(model: CatalogModel) -> tuple[int, float]:
    """Where a model stands in the list: by what is paid for, and what that costs; the last where it is not known."""
    price = model.pricing
    if price is not None and price.currency == "USD":
        tokens = None if price.input is None and price.output is None else (price.input or 0) + (price.output or 0)
        for place, sum_ in enumerate((tokens, price.per_request, price.per_second)):
            if sum_ is not None:
                return place, sum_
    return _UNPRICED


TOOL = Tool.of(list_models, "List models", read_only=True)
