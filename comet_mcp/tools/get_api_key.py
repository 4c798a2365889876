"""Showing one key."""

from __future__ import annotations

from comet_mcp.context import Context
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    APIKey,
)


async def get_api_key(context: Context, *, id: KeyId) -> APIKey:
    """Show one API key with every field; its value is masked."""
    return APIKey.of(await context.app.deleter.read(id, context.deadline), context.app.units, context.app.clock.now())


TOOL = Tool.of(get_api_key, "Show an API key", read_only=True)
