"""Deleting one key."""

from __future__ import annotations

from typing import Any

import anyio

from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.confirmation import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import NEVER
from comet_mcp.domain.money import Units
from comet_mcp.errors import NotFoundError
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.update import delete_key
from comet_mcp.tools import wording
from comet_mcp.tools.arguments import KeyId
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import (
    DeletedKey,
)


async def delete_api_key(context: Context, *, id: KeyId) -> DeletedKey:
    """Delete one API key for good; programs that use it stop working. Answers with the body of an equal key."""
    app, deadline = context.app, context.deadline
    try:
        row = await app.api.get_token(id)
    except NotFoundError:
        return DeletedKey(id=id, deleted=False, note=f"There is no key {id}: it is gone already, or never was.")
    app.quota.enforcer.require_own(row)
    deadline.require_time_to_write()
    async with app.api.limit.reserved(WRITE_CALLS):  # before a person's answer is used up
        await context.gate.require_confirmed(_question(row, app.units, app.clock.now()))
        with anyio.CancelScope(shield=True):  # whoever gives up the call now must not leave the value of a dead key
            try:
                certain = await delete_key(app.api, id, deadline)
                notes = [] if certain else ["The API's answer was lost, but the key is gone."]
            except NotFoundError:
                notes = ["Somebody else deleted it at the same moment."]
            notes.append(str(await app.secrets.forget(id)))
    if row.expired_time != NEVER and row.expired_time <= app.clock.now():
        notes.append("It had expired: create_api_key takes the body once it has a later expired_time.")
    note = " ".join(filter(None, notes))
    return DeletedKey(id=id, deleted=True, name=row.name, recreate=_recreating(row), note=note or None)


def _recreating(row: Key) -> dict[str, Any]:
    """The create_api_key body of an equal key, without what create refuses in a key that was odd."""
    body = writable_spec(row)
    return body.model_dump() | {
        "model_limits": body.model_limits if body.model_limits_enabled else "",
        # measured: 0 is 1970 in a record and never on create; a key that had ended stays one that has
        "expired_time": body.expired_time if body.expired_time > 0 or body.expired_time == NEVER else row.created_time,
        "remain_quota": max(body.remain_quota, 0),
    }


def _question(row: Key, units: Units, now: float) -> Question:
    """The question before a key is deleted. `now` is in Unix seconds."""
    text = (
        f"Delete {wording.key(row)} for good? It is {row.state(now).word}, may still spend "
        f"{wording.budget(row.spec, units, '')} and {wording.end(row.expired_time)}. Programs that use it stop working."
    )
    return Question(text, digest_of("delete", wording.state_of(row)))


TOOL = Tool.of(delete_api_key, "Delete an API key", destructive=True, idempotent=True)
