"""Replacing one key by a new one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import NEVER, duration, expiry, when
from comet_mcp.domain.money import Units
from comet_mcp.errors import ArgumentError
from comet_mcp.journal.operations import OldKeyEnd, Operation, State
from comet_mcp.services.retire import Retirement, Rotated
from comet_mcp.text import quoted
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.key_words import last_used
from comet_mcp.tools.views import CreatedKey, OldKey, RotatedKey
from comet_mcp.tools.which import KeyId, KeyName, id_of

_REPEATED_WITHIN = 86_400.0
"""Seconds after a rotation within which a call by the key's name may be a repetition of it."""

_SCOPE = {"model_limits_enabled", "model_limits", "allow_ips", "group", "cross_group_retry"}


async def rotate_api_key(
    context: Context,
    *,
    id: KeyId = 0,
    key_name: KeyName = "",
    old_key: Annotated[OldKeyEnd, Field(description="How the old key ends; a leaked one: delete")] = "grace",
    grace: Annotated[str, Field(max_length=40, description='How long the old one still works, "3 days"')] = "24h",
) -> RotatedKey:
    """Replace a CometAPI key, such as a leaked one: makes one with the same scope, stores its value, ends the old one.

    Called again after a failure it goes on; it never makes a third key. Never ask the user for a value.
    """
    seconds = duration(grace)
    key_id = await _id_of(context, id, key_name)

    async def confirm(old: Key, begun: Operation | None) -> None:
        now = context.app.clock.now()
        question = _question(old, begun, old_key, seconds, context.app.units, now=now)
        await context.gate.require_confirmed(question)

    retirement = Retirement(old_key, int(context.app.clock.now()) + seconds)
    begin = None if context.gate.is_unanswered else context.gate.passed
    done = await context.app.rotator.rotate(key_id, retirement, confirm, context.told, begin)
    now = context.app.clock.now()
    endless = ["The new key never ends. update_api_key with lifetime gives it an end."]
    return RotatedKey(
        new_key=CreatedKey.made(done.new, context.app.settings, now),
        old_key=_old_key(key_id, done, context.app.units, now),
        steps=done.steps,
        nothing_done=done.nothing_done or None,
        unfinished=done.unfinished or None,
        warnings=[*done.warnings, *(endless if done.new.row.expired_time == NEVER else [])] or None,
    )


async def _id_of(context: Context, id: int, key_name: str) -> int:
    """The id of the key that is meant, as `which.id_of`.

    A name goes over to the new key: a call that is repeated by name must not replace that one in turn.
    """
    key_id = await id_of(context, id, key_name)
    if id:
        return key_id
    made = await context.app.rotator.which_made(await context.app.api.get_token(key_id))
    if made is None or made.old is None or made.begun < context.app.clock.now() - _REPEATED_WITHIN:
        return key_id
    raise ArgumentError(
        f"Key {key_id} {quoted(key_name)} has replaced key {made.old.id} at {when(int(made.begun))} already. To see "
        f"that through, call with id {made.old.id}; to replace the new key as well, with id {key_id}."
    )


def _old_key(key_id: int, done: Rotated, units: Units, now: float) -> OldKey:
    """The old key: what became of it, and whether it was used."""
    old, seen = done.old, done.last_seen
    return OldKey(
        id=key_id,
        state="not known" if not done.old_is_known else "deleted" if old is None else old.state(now).word,
        ends=None if old is None or not done.old_is_known else expiry(old.expired_time),
        spent=None if seen is None else units.cost(seen.used_quota),
        last_used=None if seen is None else last_used(seen),
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
