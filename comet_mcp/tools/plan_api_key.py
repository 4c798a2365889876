"""From a person's words to the exact body of a create, or to the questions that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from comet_mcp.context import Context, Services
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.money import MAX_QUOTA, Units
from comet_mcp.domain.validation import LONGEST_GIVEN, MAX_ENTRIES, check_new_key
from comet_mcp.errors import ArgumentError
from comet_mcp.services.planning import Draft, compare_balance, missing, understand_name, understand_names
from comet_mcp.text import quoted
from comet_mcp.tools.base import Tool
from comet_mcp.tools.plan_views import KeyBody, PlannedKey

if TYPE_CHECKING:
    from comet_mcp.domain.lifetime_words import End


async def plan_api_key(
    context: Context,
    *,
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_GIVEN, description="At most 50 bytes")],
    lifetime: Annotated[
        str, Field(max_length=60, description='"2h", "until Friday", "来年3月末", "2027-09-03", "never"')
    ] = "",
    budget_usd: Annotated[float | None, Field(gt=0, le=1e9)] = None,
    unlimited: Annotated[bool, Field(description="Instead of a budget")] = False,
    models: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Empty allows all")] = [],  # noqa: B006 - never changed
    ips: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Addresses or CIDRs; empty allows all")] = [],  # noqa: B006
    group: str = "",
) -> PlannedKey:
    """Call first to make a CometAPI key: turns the user's words into create_api_key's arguments, or into what to ask.

    Creates nothing. Pass words as they were said and leave out what was not: a missing budget or end is asked for.
    Several equal keys need one plan: change the name. Never ask for a key's value.
    """
    from comet_mcp.domain.lifetime_words import end_of  # noqa: PLC0415 - 50 ms, which no other tool needs

    app, draft, end = context.app, Draft(), None
    quota, addresses = _quota(budget_usd, unlimited, app.units), _addresses(ips)
    await app.hear_clock(context.deadline)
    facts = await app.catalog.facts(models=bool(models), groups=bool(group), balance=quota > 0)
    now, zone = app.clock.now(), app.settings.timezone  # not before: the first answers may tell the API's time
    name = understand_name(draft, name)
    if is_given := bool(lifetime.strip()):
        with draft.asking():
            end = end_of(lifetime, now, zone)
    understand_names(draft, models, group, facts)
    compare_balance(draft, quota, facts, app.units)
    draft.ask += await missing(app.quota, zone, now, lifetime=not is_given, budget=not (quota or unlimited))
    if end is None or draft.ask:
        return _open(app, draft)
    asked = KeySpec(
        name=name,
        expired_time=end.expired_time,
        remain_quota=quota,
        unlimited_quota=unlimited,
        model_limits_enabled=bool(models),
        model_limits=",".join(draft.models),
        allow_ips=addresses.text or None,
        group=draft.group,
    )
    return await _planned(app, draft, asked, end, now)


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


def _open(app: Services, draft: Draft) -> PlannedKey:
    """The questions that have to be answered before there is a body."""
    policy = app.settings.policy
    return PlannedKey(
        ask=draft.ask,
        understood=draft.understood or None,
        checked=draft.checked,
        warnings=[*([policy.unusable] if policy.problems else []), *draft.warnings] or None,
    )


async def _planned(app: Services, draft: Draft, asked: KeySpec, end: End, now: float) -> PlannedKey:
    """The body, with what has to be said of it, and what the policy says."""
    from comet_mcp.domain.lifetime_words import end_in_zone  # noqa: PLC0415 - as above

    body, warnings = check_new_key(asked, now, app.units, known=draft.models)
    if 0 < body.remain_quota < app.units.per_usd // 100:  # dollars were given: the warning about units would mislead
        warnings[:1] = [f"{app.units.usd(body.remain_quota)} is less than a cent: hardly a model call."]
    warnings += [end.warning] if end.warning else []
    if body.expired_time != NEVER and not app.clock.was_heard:
        warnings.append("The API could not be asked what time it is, so the end counts by this machine's clock.")
    broken, nearest = await app.quota.verdict(body)
    return PlannedKey(
        create_api_key=KeyBody(**body.model_dump()),
        budget="the account's whole balance" if body.unlimited_quota else app.units.exact(body.remain_quota),
        ends=end_in_zone(body.expired_time, app.settings.timezone),
        understood=draft.understood or None,
        checked=[*draft.checked, "the policy of this server"],
        broken_rules=broken or None,
        nearest_allowed=KeyBody(**nearest) if nearest else None,
        warnings=[*warnings, *draft.warnings] or None,
    )


TOOL = Tool.of(plan_api_key, "Plan an API key", read_only=True)
