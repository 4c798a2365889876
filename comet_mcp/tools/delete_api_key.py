"""Deleting one key."""

from __future__ import annotations

import anyio

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.money import Units
from comet_mcp.errors import NotFoundError
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.plan_views import KeyBody
from comet_mcp.tools.views import DeletedKey
from comet_mcp.tools.which import KeyId, KeyName, id_of

_ANOTHER_VALUE = "A key that is made from recreate has another value, which programs have to be given."


async def delete_api_key(context: Context, *, id: KeyId = 0, key_name: KeyName = "") -> DeletedKey:
    """Delete one CometAPI key for good; programs that use it stop working.

    To stop a key for a while, disable it with update_api_key.
    """
    app, deadline = context.app, context.deadline
    key_id = await id_of(context, id, key_name)
    try:
        if context.gate.is_unanswered:  # this run ends with the question: nobody is kept from the key meanwhile
            await _asked_to_delete(context, await app.api.get_token(key_id))
        async with app.changer.holding(key_id, deadline) as hold:
            row = await app.api.get_token(key_id)
            await _asked_to_delete(context, row)
            with anyio.CancelScope(shield=True):  # whoever gives up the call now must not leave the value of a dead key
                notes = (await app.deleter.delete(hold, row, deadline)).sentences
    except NotFoundError:
        return await _gone(context, key_id)
    if row.expired_time != NEVER and row.expired_time <= app.clock.now():
        notes.append("It had expired: create_api_key takes the body once it has a later expired_time.")
    note = " ".join(filter(None, [*notes, _ANOTHER_VALUE]))
    recreate = _recreating(writable_spec(row), row.created_time)
    return DeletedKey(id=key_id, deleted=True, name=row.name, recreate=recreate, note=note)


async def _asked_to_delete(context: Context, row: Key) -> None:
    """Have the policy and a person agree."""
    context.app.quota.enforcer.require_own(row)
    await context.gate.require_confirmed(_question(row, context.app.units, context.app.clock.now()))


async def _gone(context: Context, key_id: int) -> DeletedKey:
    """The answer where there is no such key: an earlier delete of it may have been carried out."""
    gone = await context.app.deleter.gone(key_id, context.deadline)
    if gone.by is None:
        note = f"There is no key {key_id}: it is gone already, or never was."
        return DeletedKey(id=key_id, deleted=False, note=note)
    body = gone.by.spec
    recreate = _recreating(body, gone.by.key_created or 0)
    return DeletedKey(id=key_id, deleted=True, name=body.name, recreate=recreate, note=f"{gone} {_ANOTHER_VALUE}")


def _recreating(body: KeySpec, created: int) -> KeyBody:
    """The create_api_key body of an equal key, without what create refuses in a key that was odd."""
    fixed = {
        "model_limits": body.model_limits if body.model_limits_enabled else "",
        # measured: 0 is 1970 in a record and never on create; a key that had ended stays one that has
        "expired_time": body.expired_time if body.expired_time > 0 or body.expired_time == NEVER else created,
        "remain_quota": max(body.remain_quota, 0),
    }
    return KeyBody(**body.model_dump() | fixed)


def _question(row: Key, units: Units, now: float) -> Question:
    """The question before a key is deleted. `now` is in Unix seconds."""
    state = row.state(now)
    text = (
        f"Delete {wording.key(row)} for good? It {state.word if state.works else f'is {state.word}'}, may still spend "
        f"{wording.budget(row.spec, units, '')} and {wording.end(row.expired_time)}. Programs that use it stop working."
    )
    return Question(text, digest_of("delete", wording.state_of(row)))


TOOL = Tool.of(delete_api_key, "Delete an API key", destructive=True, idempotent=True)
