"""Which key a name is: a name is no id, for the API keeps any number of keys of one name."""

from __future__ import annotations

from comet_mcp.api.catalog import nearest
from comet_mcp.api.client import CometAPI
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import ArgumentError, NotFoundError
from comet_mcp.services.listing import all_keys
from comet_mcp.text import quoted

_MOST_NAMED = 10


async def key_named(api: CometAPI, name: str, now: float) -> Key:
    """The one key of exactly that name.

    Raises:
        NotFoundError: There is none; the message has the nearest names.
        ArgumentError: There are several, which the message tells apart, or may be.
        APIError: The keys can't be listed.
    """
    rows, is_every = await all_keys(api)
    found = [row for row in rows if row.name == name]
    if len(found) == 1 and is_every:
        return found[0]
    if not found:
        raise NotFoundError(_none(name, rows, is_every=is_every))
    told = "; ".join(_told(row, now) for row in found[:_MOST_NAMED])
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    if len(found) > 1:
        said = f"{len(found)} keys are named {quoted(name)}: {told}{more}. Give the id of the one that is meant."
    else:
        said = (
            f"There is {told}, named {quoted(name)}, and there may be more of that name: the API lists more than the "
            f"newest {len(rows)} keys, which were read. Give the id."
        )
    raise ArgumentError(said, code="ambiguous_name")


def _none(name: str, rows: list[Key], *, is_every: bool) -> str:
    """That no key has the name, with the names that are nearest."""
    where = "" if is_every else f" among the newest {len(rows)}, and the API lists more"
    said = f"No API key is named {quoted(name)}{where}."
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row.name, []).append(str(row.id))
    alike = [f"{quoted(other)} (id {', '.join(ids[other][:3])})" for other in nearest(name, list(ids))]
    return f"{said} The nearest: {', '.join(alike)}." if alike else f"{said} Call list_api_keys to see the names."


def _told(row: Key, now: float) -> str:
    """A key beside others of its name."""
    used = "never used" if row.is_unused else f"last used {when(row.accessed_time)}"
    return f"id {row.id} ({row.state(now).word}, {used})"
