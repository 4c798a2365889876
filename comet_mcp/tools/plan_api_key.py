"""From human words to the exact body of a create."""

from __future__ import annotations

from typing import Annotated

import anyio
from pydantic import Field

from comet_mcp.context import Context
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import NEVER, expired_time, when
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import MAX_QUOTA
from comet_mcp.domain.validation import MAX_ENTRIES, MAX_NAME, check_new_key
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    PlannedKey,
)


async def plan_api_key(
    context: Context,
    *,
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)],
    lifetime: Annotated[str, Field(max_length=60, description='"30d", "2 weeks", "2027-09-03" or "never"')],
    budget_usd: Annotated[float | None, Field(gt=0, le=1e9)] = None,
    unlimited: Annotated[bool, Field(description="Instead of a budget")] = False,
    models: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Empty allows all")] = [],  # noqa: B006 - never changed
    ips: Annotated[list[str], Field(max_length=MAX_ENTRIES, description="Addresses or CIDRs; empty allows all")] = [],  # noqa: B006
    group: str = "",
) -> PlannedKey:
    """Turn human terms into the exact arguments of create_api_key, with budget, end and warnings.

    Creates nothing. Call it first, then create_api_key with what it returns.
    """
    if budget_usd is not None and unlimited:
        raise ArgumentError("Give budget_usd, or unlimited true, not both.")
    app = context.app
    await app.hear_clock(context.deadline)
    now = app.clock.now()
    quota = 0 if budget_usd is None else app.units.from_usd(budget_usd)
    if budget_usd is not None and not 0 < quota <= MAX_QUOTA:
        raise ArgumentError(
            f"budget_usd must be from {app.units.usd(1)}, one quota unit, to {app.units.usd(MAX_QUOTA)}."
        )
    allowed, addresses = ModelList.of(models), AddressList.of(ips)
    known = await app.catalog.odd(allowed)
    if wrong := [entry for entry in allowed.wrong if entry not in known]:
        form = 'models is a list with one id each: ["gpt-4.1-mini", "gpt-4o"]'
        raise ArgumentError(f"models has the entry {quoted(wrong[0])}, which is no model id. {form}.")
    if addresses.wrong:
        form = 'ips is a list: ["198.51.100.10", "203.0.113.0/24", "2001:db8::/32"]'
        raise ArgumentError(f"ips has the entry {quoted(addresses.wrong[0])}, which is no IP address or range. {form}.")
    body, warnings = check_new_key(
        KeySpec(
            name=name,
            expired_time=expired_time(lifetime, now),
            remain_quota=quota,
            unlimited_quota=unlimited,
            model_limits_enabled=bool(models),
            model_limits=allowed.text,
            allow_ips=addresses.text or None,
            group=group,
        ),
        now,
        app.units,
        known=known,
    )
    if body.expired_time != NEVER and not app.clock.was_heard:
        warnings.append("The API could not be asked what time it is, so the end counts by this machine's clock.")
    if 0 < quota < app.units.per_usd // 100:  # dollars were given: the warning about units would mislead
        warnings[:1] = [f"{app.units.usd(quota)} is less than a cent: hardly a model call."]
    async with anyio.create_task_group() as beside:

        async def compare() -> None:
            balance = await app.catalog.balance()
            if balance is not None and quota > balance:
                warnings.append(
                    f"The budget is more than the account's balance, {app.units.usd(balance)}: it limits nothing."
                )

        if not unlimited:
            beside.start_soon(compare)
        found = await app.catalog.warnings(body)
    warnings += found
    broken, nearest = await app.quota.verdict(body)
    return PlannedKey(
        create_api_key=body.model_dump(),
        policy="refused" if broken else "allowed",
        broken_rules=broken or None,
        nearest_allowed=nearest,
        budget="the account's whole balance" if unlimited else app.units.exact(quota),
        ends="never" if body.expired_time == NEVER else when(body.expired_time),
        warnings=warnings or None,
    )


TOOL = Tool.of(plan_api_key, "Plan an API key", read_only=True)
