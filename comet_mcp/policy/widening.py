"""What a change lets a key do that it could not do before."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.policy.addresses import covers
from comet_mcp.units import NEVER


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a key that is asked for.

    Args:
        before: The key as it is.
        wanted: Its nine fields as they would be.
        status: The status that is asked for, None to leave it.
        named: The arguments of update_api_key that say so, `id` and `status` aside.
    """

    before: Key
    wanted: KeySpec
    status: Status | None = None
    named: frozenset[str] = frozenset()

    @property
    def added(self) -> int:
        """The quota units that it adds to what the key may spend."""
        return added_units(self.before, self.wanted)


def widens(before: Key, wanted: KeySpec) -> bool:
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


def added_units(before: Key, wanted: KeySpec) -> int:
    """The quota units that a change adds to what a key may spend; all it has then, where it had no budget before."""
    return 0 if wanted.unlimited_quota else max(wanted.remain_quota - left_of(before), 0)


def left_of(row: Key) -> int:
    """The quota units that are left of a key's budget: none where it has spent more, or has no budget."""
    return 0 if row.unlimited_quota else max(row.remain_quota, 0)


def models_of(row: KeySpec | Key) -> list[str]:
    """The entries of the list of models."""
    return [entry.strip() for entry in row.model_limits.split(",") if entry.strip()]
