"""What a change lets a key do that it could not do before."""

from __future__ import annotations

from comet_mcp.api.wire import Token, TokenBody
from comet_mcp.policy.addresses import covers
from comet_mcp.units import NEVER


def widens(before: Token, wanted: TokenBody) -> bool:
    """Whether the key could do, after the change, anything at all that it could not do before."""
    if not before.unlimited_quota and (wanted.unlimited_quota or wanted.remain_quota > max(before.remain_quota, 0)):
        return True
    if before.expired_time != NEVER and not NEVER < wanted.expired_time <= before.expired_time:
        return True
    if before.model_limits_enabled and not (
        wanted.model_limits_enabled and set(models_of(wanted)) <= set(models_of(before))
    ):
        return True
    if wanted.group != before.group or (wanted.cross_group_retry and not before.cross_group_retry):
        return True
    return not covers(before.allow_ips, wanted.allow_ips)


def added_units(before: Token, wanted: TokenBody) -> int:
    """The quota units that a change adds to what a key may spend; all it has then, where it had no budget before."""
    if wanted.unlimited_quota:
        return 0
    return wanted.remain_quota if before.unlimited_quota else max(wanted.remain_quota - max(before.remain_quota, 0), 0)


def models_of(row: TokenBody | Token) -> list[str]:
    """The entries of the list of models."""
    return [entry.strip() for entry in row.model_limits.split(",") if entry.strip()]
