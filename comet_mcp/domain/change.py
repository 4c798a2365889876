"""A change of a key: what it adds, and whether the key can do after it what it could not do before."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.domain.lifetimes import NEVER


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """What has happened to a key so far: quota units spent, Unix seconds of its creation (None: it is yet to be)."""

    used: int = 0
    created: int | None = None

    @classmethod
    def of(cls, key: Key) -> KeyHistory:
        """The history of a key that exists. A record without the time of its creation counts as one of 1970."""
        return cls(key.used_quota, key.created_time)


NEW = KeyHistory()


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A change of a key that is asked for.

    Args:
        before: The key as it is.
        wanted: Its nine fields as they would be.
        status: The status that is asked for, None to leave it.
    """

    before: Key
    wanted: KeySpec
    status: Status | None = None

    @property
    def added(self) -> int:
        """The quota units that it adds to what the key may spend."""
        return added_units(self.before, self.wanted)

    @property
    def moved(self) -> int:
        """The quota units by which it moves the total of a key with a budget; 0 where it keeps that.

        A key that has spent more than it had keeps that too: the API takes 0 for what remains, and no less (measured).
        """
        before, wanted = self.before.remain_quota, self.wanted.remain_quota
        return 0 if wanted == max(before, 0) else wanted - before

    @property
    def after(self) -> Key:
        """The record that it would leave."""
        fields = self.wanted.model_dump() | {"allow_ips": self.wanted.allow_ips or ""}
        return self.before.model_copy(update=fields | ({} if self.status is None else {"status": self.status}))


def expansions(before: Key, wanted: KeySpec) -> list[str]:
    """What the key could do after the change that it could not do before, each as an ending of "it may"."""
    old = before.spec
    found = []
    if not old.unlimited_quota and wanted.unlimited_quota:
        found.append("spend the account's whole balance")
    elif not old.unlimited_quota and wanted.remain_quota > max(old.remain_quota, 0):
        found.append("spend more")
    if old.expired_time != NEVER and not NEVER < wanted.expired_time <= old.expired_time:
        found.append("be used longer")
    if old.model_limits_enabled and not wanted.model_limits_enabled:
        found.append("call every model")
    elif old.model_limits_enabled and not old.models.allows(wanted.models):
        found.append("call other models")
    if wanted.group != old.group:
        found.append("use another group" if wanted.group else "use the account's own group, for it loses its group")
    if wanted.cross_group_retry and not old.cross_group_retry:
        found.append("go on in another group")
    if not old.addresses.covers(wanted.addresses):
        found.append("be used from other addresses" if wanted.addresses.restricts else "be used from every address")
    return found


def expands_access(before: Key, wanted: KeySpec) -> bool:
    """Whether the key could do, after the change, anything at all that it could not do before."""
    return bool(expansions(before, wanted))


def expansion_warnings(before: Key, wanted: KeySpec) -> list[str]:
    """One sentence on all that the key could not do before; none where there is nothing of that."""
    found = expansions(before, wanted)
    return [f"This change lets the key do what it could not before: {', '.join(found)}."] if found else []


def added_units(before: Key, wanted: KeySpec) -> int:
    """The quota units that a change adds to what a key may spend; all it has then, where it had no budget before.

    Where it has spent more than it had, what makes that good is added too.
    """
    left = 0 if before.unlimited_quota else before.remain_quota
    return 0 if wanted.unlimited_quota or wanted.remain_quota <= max(left, 0) else wanted.remain_quota - left
