"""From human words to the exact body of a create."""

from __future__ import annotations

from time import time
from typing import Annotated

from pydantic import Field

from comet_mcp.app import App
from comet_mcp.errors import ArgumentError
from comet_mcp.lifetimes import expired_time
from comet_mcp.results import PlannedKey
from comet_mcp.rules import MAX_NAME, check_new_key
from comet_mcp.units import MAX_QUOTA, NEVER, when
from comet_mcp.wire import TokenBody


async def plan_api_key(
    app: App,
    *,
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)],
    lifetime: Annotated[str, Field(max_length=60, description='"30d", "2 weeks", "2027-09-03" or "never"')],
    budget_usd: Annotated[float | None, Field(gt=0, le=1e9)] = None,
    unlimited: Annotated[bool, Field(description="Instead of a budget")] = False,
    models: Annotated[list[str], Field(description="Empty allows all")] = [],  # noqa: B006 - never changed
    ips: Annotated[list[str], Field(description="Addresses or CIDRs; empty allows all")] = [],  # noqa: B006
    group: str = "",
) -> PlannedKey:
    """Turn human terms into the exact arguments of create_api_key, with cost ceiling, end and warnings.

    Creates nothing. Call it first, then create_api_key with what it returns.
    """
    if (budget_usd is None) is not unlimited:
        raise ArgumentError("Say either budget_usd or unlimited true: what may the key spend?")
    now = time()
    quota = 0 if budget_usd is None else app.units.from_usd(budget_usd)
    if budget_usd is not None and not 0 < quota <= MAX_QUOTA:
        raise ArgumentError(
            f"budget_usd must be from {app.units.usd(1)}, one quota unit, to {app.units.usd(MAX_QUOTA)}."
        )
    for entry in models:
        if "," in entry:
            raise ArgumentError('models is a list with one id each: ["gpt-4.1-mini", "gpt-4o"].')
    body, warnings = check_new_key(
        TokenBody(
            name=name,
            expired_time=expired_time(lifetime, now),
            remain_quota=quota,
            unlimited_quota=unlimited,
            model_limits_enabled=bool(models),
            model_limits=",".join(models),
            allow_ips="\n".join(ips) or None,
            group=group,
        ),
        now,
        app.units,
    )
    warnings += await app.catalog.warnings(body)
    return PlannedKey(
        create_api_key=body.model_dump(),
        costs_at_most="the account's whole balance" if unlimited else app.units.usd(quota),
        ends="never" if body.expired_time == NEVER else f"{when(body.expired_time)} (UTC)",
        warnings=warnings or None,
    )
