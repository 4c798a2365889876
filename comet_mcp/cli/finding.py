"""Which key a person means: by its id, or by a name that several may have."""

from __future__ import annotations

import re

from comet_mcp.api.client import CometAPI
from comet_mcp.clock import SYSTEM
from comet_mcp.context import Services
from comet_mcp.domain.key import Key
from comet_mcp.errors import ArgumentError, JournalError, NotFoundError
from comet_mcp.services.listing import pages
from comet_mcp.text import quoted


async def find_row(app: Services, wanted: str) -> tuple[Key, str | None]:
    """The record of the key of that id or exact name, and what is to be said where several have the name.

    Raises:
        ArgumentError: No key has the name, or which of several is meant can't be told.
        NotFoundError: No key has the id.
    """
    if re.fullmatch(r"[0-9]{1,18}", wanted):
        return await _row(app.api, int(wanted)), None
    return await _chosen(app, wanted, [row async for page in pages(app.api) for row in page if row.name == wanted])


async def _row(api: CometAPI, key_id: int) -> Key:
    """The record of that id. Where there is none, the advice is for a person in a shell, who has no tools to call."""
    try:
        return await api.get_token(key_id)
    except NotFoundError:
        raise NotFoundError(
            f"No key has the id {key_id}. Give the exact name of a key, or an id from the API's console, from the end "
            "of a key file's name, or from `cometapi-mcp audit`."
        ) from None


async def _chosen(app: Services, name: str, rows: list[Key]) -> tuple[Key, str | None]:
    """The key that is meant by a name, and what is to be said where it is one of several.

    Raises:
        ArgumentError: No key has the name, or several that work and of which none has replaced the others.
    """
    if not rows:
        raise ArgumentError(f"No key is named {quoted(name)}. Give the id or the exact name of a key.")
    if len(rows) == 1:
        return rows[0], None
    works = [row for row in rows if row.state(SYSTEM.now()).works]
    newest = works if len(works) < 2 else await _not_replaced(app, works)
    if len(newest) != 1:
        ids = ", ".join(str(row.id) for row in works or rows)
        what = f"{len(works) or 'None'} of them work{'s' * (not works)}"
        raise ArgumentError(f"{len(rows)} keys are named {quoted(name)}. {what}. Give the id of one: {ids}.")
    why = "the only one of them that works" if len(works) == 1 else "with which the others that work were replaced"
    return newest[0], f"{len(rows)} keys are named {quoted(name)}; key {newest[0].id} is taken, {why}."


async def _not_replaced(app: Services, rows: list[Key]) -> list[Key]:
    """The keys that no rotation has replaced by another of them, as far as the journal knows."""
    try:
        made = [await app.rotator.which_made(row) for row in rows]
    except JournalError:
        return rows  # the caller then asks for an id
    replaced = {(rotation.old.id, rotation.old.created) for rotation in made if rotation and rotation.old}
    return [row for row in rows if (row.id, row.created_time) not in replaced]
