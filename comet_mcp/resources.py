"""A key as a resource, `cometapi://keys/{id}`, for clients that attach resources."""

from __future__ import annotations

import re

from mcp_types import (
    ReadResourceResult,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic_core import to_json

from comet_mcp.context import Services
from comet_mcp.errors import NotFoundError
from comet_mcp.text import quoted
from comet_mcp.tools.views import KeyRecord

KEY = ResourceTemplate(
    name="api_key",
    title="An API key",
    uri_template="cometapi://keys/{id}",
    description="One API key with every field; its value is masked.",
    mime_type="application/json",
)


async def read_resource(app: Services, uri: str) -> ReadResourceResult:
    """The key of that address. Raises NotFoundError where there is none."""
    found = re.fullmatch(r"cometapi://keys/([1-9][0-9]{0,17})", uri)
    if found is None:
        raise NotFoundError(
            f"There is no resource {quoted(uri)}. A key's is cometapi://keys/ID.", code="no_such_resource"
        )
    key = KeyRecord.of(await app.api.get_token(int(found[1])), app.units, app.clock.now())
    text = to_json(key.as_json()).decode()
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="application/json", text=text)])
