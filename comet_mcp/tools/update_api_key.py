"""Changing one key: what is named, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from comet_mcp.api.catalog import MAX_WAIT
from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.change import KeyChange, expands_access, expansion_warnings
from comet_mcp.domain.key import Key, KeySpec, Status, status_word
from comet_mcp.domain.lifetimes import NEVER, expiry
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import MAX_QUOTA, Units
from comet_mcp.domain.validation import LONGEST_GIVEN, check_changed_key
from comet_mcp.errors import ArgumentError
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.lost_changes import telling_first
from comet_mcp.services.update import Changed
from comet_mcp.tools import wording
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.beside import beside_catalog
from comet_mcp.tools.views import (
    UpdatedKey,
    record,
)

_OF_CATALOG = frozenset(["model_limits", "model_limits_enabled", "group"])
"""Fields whose names the catalog knows."""


async def update_api_key(
    context: Context,
    *,
    id: KeyId,
    name: Annotated[str | None, Field(max_length=LONGEST_GIVEN, description="At most 50 bytes")] = None,
    expired_time: Annotated[int | None, Field(ge=NEVER)] = None,
    remain_quota: Annotated[int | None, Field(ge=0, le=MAX_QUOTA, description="What it may spend from now on")] = None,
    unlimited_quota: bool | None = None,
    model_limits_enabled: bool | None = None,
    model_limits: str | None = None,
    allow_ips: Annotated[str | None, Field(description='"" allows all')] = None,
    group: str | None = None,
    cross_group_retry: bool | None = None,
    status: Literal["enabled", "disabled"] | None = None,
    add_budget_usd: Annotated[float | None, Field(gt=0, le=1e9, description="Adds to what is left")] = None,
) -> UpdatedKey:
    """Change one API key: only what is named; null leaves a field as it is. Answers with what changed."""
    named: dict[str, Any] = {
        "name": name,
        "expired_time": expired_time,
        "remain_quota": remain_quota,
        "unlimited_quota": unlimited_quota,
        "model_limits_enabled": model_limits_enabled,
        "model_limits": model_limits,
        "allow_ips": allow_ips,
        "group": group,
        "cross_group_retry": cross_group_retry,
    }
    changes = {field: value for field, value in named.items() if value is not None}
    if remain_quota is not None and add_budget_usd is not None:
        raise ArgumentError("remain_quota and add_budget_usd both say what the key may spend. Give one of them.")
    if not changes and status is None and add_budget_usd is None:
        raise ArgumentError("Nothing to change is named. Give at least one field beside id.")
    app, deadline = context.app, context.deadline
    await app.hear_clock(deadline)
    if remain_quota is not None or add_budget_usd is not None:  # a key without one can be disabled on any API
        await app.units_check.require()
    wishes: dict[str, Any] = {"status": status, "added": add_budget_usd, "unlimited_quota": unlimited_quota}
    wishes["known"] = await app.catalog.odd(ModelList.parse(model_limits or ""))
    if context.gate.is_unanswered:  # this run ends with the question: nobody is kept from the key meanwhile
        row = await app.deleter.read(id, context.deadline)
        await _asked_to_change(context, *_change(context, row, changes, **wishes), changes)
    async with app.changer.holding(id, deadline, context.gate.passed) as hold:
        row = await app.deleter.read(id, context.deadline)
        app.quota.enforcer.require_own(row)
        row, settled = await app.changer.settle_open(hold, row, deadline)
        with telling_first(settled):
            change, warnings = _change(context, row, changes, **wishes)
            await _asked_to_change(context, change, warnings, changes)
            # where budgets are limited, what the key spends meanwhile must not come on top of what was judged
            is_set = remain_quota is not None or (add_budget_usd is not None and row.unlimited_quota)
            exact = is_set and not app.settings.policy.limits_budgets
            uncounted: list[str] = []

            async def write() -> Changed:
                return await app.changer.change(hold, change, deadline, exact=exact, uncounted=uncounted)

            if changes.keys() & _OF_CATALOG:
                changed = await beside_catalog(context, change.wanted, warnings, min(MAX_WAIT, deadline.left), write)
            else:
                changed = await write()
    return UpdatedKey(
        **record(changed.after, app.units, app.clock.now()),
        changed=_difference(changed.before, changed.after),
        warnings=[*settled, *warnings, *uncounted, *changed.warnings] or None,
    )


def _change(
    context: Context,
    row: Key,
    changes: dict[str, Any],
    *,
    status: str | None,
    added: float | None,
    unlimited_quota: bool | None,
    known: Collection[str],
) -> tuple[KeyChange, list[str]]:
    """The change of a key that is asked for, and warnings of the checks. Raises ArgumentError."""
    app, old = context.app, writable_spec(row)
    if added is not None:
        changes = changes | {"remain_quota": _topped_up(context, row, unlimited_quota, added)}
    now, asked = app.clock.now(), old.model_copy(update=changes)
    wanted, warnings = check_changed_key(old, asked, changes.keys(), now, app.units, known=known)
    warnings = [*expansion_warnings(row, wanted), *warnings]
    change = KeyChange(row, wanted, Status[status.upper()] if status else None)
    if status == "enabled":
        _check_can_work(change.after, now)
    return change, warnings


async def _asked_to_change(context: Context, change: KeyChange, warnings: list[str], named: Collection[str]) -> None:
    """Have the policy and a person agree to a change of the fields that are named."""
    app = context.app
    app.quota.enforcer.require_own(change.before)
    await app.quota.require_change(change)
    if context.gate.is_unanswered and _OF_CATALOG & set(named):
        warnings += await app.catalog.warnings(change.wanted)  # for the question, with which this run ends
    await context.gate.require_confirmed(_question(change.before, change.wanted, change.status, warnings, app.units))


def _topped_up(context: Context, old: Key, unlimited_quota: bool | None, amount: float) -> int:
    """What is left and `amount` US dollars; for a key that had no budget, the amount is its whole one.

    What a key has spent more than it had comes off it.
    """
    units = context.app.units.from_usd(amount)
    if units == 0:
        raise ArgumentError(f"add_budget_usd {amount} is less than one quota unit, {context.app.units.usd(1)}.")
    if old.unlimited_quota if unlimited_quota is None else unlimited_quota:
        raise ArgumentError(
            "Without a budget there is nothing to add to: unlimited_quota is true. Send unlimited_quota false too, "
            "which makes the sum the key's whole budget."
        )
    left = 0 if old.unlimited_quota else old.remain_quota
    if left + units <= 0:
        raise ArgumentError(
            f"The key has spent {context.app.units.usd(-left)} more than its budget, which comes off what is added: it "
            "would still have nothing to spend. Give a larger add_budget_usd."
        )
    if left + units > MAX_QUOTA:
        raise ArgumentError(f"That would be more than the API allows, {context.app.units.usd(MAX_QUOTA)}.")
    return left + units


def _check_can_work(after: Key, now: float) -> None:
    """Refuse to enable what has ended: the API would, and a program would be refused all the same."""
    for obstacle in after.state(now).obstacles:
        needed = "a later expired_time" if obstacle.kind == "expired" else "add_budget_usd"
        raise ArgumentError(f"The key {obstacle.text}. Give {needed} in the same call to enable it.")


def _difference(before: Key, after: Key) -> dict[str, list[Any]]:
    """The old and the new value of each field that differs, spending aside."""
    fields = [*KeySpec.model_fields]
    found = {name: [getattr(before, name), getattr(after, name)] for name in fields}
    found["status"] = [status_word(before.status), status_word(after.status)]
    return {name: values for name, values in found.items() if values[0] != values[1]}


def _question(row: Key, wanted: KeySpec, status: Status | None, warnings: list[str], units: Units) -> Question:
    """The question before a key is changed: each field's old and new value. `warnings` are those of the checks."""
    old = writable_spec(row) if wanted.remain_quota == max(row.remain_quota, 0) else row.spec
    named = [name for name in KeySpec.model_fields if (getattr(old, name) or "") != (getattr(wanted, name) or "")]
    changes = [_said(name, getattr(old, name), getattr(wanted, name), units) for name in named]
    if status is not None and status != row.status:
        changes.append(f"status: {status_word(row.status)} -> {status_word(status)}")
    parts = [
        f"Change {wording.key(row)}?",
        "; ".join(changes) + "." if changes else "Nothing of it would differ.",
        *wording.warned(warnings),
    ]
    if status == Status.ENABLED != row.status:
        parts += wording.whole_key(wanted, units, None)  # all that it may do is allowed anew
    elif expands_access(row, wanted):
        parts += wording.whole_key(wanted, units, wording.SOME)  # what is added stands whole before it
    else:
        parts += _narrowed(wanted, named)
    return Question(" ".join(parts), digest_of("update", wording.state_of(row)))


def _narrowed(wanted: KeySpec, named: Collection[str]) -> list[str]:
    """What the fields that are named let the key do, which is no more than before."""
    parts = []
    if "allow_ips" in named and not wanted.addresses.restricts:
        parts.append(wording.addresses(wanted.addresses, wording.SOME))
    if "model_limits" in named:
        parts += [] if wanted.model_limits_enabled else [wording.models(wanted, None)]  # the new list has no effect
    elif "model_limits_enabled" in named:
        parts.append(wording.models(wanted, wording.SOME))
    return parts


def _said(name: str, old: object, wanted: object, units: Units) -> str:
    if name not in ("model_limits", "allow_ips"):
        return f"{name}: {_shown(name, old, units)} -> {_shown(name, wanted, units)}"
    before, after = wording.entries(name, str(old or "")), wording.entries(name, str(wanted or ""))
    empty = "every address" if name == "allow_ips" else "none"
    parts = [f"{name}: {_counted(before, empty)} -> {_counted(after, empty)}"]
    was, will_be = set(before), set(after)
    if added := [entry for entry in after if entry not in was]:
        parts.append(f"added {wording.listed(added)}")
    if removed := [entry for entry in before if entry not in will_be]:
        parts.append(f"removed {wording.listed(removed, wording.SOME)}")
    return ", ".join(parts)


def _counted(entries: Sequence[str], empty: str) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}" if entries else empty


def _shown(name: str, value: object, units: Units) -> str:
    if name == "expired_time":
        return expiry(int(str(value)))
    if name == "remain_quota":
        return units.exact(int(str(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return wording.whole(str(value)) if value else "none"


TOOL = Tool.of(update_api_key, "Change an API key", destructive=True)
