"""Changing one key: what is named, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field

from comet_mcp.api.catalog import MAX_WAIT
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Context
from comet_mcp.domain.change import KeyChange, expansion_warnings
from comet_mcp.domain.key import Key, Status
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import MAX_QUOTA
from comet_mcp.domain.validation import LONGEST_GIVEN, check_changed_key
from comet_mcp.errors import ArgumentError
from comet_mcp.services.hold import Hold
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.lost_changes import telling_first
from comet_mcp.services.update import Changed
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.beside import beside_catalog
from comet_mcp.tools.key_words import changes_of
from comet_mcp.tools.update_question import question
from comet_mcp.tools.update_request import UpdateRequest, request_of
from comet_mcp.tools.views import UpdatedKey, shown
from comet_mcp.tools.which import KeyId, KeyName, id_of

_OF_CATALOG = frozenset(["model_limits", "model_limits_enabled", "group"])
"""Fields whose names the catalog knows."""


async def update_api_key(
    context: Context,
    *,
    id: KeyId = 0,
    key_name: KeyName = "",
    name: Annotated[str | None, Field(max_length=LONGEST_GIVEN, description="New name")] = None,
    lifetime: Annotated[str, Field(max_length=60, description='"30 days", "until Friday"')] = "",
    expired_time: Annotated[int | None, Field(ge=NEVER)] = None,
    budget_usd: Annotated[float | None, Field(ge=0, allow_inf_nan=False, description="What it may still spend")] = None,
    add_budget_usd: Annotated[
        float | None, Field(allow_inf_nan=False, description="Adds to that, or takes off")
    ] = None,
    remain_quota: Annotated[int | None, Field(ge=0, le=MAX_QUOTA)] = None,
    unlimited_quota: bool | None = None,
    model_limits_enabled: bool | None = None,
    model_limits: str | None = None,
    allow_ips: Annotated[str | None, Field(description='"" allows all')] = None,
    group: str | None = None,
    cross_group_retry: bool | None = None,
    status: Literal["enabled", "disabled"] | None = None,
) -> UpdatedKey:
    """Change, disable, enable or top up a CometAPI key; what is left out stays as it is."""
    named: dict[str, Any] = {
        "name": name,
        "lifetime": lifetime.strip() or None,
        "expired_time": expired_time,
        "budget_usd": budget_usd,
        "add_budget_usd": add_budget_usd,
        "remain_quota": remain_quota,
        "unlimited_quota": unlimited_quota,
        "model_limits_enabled": model_limits_enabled,
        "model_limits": model_limits,
        "allow_ips": allow_ips,
        "group": group,
        "cross_group_retry": cross_group_retry,
        "status": status,
    }
    return await _update(context, id, key_name, {field: value for field, value in named.items() if value is not None})


async def _update(context: Context, id: int, key_name: str, named: dict[str, Any]) -> UpdatedKey:
    """Change the key by the arguments that are given."""
    app, deadline = context.app, context.deadline
    # what contradicts itself is refused before any call
    request = request_of(named, app.clock.now(), app.settings.timezone)
    await app.hear_clock(deadline)
    key_id = await id_of(context, id, key_name)
    if request.is_of_money:  # a key without one can be disabled on any API
        await app.units_check.require()
    known = await app.catalog.odd(ModelList.parse(request.fields.get("model_limits", "")))
    if context.gate.is_unanswered:  # this run ends with the question: nobody is kept from the key meanwhile
        row = await app.deleter.read(key_id, deadline)
        request = request_of(named, app.clock.now(), app.settings.timezone)
        await _asked_to_change(context, *_change(context, row, request, known), request)
    async with app.changer.holding(key_id, deadline, context.gate.passed) as hold:
        row = await app.deleter.read(key_id, deadline)
        app.quota.enforcer.require_own(row)
        row, settled = await app.changer.settle_open(hold, row, deadline)
        context.note.key_name = row.name
        # the answers since may have told the API's time
        request = request_of(named, app.clock.now(), app.settings.timezone)
        with telling_first(settled):
            change, warnings = _change(context, row, request, known)
            await _asked_to_change(context, change, warnings, request)
            changed = await _written(context, hold, change, request, warnings)
    if wording.state_of(changed.before) == wording.state_of(changed.after):
        context.note.outcome = "nothing_done"
    now = app.clock.now()
    return UpdatedKey(
        **shown(changed.after, app.units, now),
        changed=changes_of(changed.before, changed.after, app.units, now),
        warnings=[*settled, *warnings, *changed.warnings] or None,
    )


async def _written(
    context: Context, hold: Hold, change: KeyChange, request: UpdateRequest, warnings: list[str]
) -> Changed:
    """Make the change; what the catalog and the journal have to say of it becomes a warning."""
    app, deadline = context.app, context.deadline
    # where budgets are limited, what the key spends meanwhile must not come on top of what was judged
    exact = request.sets_budget_of(change.before) and not app.settings.policy.limits_budgets
    uncounted: list[str] = []

    async def write() -> Changed:
        return await app.changer.change(hold, change, deadline, exact=exact, uncounted=uncounted)

    if request.fields.keys() & _OF_CATALOG:
        changed = await beside_catalog(context, change.wanted, warnings, _wait(deadline), write)
    else:
        changed = await write()
    warnings += uncounted
    return changed


def _wait(deadline: Deadline) -> float:
    return min(MAX_WAIT, deadline.left)


def _change(context: Context, row: Key, request: UpdateRequest, known: Collection[str]) -> tuple[KeyChange, list[str]]:
    """The change of a key that is asked for, and warnings of the checks. Raises ArgumentError."""
    app, old = context.app, writable_spec(row)
    changes = request.fields_for(row, app.units)
    now, asked = app.clock.now(), old.model_copy(update=changes)
    wanted, warnings = check_changed_key(old, asked, changes.keys(), now, app.units, known=known)
    warnings = [*expansion_warnings(row, wanted), *request.warnings, *warnings]
    change = KeyChange(row, wanted, Status[request.status.upper()] if request.status else None)
    if request.status == "enabled":
        _check_can_work(change.after, now)
    return change, warnings


async def _asked_to_change(context: Context, change: KeyChange, warnings: list[str], request: UpdateRequest) -> None:
    """Have the policy and a person agree to a change."""
    app = context.app
    app.quota.enforcer.require_own(change.before)
    await app.quota.require_change(change)
    if context.gate.is_unanswered and _OF_CATALOG & request.fields.keys():
        warnings += await app.catalog.warnings(change.wanted)  # for the question, with which this run ends
    await context.gate.require_confirmed(question(change, request, warnings, app.units))


def _check_can_work(after: Key, now: float) -> None:
    """Refuse to enable what has ended: the API would, and a program would be refused all the same."""
    for obstacle in after.state(now).obstacles:
        needed = "a later end (lifetime)" if obstacle.kind == "expired" else "budget_usd"
        raise ArgumentError(f"The key {obstacle.text}. Give {needed} in the same call to enable it.")


TOOL = Tool.of(update_api_key, "Change an API key", destructive=True)
