"""Finding out whether one key works."""

from __future__ import annotations

from comet_mcp.context import Context
from comet_mcp.domain.lifetimes import expiry
from comet_mcp.errors import CometError
from comet_mcp.services.verify import verify_key
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    VerifiedKey,
    remaining,
)

_MODELS_SHOWN = 20


async def verify_api_key(context: Context, *, id: KeyId) -> VerifiedKey:
    """Find out whether an API key works, by asking as that key: why not, what it may still spend, which models."""
    row = await context.app.deleter.read(id, context.deadline)
    value = await context.app.secrets.value_of(row, context.deadline)
    verdict = await verify_key(context.app.api, row, value, ask_usage=await _may_ask_usage(context))
    if verdict.usage is not None:  # fresher than the record
        row = row.model_copy(
            update={"remain_quota": verdict.usage.total_available, "used_quota": verdict.usage.total_used}
        )
    return VerifiedKey(
        id=row.id,
        name=row.name,
        works=not verdict.reasons,
        reasons=verdict.reasons or None,
        remaining=remaining(row, context.app.units),
        remain_quota=row.remain_quota,
        expires=expiry(row.expired_time),
        models=verdict.models[:_MODELS_SHOWN],
        models_total=len(verdict.models),
    )


async def _may_ask_usage(context: Context) -> bool:
    try:
        return await context.app.secrets.may_ask_usage()
    except CometError:
        return False  # the record and the models tell as well


TOOL = Tool.of(verify_api_key, "Check an API key", read_only=True)
