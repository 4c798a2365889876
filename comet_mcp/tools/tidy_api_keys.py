"""Deleting the keys that have ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key
from comet_mcp.domain.money import Units
from comet_mcp.errors import CometError
from comet_mcp.removal import delete_noted
from comet_mcp.services.ended import ended_keys, is_ended
from comet_mcp.text import quoted
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.views import EndedKey, TidiedKeys

_MOST = 15
"""Keys of one call: a person can read as many in a question, and they can be deleted in the time of a call."""


async def tidy_api_keys(
    context: Context, *, dry_run: Annotated[bool, Field(description="Only show them")] = True
) -> TidiedKeys:
    """Delete the CometAPI keys that have expired or are used up. Show them to the user first (dry_run)."""
    app = context.app
    await app.hear_clock(context.deadline)
    rows, notes = await _deletable(context)
    chosen, more = rows[:_MOST], len(rows[_MOST:])
    if more:
        notes.append(f"{more} more have ended; each call deletes up to {_MOST}.")
    deleted: list[int] = []
    if chosen and not dry_run:
        await context.gate.require_confirmed(_question(chosen, app.units, app.clock.now()))
        deleted = await _deleted(context, chosen, notes)
    if not deleted:
        context.note.outcome = "nothing_done"
    now = app.clock.now()
    return TidiedKeys(
        keys=[EndedKey.of(row, app.units, now, deleted=row.id in deleted) for row in chosen], notes=notes or None
    )


async def _deletable(context: Context) -> tuple[list[Key], list[str]]:
    """The ended keys that this server may delete, oldest first, and what is to be said of the others."""
    app, policy = context.app, context.app.settings.policy
    if policy.problems:
        raise policy.refusal([])
    found, is_every = await ended_keys(app.api, app.clock)
    leased = {(one.key_id, one.key_created) for one in await app.leases.open()} if await app.leases.any() else set()
    free = [row for row in found if (row.id, row.created_time) not in leased]  # the others end with their runs
    rows = [row for row in free if not policy.check_own(row)]
    notes = [] if is_every else ["Not all keys were looked at: the API lists too many."]
    if not app.clock.was_heard:
        notes.append("The API tells no time, so keys that have ended by this machine's clock alone were left out.")
    if others := len(free) - len(rows):
        notes.append(f"{others} more have ended, and the policy does not let this server delete them.")
    return rows, notes


async def _deleted(context: Context, rows: list[Key], notes: list[str]) -> list[int]:
    """Delete keys until one can't be; `notes` gets why. Returns their ids. Raises CometError where it is the first."""
    app, done = context.app, list[int]()
    for row in rows:
        try:
            removed = await delete_noted(
                app, row, context.deadline, TOOL.name, still=lambda last: is_ended(last, app.clock)
            )
        except CometError as error:
            if not done:
                raise
            notes.append(f"Key {row.id} and those after it were left: {error}")
            break
        if removed is not None:
            done.append(row.id)
            if said := removed.forgotten.besides:
                notes.append(f"Key {row.id} {quoted(row.name)}: {said}")
        else:
            notes.append(f"Key {row.id} was changed or deleted meanwhile.")
    return done


def _question(rows: list[Key], units: Units, now: float) -> Question:
    """The question before ended keys are deleted. `now` is in Unix seconds."""
    said = [
        f"{quoted(row.name)} (id {row.id}, {row.state(now).word}, spent {units.cost(row.used_quota)})" for row in rows
    ]
    text = f"Delete for good the API key{'s' * (len(rows) > 1)} {', '.join(said)}?"
    return Question(text, digest_of("tidy", [wording.state_of(row) for row in rows]))


TOOL = Tool.of(tidy_api_keys, "Delete ended API keys", destructive=True, idempotent=True, only_with="delete_api_key")
