"""What an agent can send instead of what was refused: the nearest body of a create, the nearest call of an update.

A new key may be made otherwise than it was asked for, as long as somebody reads so. A key that exists is in use: there
only what the call wanted to change is moved, never further than it was asked for and never back past what the key has.
All of it is pure.
"""

from __future__ import annotations

from typing import Any

from comet_mcp.domain.key import KeySpec, Status, status_word
from comet_mcp.lifetimes import expired_time
from comet_mcp.policy.addresses import restricts
from comet_mcp.policy.limits import Spending
from comet_mcp.policy.policy import NEW, NO_GROUP, Past, Policy, matches
from comet_mcp.policy.widening import Change, left_of, models_of
from comet_mcp.rules import MAX_NAME
from comet_mcp.units import MAX_QUOTA, NEVER, Units

_SUGGESTED = "30d"
"""The lifetime that is proposed where one is demanded and none is limited."""

_ENDLESS = float("inf")


def nearest_new(policy: Policy, body: KeySpec, spending: Spending, now: float, units: Units) -> KeySpec | None:
    """The body that is most like this one and keeps every rule; None where no key with a budget may be made now.

    What nobody can guess is left as it is: addresses, and models or a group where only patterns are allowed.
    """
    rules = {entry.rule for entry in policy.check(body, now, units, spending=spending)}
    cap = _cap(policy, NEW, _room(policy, spending, now, units), units)
    found = body.model_copy(update=_moved(policy, body, rules, NEW, cap=cap, now=now))
    wanted = bool(body.remain_quota or body.unlimited_quota)
    asked = 0 if found.unlimited_quota else found.remain_quota or int(wanted)
    return None if policy.check_sums(spending, 1, asked, now, units) else found


def nearest_change(
    policy: Policy, change: Change, spending: Spending, now: float, units: Units
) -> dict[str, Any] | None:
    """The arguments of update_api_key that are most like this change and allowed.

    None where there are none, or they would leave the key as it is.
    """
    before, wanted = change.before, change.wanted
    old = before.spec.model_copy(update={"remain_quota": max(before.remain_quota, 0)})
    rules = {entry.rule for entry in policy.check_change(before, wanted, change.status, now, units, spending=spending)}
    past = Past.of(before)
    cap = _cap(policy, past, left_of(before) + _room(policy, spending, now, units), units)
    asked = change.named | ({"remain_quota"} if "add_budget_usd" in change.named else set())
    movable = asked & set(_differing(old, wanted))
    moved = _moved(policy, wanted, rules, past, cap=cap, now=now, old=old)
    moved = {name: value for name, value in moved.items() if name in movable}
    found = _not_below(old, wanted, wanted.model_copy(update=moved))
    differing = [name for name in _differing(old, found) if name in asked]
    if not differing and change.status in (None, before.status):
        return None
    if change.status == Status.ENABLED and not _works(found, now):
        return None
    if policy.check_change(before, found, change.status, now, units, spending=spending):
        return None
    return _arguments(change, found, differing, units)


def _moved(
    policy: Policy,
    body: KeySpec,
    rules: set[str],
    past: Past,
    *,
    cap: int,
    now: float,
    old: KeySpec | None = None,
) -> dict[str, Any]:
    """What has to be another value in a body that breaks these rules.

    Args:
        policy: The rules.
        body: What was refused.
        rules: The names of those that it breaks.
        past: What has happened to the key so far.
        cap: The most quota units that it may have.
        now: Unix seconds.
        old: The key as it is, where there is one: what it has comes before anything else that is allowed.
    """
    moved: dict[str, Any] = {}
    if any(rule in ("allow_unlimited", "max_budget_usd") or rule.startswith("max_sum") for rule in rules):
        moved |= _budget(body, cap)
    if "name_prefix" in rules:
        moved["name"] = (policy.name_prefix + body.name)[:MAX_NAME]
    if "max_lifetime" in rules:
        if (latest := policy.latest_end(past.created, now)) > now:
            moved["expired_time"] = latest
    elif "require_expiry" in rules:
        moved["expired_time"] = expired_time(_SUGGESTED, now)
    if "allowed_models" in rules:
        kept = [model for model in models_of(body) if matches(model, policy.allowed_models)]
        own = models_of(old) if old and old.model_limits_enabled else []
        if not kept and own and all(matches(model, policy.allowed_models) for model in own):
            kept = own
        models = kept or [pattern for pattern in policy.allowed_models if _is_name(pattern)]
        moved |= {"model_limits_enabled": True, "model_limits": ",".join(models)} if models else {}
    if "allowed_groups" in rules:
        if old and matches(old.group or NO_GROUP, policy.allowed_groups):
            moved["group"] = old.group
        elif groups := [group for group in policy.allowed_groups if _is_name(group)]:
            moved["group"] = "" if groups[0] == NO_GROUP else groups[0]
    if "require_ips" in rules and old and restricts(old.allow_ips):
        moved["allow_ips"] = old.allow_ips
    return moved


def _budget(body: KeySpec, cap: int) -> dict[str, Any]:
    if body.unlimited_quota:
        wanted = body.remain_quota or (cap if cap < MAX_QUOTA else 0)
        return {"unlimited_quota": False, "remain_quota": min(wanted, cap)}
    return {"remain_quota": min(body.remain_quota, cap)}


def _cap(policy: Policy, past: Past, room: int, units: Units) -> int:
    """The most quota units that a key may have: what one key may, and what the sums have `room` for."""
    own = MAX_QUOTA if policy.max_budget_usd is None else units.from_usd(policy.max_budget_usd) - past.used
    return max(min(own, room, MAX_QUOTA), 0)


def _room(policy: Policy, spending: Spending, now: float, units: Units) -> int:
    """The quota units that may still be given."""
    sums = [limit for limit in policy.limits(units) if limit.of == "units"]
    return max(min((limit.most - limit.spent(spending, now) for limit in sums), default=MAX_QUOTA), 0)


def _not_below(old: KeySpec, wanted: KeySpec, found: KeySpec) -> KeySpec:
    """`found`, without what would take from the key where the call wanted to give it more."""
    if _end(wanted) > _end(old) >= _end(found):
        found = found.model_copy(update={"expired_time": old.expired_time})
    if _left(wanted) > _left(old) >= _left(found):
        given = {"unlimited_quota": old.unlimited_quota, "remain_quota": old.remain_quota}
        found = found.model_copy(update=given)
    return found


def _end(body: KeySpec) -> float:
    return body.expired_time if body.expired_time >= 0 else _ENDLESS


def _left(body: KeySpec) -> float:
    return _ENDLESS if body.unlimited_quota else body.remain_quota


def _works(body: KeySpec, now: float) -> bool:
    """Whether a program could use the key, which enabling one demands."""
    return (body.expired_time == NEVER or body.expired_time > now) and _left(body) > 0


def _arguments(change: Change, found: KeySpec, differing: list[str], units: Units) -> dict[str, Any]:
    """What to send to get `found`; a budget is named as the call named it, since what is added suits a key in use."""
    arguments: dict[str, Any] = {"id": change.before.id}
    if change.status is not None:
        arguments["status"] = status_word(change.status)
    arguments |= {name: getattr(found, name) for name in differing}
    if "add_budget_usd" in change.named and "remain_quota" in arguments:
        added = arguments.pop("remain_quota") - left_of(change.before)
        arguments["add_budget_usd"] = added / units.per_usd
    return arguments


def _differing(old: KeySpec, new: KeySpec) -> list[str]:
    """The fields that a change sets anew. With a first budget that is its amount too, whatever the record has there."""
    first = old.unlimited_quota and not new.unlimited_quota
    values, was = ({**body.model_dump(), "allow_ips": body.allow_ips or ""} for body in (new, old))
    return [name for name in values if values[name] != was[name] or (first and name == "remain_quota")]


def _is_name(pattern: str) -> bool:
    return not set(pattern) & set("*?[")
