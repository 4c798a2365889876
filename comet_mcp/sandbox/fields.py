"""The fields of a create or an update: which there are, what is checked, and what is stored."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.gojson import Kind
from comet_mcp.sandbox.messages import Refused

MAX_NAME = 50
MAX_AUTO_GROUPS = 5

BODY_FIELDS: dict[str, Kind] = {
    "id": "int",
    "user_id": "int",
    "key": "string",
    "status": "int",
    "name": "string",
    "created_time": "int64",
    "accessed_time": "int64",
    "expired_time": "int64",
    "remain_quota": "int",
    "unlimited_quota": "bool",
    "model_limits_enabled": "bool",
    "model_limits": "string",
    "allow_ips": "string",
    "used_quota": "int",
    "group": "string",
    "cross_group_retry": "bool",
}
"""Every field whose type every server checks in a create or update, with its Go type."""

_SETTABLE: dict[str, Any] = {
    "name": "",
    "expired_time": 0,
    "remain_quota": 0,
    "unlimited_quota": False,
    "model_limits_enabled": False,
    "model_limits": "",
    "allow_ips": None,
    "group": "",
    "cross_group_retry": False,
}


def settable(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a create or update sets, with what an omitted field becomes."""
    return _SETTABLE | {name: sent[name] for name in _SETTABLE if name in sent}


def check(sent: Mapping[str, Any], dialect: Dialect, max_quota: int) -> None:
    """Check the name, and the budget in quota units.

    Raises:
        Refused: the API would not store this.
    """
    name = sent.get("name", "")
    if dialect.name_limit == "bytes":
        if len(name.encode()) > MAX_NAME:
            raise Refused("name.too_long")
    elif len(name) > MAX_NAME:
        raise Refused("name.too_long.documented")
    if sent.get("unlimited_quota", False):
        return
    if sent.get("remain_quota", 0) < 0:
        raise Refused("quota.negative")
    if sent.get("remain_quota", 0) > max_quota:
        raise Refused("quota.too_large", max=max_quota)


def group_fields(
    sent: Mapping[str, Any], auto_groups: list[str] | None, dialect: Dialect, groups: Collection[str]
) -> dict[str, Any]:
    """What the fields about groups become where the account has `groups` and the row had `auto_groups`.

    Raises:
        Refused: a group is not the account's.
    """
    group = sent.get("group", "")
    if dialect.groups_checked and group and group not in groups:
        raise Refused("group.refused")
    if group != "auto":
        if dialect.cross_group_retry_needs_auto:
            return {"cross_group_retry": False, "auto_groups": None}
        return {}
    if dialect.auto_groups and "auto_groups" in sent:
        return {"auto_groups": _checked_auto_groups(sent["auto_groups"], groups)}
    return {"auto_groups": auto_groups}


def extra_on_create(sent: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The values of the extra fields of a new key."""
    return {
        field.name: sent.get(field.name, field.default) if field.on_create else field.default
        for field in dialect.extra_fields
    }


def extra_on_update(sent: Mapping[str, Any], kept: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The values of the extra fields after an update of a key that had `kept`."""
    return {
        field.name: sent.get(field.name, kept.get(field.name) if field.survives_put else field.default)
        for field in dialect.extra_fields
    }


def _checked_auto_groups(wanted: Iterable[str], groups: Collection[str]) -> list[str] | None:
    chosen: list[str] = []
    names = list(wanted)
    if len(names) > MAX_AUTO_GROUPS:
        raise Refused("auto_groups.too_many", max=MAX_AUTO_GROUPS)
    for group in names:
        if group in chosen:
            raise Refused("auto_groups.duplicate", group=group)
        if group == "auto" or group not in groups:
            raise Refused("auto_groups.invalid", group=group)
        chosen.append(group)
    return chosen or None
