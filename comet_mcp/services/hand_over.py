"""A rotation's step between the new key's stored value and the old key's end: the files that have the old value."""

from __future__ import annotations

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.errors import CometError
from comet_mcp.services.places import HandedOver, listed
from comet_mcp.services.retire import Rotated
from comet_mcp.services.secrets import Secrets


async def hand_over(secrets: Secrets, old: Key, done: Rotated, deadline: Deadline) -> None:
    """Put the new value into the files from which programs read the old one; what could not be done is told."""
    new = done.new.row
    noted = await secrets.places.noted(old.id, old.created_time)
    if not noted:
        return
    try:
        moved = await secrets.places.hand_over(old, new, await secrets.value_of(new, deadline), noted)
    except CometError as error:
        moved = HandedOver(left=[(place, str(error)) for place in noted])
    if moved.done:
        done.steps.append(f"Its value is in {listed(moved.done)}, where the old one's was.")
    for place, why in moved.left:
        done.warnings.append(
            f"The old key's value was put into {listed([place])}, and the new one's could not be put there: {why} Once "
            f"that is mended, call save_api_key with id {new.id}, that file and variable."
        )
