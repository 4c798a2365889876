"""Replacing one key by a new one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key, status_word
from comet_mcp.domain.lifetimes import NEVER, duration, expiry, when
from comet_mcp.domain.money import Units
from comet_mcp.journal.operations import OldKeyEnd, Operation, State
from comet_mcp.services.retire import Retirement
from comet_mcp.tools import wording
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    CreatedKey,
    RotatedKey,
)

_SCOPE = {"model_limits_enabled", "model_limits", "allow_ips", "group", "cross_group_retry"}


async def rotate_api_key(
    context: Context,
    *,
    id: KeyId,
    old_key: Annotated[OldKeyEnd, Field(description="How the old key ends")] = "grace",
    grace: Annotated[str, Field(max_length=40, description='How long the old one still works, "3 days"')] = "24h",
) -> RotatedKey:
    """Replace one API key by a new one with the same scope: makes it, stores its value, then ends the old one.

    Called again after a failure it goes on; it never makes a third key.
    """
    seconds = duration(grace)

    async def confirm(old: Key, begun: Operation | None) -> None:
        now = context.app.clock.now()
        question = _question(old, begun, old_key, seconds, context.app.units, now=now)
        await context.gate.require_confirmed(question)

    retirement = Retirement(old_key, int(context.app.clock.now()) + seconds)
    begin = None if context.gate.is_unanswered else context.gate.passed
    done = await context.app.rotator.rotate(id, retirement, confirm, context.told, begin)
    old: dict[str, Any] = {"id": id, "status": "deleted" if done.old_is_known else "not known"}
    if done.old is not None and done.old_is_known:
        old |= {"status": status_word(done.old.status), "expires": expiry(done.old.expired_time)}
    return RotatedKey(
        new_key=CreatedKey.made(done.new, context.app.units, context.app.clock.now()),
        old_key=old,
        steps=done.steps,
        nothing_done=done.nothing_done or None,
        warnings=done.warnings or None,
    )


def _question(row: Key, begun: Operation | None, old_key: str, grace: int, units: Units, *, now: float) -> Question:
    """The question before a key is replaced.

    Args:
        row: The key.
        begun: Its rotation that was begun and not finished, which this call would go on with.
        old_key: How the key ends: `grace`, `disable` or `delete`.
        grace: For `grace`, how many seconds it still works. They count from the answer, which is not known yet.
        units: What a quota unit is worth.
        now: Unix seconds.
    """
    state = digest_of("rotate", wording.state_of(row), None if begun is None else begun.id)
    ending = _ending(row, old_key, grace, units, now)
    if begun is not None and begun.state is State.RETIRED:
        first = f"Store the value of key {begun.key_id} again, which has replaced {wording.key(row)} already?"
        return Question(f"{first} {ending}", state)
    first = f"Replace {wording.key(row)} by a new key?"
    if begun is not None:
        first = f"Go on with replacing {wording.key(row)} by a new key, begun at {when(int(begun.begun))}?"
    body = row.spec if begun is None else begun.spec
    same = body.model_dump(include=_SCOPE) == row.spec.model_dump(include=_SCOPE)
    scope = "same scope" if same else "scope of that time"
    parts = [
        first,
        f"The new one has the {scope}, may spend {wording.budget(body, units)} and {wording.end(body.expired_time)}.",
        ending,
        *wording.scope(body, wording.SOME if same else None),
    ]
    return Question(" ".join(parts), state)


def _ending(row: Key, old_key: str, grace: int, units: Units, now: float) -> str:
    """What becomes of a key that is replaced."""
    if old_key != "delete" and not row.state(now).works:
        return "The old key does not work any more."
    if old_key != "grace":
        ended = "disabled" if old_key == "disable" else "deleted for good"
        return f"The old key is then {ended}. Programs that use it stop working."
    until = f"for {_span(grace)} from your answer"
    if row.expired_time != NEVER:
        until += f", at most until its own end at {when(row.expired_time)}"
    spend = "" if row.unlimited_quota else f", the old one the {units.exact(row.remain_quota)} it has left"
    return f"The old key works {until}; meanwhile both can spend{spend}."


def _span(seconds: int) -> str:
    """A span of whole minutes in words: "24 hours", "3 days"."""
    for unit, size in (("day", 86_400), ("hour", 3600)):
        if seconds % size == 0 and seconds > size:
            return f"{seconds // size} {unit}s"
    return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"


TOOL = Tool.of(rotate_api_key, "Replace an API key", destructive=True)
