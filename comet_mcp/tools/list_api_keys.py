"""Listing keys, and telling of those that earlier creates made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.context import Context
from comet_mcp.services.listing import all_keys
from comet_mcp.services.reconcile import Reconciled
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    KeyPage,
    ListedKey,
)


async def list_api_keys(
    context: Context,
    *,
    p: Annotated[int, Field(ge=1, description="Page")] = 1,
    page_size: Annotated[int, Field(ge=1, le=100)] = 20,
    keyword: Annotated[str, Field(max_length=100, description="Part of a name, any case")] = "",
) -> KeyPage:
    """List API keys, newest first: status, expiry, what is left to spend; values are masked.

    Also settles creates whose outcome was unknown.
    """
    app, told = context.app, context.told
    done = Reconciled() if app.settings.read_only else await app.reconciler.all(context.deadline, told)
    searched: str | None = None
    if keyword:
        keys, is_every = await all_keys(app.api)
        searched = None if is_every else f"Only the newest {len(keys)} keys were searched: the API lists more."
        found = [row for row in keys if keyword.casefold() in row.name.casefold()]
        rows, total = found[(p - 1) * page_size : p * page_size], len(found)
    else:
        page = await app.pages.get(p, page_size)
        rows, total = page.items, page.total
    is_all = not keyword and total <= len(rows)
    await app.reconciler.late(done, rows, context.deadline, told, is_all=is_all)
    for row in done.found:
        await app.audit.settled(row.id, row.name)
    notes = [*([searched] if searched else []), *done.notes]
    if skew := app.clock.report():
        notes.append(skew)
    last = max(-(-total // page_size), 1)
    if p > last and not rows:
        notes.append(f"There is no page {p}: the last one is {last}.")
    items = [ListedKey.of(row, context.app.units, context.app.clock.now()) for row in rows]
    return KeyPage(page=p, page_size=page_size, total=total, items=items, notes=notes or None)


TOOL = Tool.of(list_api_keys, "List API keys", read_only=True)
