"""A rotation's step between the new key's stored value and the old key's end: the places that have the old value."""

from __future__ import annotations

import shlex

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.errors import CometError
from comet_mcp.services.places import HandedOver, listed
from comet_mcp.services.retire import Rotated
from comet_mcp.services.secrets import Secrets


async def hand_over(secrets: Secrets, old: Key, done: Rotated, deadline: Deadline, *, waits: bool) -> bool:
    """Put the new value where programs read the old one; what could not be done is told.

    Returns False where the old key's end `waits` for a place elsewhere: a later call can be expected to reach it.
    """
    new = done.new.row
    noted = await secrets.places.noted(old.id, old.created_time)
    if not noted:
        return True
    try:
        value = await secrets.value_of(new, deadline)
        moved = await secrets.places.hand_over(old, new, value, noted, deadline)
    except CometError as error:
        elsewhere = [place for place in noted if place.is_elsewhere]
        moved = HandedOver(left=[(place, str(error)) for place in noted], to_come=elsewhere)
    if moved.done:
        done.steps.append(f"Its value is in {listed(moved.done)}, where the old one's was.")
    done.leaves_old = bool(moved.left)
    for place, why in moved.left:
        said = f"The old key's value was put into {place}, and the new one's could not be put there: {why} Once that"
        if place.is_elsewhere:
            fix = f"is fixed, run in a terminal: cometapi-mcp save {new.id} --to {shlex.quote(place.path)}"
        else:
            fix = f"is fixed, call save_api_key with id {new.id} for that file and variable."
        done.warnings.append(f"{said} {fix}")
    if not (waits and moved.to_come):
        return True
    done.warnings.append(
        f"The old key {old.id} was left as it is, for programs still get its value from {listed(moved.to_come)}. Call "
        f"rotate_api_key again with id {old.id} once that is fixed; "
        'with old_key "disable" or "delete" it ends all the same.'
    )
    return False
