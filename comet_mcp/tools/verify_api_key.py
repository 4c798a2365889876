"""Finding out whether one key works."""

from __future__ import annotations

from comet_mcp.context import Context
from comet_mcp.domain.lifetimes import expiry
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    VerifiedKey,
    remaining,
)

_MODELS_SHOWN = 20


async def verify_api_key(context: Context, *, id: KeyId) -> VerifiedKey:
    """Find out whether an API key works: "works", "does not work" (reasons, and what mends each) or "can't be told"."""
    app = context.app
    verdict = await app.verifier.verify(await app.deleter.read(id, context.deadline), context.deadline)
    row, models = verdict.row, verdict.models
    return VerifiedKey(
        id=row.id,
        name=row.name,
        verdict=verdict.word,
        reasons=[*verdict.reasons, *verdict.doubts] or None,
        notes=verdict.notes or None,
        remaining=remaining(row, app.units),
        remain_quota=row.remain_quota,
        expires=expiry(row.expired_time),
        models=None if models is None else models[:_MODELS_SHOWN],
        models_total=None if models is None else len(models),
    )


TOOL = Tool.of(verify_api_key, "Check an API key", read_only=True)
