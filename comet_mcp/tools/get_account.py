"""The account: its balance and its groups."""

from __future__ import annotations

from comet_mcp.context import Context
from comet_mcp.errors import APIError
from comet_mcp.tools.account_views import AccountInfo
from comet_mcp.tools.base import Tool


async def get_account(context: Context) -> AccountInfo:
    """Show the CometAPI account: balance and use in USD and quota units, and its groups."""
    account = await context.app.api.account()
    try:
        groups: list[str] | None = await context.app.catalog.groups()
    except APIError:
        groups = None  # this API has no such call, or it failed: the balance is worth telling all the same
    return AccountInfo(
        username=account.username or None,
        balance=context.app.units.usd(account.quota),
        balance_quota=account.quota,
        used=context.app.units.cost(account.used_quota),
        used_quota=account.used_quota,
        requests=account.request_count,
        group=account.group or None,
        groups=groups or None,
    )


TOOL = Tool.of(get_account, "Show the account", read_only=True)
