"""Making one key, exactly once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import MAX_QUOTA, Units
from comet_mcp.domain.validation import LONGEST_GIVEN, check_new_key
from comet_mcp.services.finding import Created
from comet_mcp.services.take_up import make_key
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.beside import beside_catalog
from comet_mcp.tools.views import CreatedKey


async def create_api_key(
    context: Context,
    *,
    name: Annotated[
        str, Field(min_length=1, max_length=LONGEST_GIVEN, description="What the key is for; at most 50 bytes")
    ],
    expired_time: Annotated[int, Field(ge=NEVER, description="Unix seconds; -1 never ends")] = NEVER,
    remain_quota: Annotated[
        int, Field(ge=0, le=MAX_QUOTA, description="Budget in quota units; without one it can't call models")
    ] = 0,
    unlimited_quota: Annotated[bool, Field(description="No budget: may spend the whole balance")] = False,
    model_limits_enabled: Annotated[bool, Field(description="Allow only model_limits")] = False,
    model_limits: Annotated[str, Field(description="Model ids, comma-separated")] = "",
    allow_ips: Annotated[str | None, Field(description="IPs or CIDRs, one per line; left out: all")] = None,
    group: Annotated[str, Field(description="A group of the account")] = "",
    cross_group_retry: Annotated[bool, Field(description='Only with group "auto"')] = False,
) -> CreatedKey:
    """Create a CometAPI key with what plan_api_key returned; its value is stored for the user's programs, not shown.

    Give it a budget and an end unless the user says otherwise, and never ask for a key's value. After
    create_outcome_unknown call list_api_keys before you repeat it.
    """
    if expired_time != NEVER:
        await context.app.hear_clock(context.deadline)
    body, warnings = check_new_key(
        KeySpec(
            name=name,
            expired_time=expired_time,
            remain_quota=remain_quota,
            unlimited_quota=unlimited_quota,
            model_limits_enabled=model_limits_enabled,
            model_limits=model_limits,
            allow_ips=allow_ips,
            group=group,
            cross_group_retry=cross_group_retry,
        ),
        context.app.clock.now(),
        context.app.units,
        known=await context.app.catalog.odd(ModelList.parse(model_limits)),
    )
    await _require_allowed(context, body)
    await context.app.units_check.require()
    if context.gate.is_unanswered:
        # for the question, with which this run ends
        warnings += [*await context.app.catalog.warnings(body), *await context.app.catalog.uncovered(body)]
    await context.gate.require_confirmed(_question(body, warnings, context.app.units))

    async def make() -> Created:
        await context.app.secrets.check(context.deadline)
        app = context.app
        return await make_key(app.creator, app.taker, body, context.deadline, context.told, asked=app.clock.now())

    # the answer must not wait for the catalog: a client that gives up then asks again
    created = await beside_catalog(context, body, warnings, 0, make, is_new=True)
    return CreatedKey.made(created, context.app.settings, context.app.clock.now(), warnings)


async def _require_allowed(context: Context, spec: KeySpec) -> None:
    """Refuse a key that the policy does not allow at this moment; raises PolicyError.

    One whose earlier answer was lost is not refused for a count: it is counted already, and repeated it finds its key.
    Where there is none to find, the step that begins the create refuses it.
    """
    app = context.app
    spending = await app.quota.spending()
    violations = app.quota.enforcer.check_new(spec, spending)
    if not violations:
        return
    counts = {limit.rule for limit in app.settings.policy.limits(app.units)}
    if {violation.rule for violation in violations} <= counts and await app.creator.has_open(spec):
        return
    app.quota.enforcer.require_new(spec, spending)


def _question(body: KeySpec, warnings: list[str], units: Units) -> Question:
    """The question before a key is made. `warnings` are those of the checks."""
    parts = [
        f"Create the API key {wording.whole(body.name)}?",
        f"It may spend {wording.budget(body, units)} and {wording.end(body.expired_time)}.",
        *wording.warned(warnings),
        *wording.scope(body),
    ]
    return Question(" ".join(parts), digest_of("create"))


TOOL = Tool.of(create_api_key, "Create an API key")
