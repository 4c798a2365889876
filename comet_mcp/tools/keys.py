"""The life of a key."""

from __future__ import annotations

from time import time
from typing import Annotated

from pydantic import Field

from comet_mcp.app import App
from comet_mcp.results import APIKey, CreatedKey, KeyPage, ListedKey, SavedKey, Secret
from comet_mcp.rules import MAX_NAME, check_new_key
from comet_mcp.secret_store import mask
from comet_mcp.units import MAX_QUOTA, NEVER
from comet_mcp.wire import Token, TokenBody

KeyId = Annotated[int, Field(ge=1, description="id from list_api_keys")]

_PAGE = 100


async def create_api_key(
    app: App,
    *,
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="What the key is for")],
    expired_time: Annotated[int, Field(ge=NEVER, description="Unix seconds; -1 never expires")] = NEVER,
    remain_quota: Annotated[
        int, Field(ge=0, le=MAX_QUOTA, description="Budget in quota units, 500000 = 1 USD; 0 can't call models")
    ] = 0,
    unlimited_quota: Annotated[bool, Field(description="No budget: may spend the whole balance")] = False,
    model_limits_enabled: Annotated[bool, Field(description="Allow only model_limits")] = False,
    model_limits: Annotated[str, Field(description="Model ids, comma-separated")] = "",
    allow_ips: Annotated[str | None, Field(description="IPs or CIDRs, one per line; null allows all")] = None,
    group: Annotated[str, Field(description="A group of the account")] = "",
    cross_group_retry: Annotated[bool, Field(description='Only with group "auto"')] = False,
) -> CreatedKey:
    """Create one API key and store its value where the user's programs read it; the result says where.

    Never repeat a call that ended in create_outcome_unknown before list_api_keys has settled it.
    """
    body, warnings = check_new_key(
        TokenBody(
            name=name,
            expired_time=expired_time,
            remain_quota=remain_quota,
            unlimited_quota=unlimited_quota,
            model_limits_enabled=model_limits_enabled,
            model_limits=model_limits,
            allow_ips=allow_ips,
            group=group,
            cross_group_retry=cross_group_retry,
        ),
        time(),
    )
    created = await app.keys.create(body)
    return CreatedKey(
        **APIKey.of(created.row).model_dump(),
        secret=Secret.of(created.saved) if created.saved else None,
        warnings=[*warnings, *created.warnings] or None,
    )


async def list_api_keys(
    app: App,
    *,
    p: Annotated[int, Field(ge=1, description="Page")] = 1,
    page_size: Annotated[int, Field(ge=1, le=100)] = 20,
    keyword: Annotated[str, Field(max_length=100, description="Part of a name, any case")] = "",
) -> KeyPage:
    """List API keys, newest first: status, expiry, what is left to spend; values are masked.

    Also settles creates whose outcome was unknown.
    """
    notes = await app.keys.settle()
    if keyword:
        found = [row for row in await _all_keys(app) if keyword.casefold() in row.name.casefold()]
        rows, total = found[(p - 1) * page_size : p * page_size], len(found)
    else:
        page = await app.api.list_tokens(p, page_size)
        rows, total = page.items, page.total
    return KeyPage(
        page=p, page_size=page_size, total=total, items=[ListedKey.of(row) for row in rows], notes=notes or None
    )


async def get_api_key(app: App, *, id: KeyId) -> APIKey:
    """Show one API key with every field; its value is masked."""
    return APIKey.of(await app.api.get_token(id))


async def save_api_key(app: App, *, id: KeyId) -> SavedKey:
    """Store the value of an existing API key where the user's programs read it; the result says where."""
    row, saved = await app.keys.save(id)
    return SavedKey(id=row.id, name=row.name, key=mask(row.key), secret=Secret.of(saved))


async def _all_keys(app: App) -> list[Token]:
    """Every key of the account; the API's own search matches whole names only (measured)."""
    rows: dict[int, Token] = {}
    number = 1
    while True:
        page = await app.api.list_tokens(number, _PAGE)
        rows.update((row.id, row) for row in page.items)
        if len(page.items) < _PAGE or len(rows) < number * _PAGE - _PAGE // 2:
            return list(rows.values())  # the last page, or an API that gives the same page again and again
        number += 1
