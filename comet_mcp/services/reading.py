"""Reading a key that is known already: ids begin anew when a gateway's database does, and then name other keys."""

from __future__ import annotations

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.key import Key
from comet_mcp.errors import NotFoundError


async def read_again(api: CometAPI, key_id: int, created: int | None, *, seconds: float) -> Key:
    """The key of that id and time of creation as it is now, read within the `seconds` that its call has left.

    Raises:
        NotFoundError: It is gone; its id may be another key's by now.
    """
    row = await api.get_token(key_id, seconds=seconds)
    if row.created_time != created:
        raise NotFoundError(f"Key {key_id} is gone, and its id is another key's now. Call list_api_keys.")
    return row
