"""Deleting keys without a call of delete_api_key: ended ones, and those of leases. Each delete is in the trail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio

from comet_mcp.audit.trail import Note
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import Key
from comet_mcp.errors import CometError, NotFoundError
from comet_mcp.secret_store import Forgotten
from comet_mcp.services.lease import Leased
from comet_mcp.services.reading import read_again
from comet_mcp.settings import Settings
from comet_mcp.text import quoted

_AFTER_START = 2.0
"""Seconds after a server's start: a client has had its handshake by then."""
_TOOL = "delete_api_key"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """A key that is deleted, as it was read last, and where its value was."""

    last: Key
    forgotten: Forgotten


async def delete_noted(
    app: Services,
    row: Key,
    deadline: Deadline,
    by: str,
    *,
    still: Callable[[Key], bool] = lambda _: True,
    by_force: bool = False,
) -> Removed | None:
    """Delete a key, with rows in the trail around it.

    Args:
        app: The services.
        row: The key as it was read before.
        deadline: When it has to be done.
        by: What deletes it, for the trail.
        still: Whether the key, read again while nobody else of this user changes it, is to be deleted.
        by_force: Whether nobody who may be changing it is waited for.

    Returns:
        What is deleted; None where it was gone, or is not to be deleted any more.

    Raises:
        AuditError: The trail is required and can't be written. Nothing was sent.
        CometError: It may still be there.
    """
    note = Note(key_id=row.id, key_name=row.name)
    begun = await app.audit.begin(_TOOL, {"id": row.id}, by)
    try:
        async with app.changer.holding(row.id, deadline, by_force=by_force) as hold:
            last = await read_again(app.api, row.id, row.created_time, seconds=deadline.left)
            if not still(last):
                note.outcome = "nothing_done"
                return None
            with anyio.CancelScope(shield=True):  # what is begun must not leave the value of a dead key
                deleted = await app.deleter.delete(hold, last, deadline)
    except NotFoundError:
        note.outcome = "nothing_done"
        await app.deleter.gone(row.id, deadline, row)
        return None
    except CometError as error:
        note.outcome = error.code
        raise
    except BaseException:
        note.outcome = "cancelled"
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await app.audit.end(begun, _TOOL, note)
    return Removed(last, deleted.forgotten)


async def end_lease(app: Services, leased: Leased, by: str) -> Key | None:
    """Delete the key of a lease and note what it spent.

    Returns:
        The key as it was read last, None where it was gone.

    Raises:
        CometError: The key may still be there. The next who looks for leases removes it; it ends by itself too.
    """
    is_over = False
    try:
        deadline = Deadline(app.clock, app.settings.timeout)
        # whoever was at it before may have been killed in the middle
        removed = await delete_noted(app, leased.row, deadline, by, by_force=True)
        last = removed.last if removed else None
        await app.leases.note_ended(leased, last.used_quota if last else None)
        is_over = True
    finally:
        leased.held.let_go(is_over=is_over)
    return last


def may_remove(settings: Settings) -> bool:
    """Whether this server may delete anything at all."""
    return not (settings.read_only or settings.problems or settings.policy.problems)


async def remove_leftovers(app: Services, by: str) -> list[str]:
    """Delete the keys of leases that were left behind. Returns what was done, and what could not be, in sentences."""
    said: list[str] = []
    for operation in await app.leases.open():
        deadline = Deadline(app.clock, app.settings.timeout)
        try:
            leased = await app.leases.take_over(operation, deadline)
            last = await end_lease(app, leased, by) if leased else None
        except CometError as error:
            said.append(f"The key that a run left behind could not be removed: {error}")
            continue
        if last is not None:
            spent = app.units.cost(last.used_quota)
            said.append(f"Key {last.id} {quoted(last.name)}, which a run left behind, is deleted. It spent {spent}.")
    return said


async def remove_leftovers_later(app: Services) -> None:
    """The same beside a server's calls, soon after its start; what is to be said goes to the log."""
    if not may_remove(app.settings):
        return
    await app.clock.sleep(_AFTER_START)
    with suppress(CometError):  # the next start tries again, and the keys end by themselves
        if await app.leases.any():
            for sentence in await remove_leftovers(app, "cometapi-mcp"):
                log.info("%s", sentence)
