"""A key as a resource, `cometapi://keys/{id}`, for clients that attach resources; the board for those that show pages.

The board is an MCP App. Its page has nothing of the account in it, so a client may keep it; it asks for what it shows
as another resource, which is made anew for each reading. Both are made of `comet_mcp.board`, loaded when one is read.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from mcp_types import (
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic_core import to_json

from comet_mcp.concurrency import Deadline
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


APPS = "io.modelcontextprotocol/ui"
"""The extension for pages that clients show."""
_APP = "text/html;profile=mcp-app"
BOARD = Resource(
    name="board",
    title="CometAPI keys",
    uri="ui://cometapi/board",
    description="Keys and spending on one page; no values.",
    mime_type=_APP,
)
_PART = 0.8
"""The part of a call's time after which no more of the log is read."""
_CONTENT = f"{BOARD.uri}/content"
"""What the page asks for."""
SHOWN_BY = {"list_api_keys": {"ui": {"resourceUri": BOARD.uri}}, "get_usage": {"ui": {"resourceUri": BOARD.uri}}}
"""The tools that open the board, with what tells a client so."""


def shows_apps(extensions: Mapping[str, Any] | None) -> bool:
    """Whether a client with these extensions shows pages."""
    settings = (extensions or {}).get(APPS)
    kinds = settings.get("mimeTypes") if isinstance(settings, dict) else None
    return isinstance(kinds, list) and _APP in kinds


async def read_resource(app: Services, uri: str, offered: Container[str]) -> ReadResourceResult:
    """The key, or the page, of that address.

    Args:
        app: The services.
        uri: The address.
        offered: The names of the tools that there are; the page changes keys by no others.

    Raises:
        NotFoundError: There is nothing at that address.
        CometError: It can't be read.
    """
    if uri in (BOARD.uri, _CONTENT):
        html = _page() if uri == BOARD.uri else await _content(app, offered)
        kind = _APP if uri == BOARD.uri else "text/html"
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=kind, text=html)])
    found = re.fullmatch(r"cometapi://keys/([1-9][0-9]{0,17})", uri)
    if found is None:
        raise NotFoundError(
            f"There is no resource {quoted(uri)}. A key's is cometapi://keys/ID.", code="no_such_resource"
        )
    key = KeyRecord.of(await app.api.get_token(int(found[1])), app.units, app.clock.now())
    text = to_json(key.as_json()).decode()
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="application/json", text=text)])


def _page() -> str:
    from comet_mcp.board.page import document  # noqa: PLC0415 - see the module's docstring

    return document(None, mode="app")


async def _content(app: Services, offered: Container[str]) -> str:
    from comet_mcp.board.changes import tools_for  # noqa: PLC0415 - as above
    from comet_mcp.board.page import content  # noqa: PLC0415
    from comet_mcp.board.reading import read_board, read_spent  # noqa: PLC0415

    deadline = Deadline(app.clock, app.settings.timeout * _PART)
    board = await read_board(app, deadline, await read_spent(app, deadline))
    return content(board, tools=tools_for(app.settings, offered))
