"""From a person's words to the exact body of a create, or to the questions that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from comet_mcp.context import Context, Services
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.money import MAX_QUOTA, Units
from comet_mcp.domain.validation import LONGEST_GIVEN, MAX_ENTRIES, check_name, check_new_key
from comet_mcp.errors import ArgumentError
from comet_mcp.services.planning import Scope, compare_balance, missing, understood_scope
from comet_mcp.text import quoted
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    PlannedKey,
)

if TYPE_CHECKING:
    from comet_mcp.domain.lifetime_words import End


async def plan_api_key(
    context: Context,
    *,
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_GIVEN, description="At most 50 bytes")],
    lifetime: Annotated[str, Field(max_length=60, description='"2h", "until Friday", "2027-09-03", "never"')] = "",
    budget_usd: Annotated[float | None, Field(gt=0, le=1e9)] = None,
    unlimited: Annotated[bool, Field(description="Instead of a budget")] = False,
    models: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Empty allows all")] = [],  # noqa: B006 - never changed
    ips: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Addresses or CIDRs; empty allows all")] = [],  # noqa: B006
    group: str = "",
) -> PlannedKey:
    """Turn the user's words into the arguments of create_api_key, or into what to ask the user. Creates nothing.

    Call it first. For several equal keys change only the name in what it returns.
    """
    from comet_mcp.domain.lifetime_words import end_of  # noqa: PLC0415 - 50 ms, which no other tool needs

    app = context.app
    quota, addresses = _quota(budget_usd, unlimited, app.units), _addresses(ips)
    check_name(name)
    await app.hear_clock(context.deadline)
    now, zone = app.clock.now(), app.settings.timezone
    end = end_of(lifetime, now, zone) if lifetime.strip() else None
    facts = await app.catalog.facts(models=bool(models), groups=bool(group), balance=quota > 0)
    scope = understood_scope(models, group, facts)
    compare_balance(scope, quota, facts, app.units)
    scope.ask += await missing(app.quota, zone, now, lifetime=end is None, budget=not (quota or unlimited))
    if end is None or scope.ask:
        return _open(app, scope)
    body, warnings = check_new_key(
        KeySpec(
            name=name,
            expired_time=end.expired_time,
            remain_quota=quota,
            unlimited_quota=unlimited,
            model_limits_enabled=bool(models),
            model_limits=",".join(scope.models),
            allow_ips=addresses.text or None,
            group=scope.group,
        ),
        now,
        app.units,
        known=scope.models,
    )
    if 0 < quota < app.units.per_usd // 100:  # dollars were given: the warning about units would mislead
        warnings[:1] = [f"{app.units.usd(quota)} is less than a cent: hardly a model call."]
    scope.warnings[:0] = [*warnings, *_of_time(app, end)]
    return await _planned(app, scope, body)


def _quota(budget_usd: float | None, unlimited: bool, units: Units) -> int:
    """The budget in quota units, 0 where none was given. Raises ArgumentError."""
    if budget_usd is None:
        return 0
    if unlimited:
        raise ArgumentError("Give budget_usd, or unlimited true, not both.")
    quota = units.from_usd(budget_usd)
    if not 0 < quota <= MAX_QUOTA:
        raise ArgumentError(f"budget_usd must be from {units.usd(1)}, one quota unit, to {units.usd(MAX_QUOTA)}.")
    return quota


def _addresses(ips: list[str]) -> AddressList:
    """The list of addresses. Raises ArgumentError."""
    addresses = AddressList.of(ips)
    if addresses.wrong:
        form = 'ips is a list: ["198.51.100.10", "203.0.113.0/24", "2001:db8::/32"]'
        raise ArgumentError(f"ips has the entry {quoted(addresses.wrong[0])}, which is no IP address or range. {form}.")
    return addresses


def _of_time(app: Services, end: End) -> list[str]:
    """What has to be said of the end."""
    said = [end.warning] if end.warning else []
    if end.expired_time != NEVER and not app.clock.was_heard:
        said.append("The API could not be asked what time it is, so the end counts by this machine's clock.")
    return said


def _open(app: Services, scope: Scope) -> PlannedKey:
    """The questions that have to be answered before there is a body."""
    policy = app.settings.policy
    return PlannedKey(
        ask=scope.ask,
        understood=scope.understood or None,
        checked=scope.checked,
        warnings=[*([policy.unusable] if policy.problems else []), *scope.warnings] or None,
    )


async def _planned(app: Services, scope: Scope, body: KeySpec) -> PlannedKey:
    """The body, with what the policy says of it."""
    from comet_mcp.domain.lifetime_words import end_in_zone  # noqa: PLC0415 - as above

    broken, nearest = await app.quota.verdict(body)
    return PlannedKey(
        create_api_key=body.model_dump(),
        budget="the account's whole balance" if body.unlimited_quota else app.units.exact(body.remain_quota),
        ends=end_in_zone(body.expired_time, app.settings.timezone),
        understood=scope.understood or None,
        checked=[*scope.checked, "the policy of this server"],
        broken_rules=broken or None,
        nearest_allowed=nearest,
        warnings=scope.warnings or None,
    )


TOOL = Tool.of(plan_api_key, "Plan an API key", read_only=True)
