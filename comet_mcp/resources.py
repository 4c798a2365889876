"""A key as a resource, `cometapi://keys/{id}`, for clients that attach resources; and what completes the names."""

from __future__ import annotations

import re

from mcp_types import (
    CompleteRequestParams,
    Completion,
    PromptReference,
    ReadResourceResult,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic_core import to_json

from comet_mcp.app import App
from comet_mcp.errors import NotFoundError, RefusedError
from comet_mcp.prompts import MAKE
from comet_mcp.results import APIKey
from comet_mcp.text import quoted

KEY = ResourceTemplate(
    name="api_key",
    title="An API key",
    uri_template="cometapi://keys/{id}",
    description="One API key with every field; its value is masked.",
    mime_type="application/json",
)

_MOST_COMPLETIONS = 100


async def read_resource(app: App, uri: str) -> ReadResourceResult:
    """The key of that address. Raises NotFoundError where there is none."""
    found = re.fullmatch(r"cometapi://keys/([1-9][0-9]{0,17})", uri)
    if found is None:
        raise NotFoundError(
            f"There is no resource {quoted(uri)}. A key's is cometapi://keys/ID.", code="no_such_resource"
        )
    key = APIKey.of(await app.api.get_token(int(found[1])), app.units)
    text = to_json(key.as_json()).decode()
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="application/json", text=text)])


async def complete(app: App, params: CompleteRequestParams) -> Completion:
    """What may follow what was typed: ids of keys, models (the last of a list), groups."""
    typed = params.argument.value
    is_make = isinstance(params.ref, PromptReference) and params.ref.name == MAKE.name
    if not isinstance(params.ref, PromptReference) and params.argument.name == "id":
        page = await app.api.list_tokens(1, _MOST_COMPLETIONS)
        return _matching([str(row.id) for row in page.items], typed, "")
    if is_make and params.argument.name == "models":
        listed, _, last = typed.rpartition(",")
        before = f"{listed}, " if listed else ""
        return _matching([model.id for model in await app.catalog.models()], last.strip(), before)
    if is_make and params.argument.name == "group":
        try:
            return _matching(await app.catalog.groups(), typed, "")
        except RefusedError:
            pass  # this API does not tell its groups
    return Completion(values=[])


def _matching(names: list[str], typed: str, before: str) -> Completion:
    found = [before + name for name in names if name.casefold().startswith(typed.casefold())]
    return Completion(values=found[:_MOST_COMPLETIONS], total=len(found), has_more=len(found) > _MOST_COMPLETIONS)
