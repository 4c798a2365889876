"""Files of a person's choice into which the values of keys were put: noted in the journal, named when a key ends."""

from __future__ import annotations

import logging

from pydantic import SecretStr

from comet_mcp.domain.key import Key, with_prefix
from comet_mcp.errors import CometError
from comet_mcp.journal.base import Decision, Place, PutPlace, Reads, Step
from comet_mcp.services.core import Core
from comet_mcp.threads import LateError, Threads

_WITHIN = 2.0
"""Seconds for looking into the files."""
_MOST_LEFT = 4

log = logging.getLogger(__name__)


class Places:
    """The places of one account's keys. Never a value is noted."""

    def __init__(self, core: Core) -> None:
        self._journal, self._identity = core.journal, core.identity
        self._threads = Threads(_MOST_LEFT)

    async def note(self, row: Key, place: Place) -> None:
        """Note where a value is about to be put. Where the journal fails that is logged, and no delete will name it."""
        put = PutPlace(row.id, row.created_time, place)
        try:
            reads = Reads(await self._identity.account())
            await self._journal.run(Step(reads, lambda _: Decision(None, [put])))
        except CometError as error:
            log.warning("that key %s goes into a file is not in the journal: %s", row.id, error)

    async def of(self, key_id: int, created: int, row: Key | None = None) -> list[Place]:
        """Where the value of a key was put, without the places that are seen to hold it no more.

        Its record, where there is one, tells its value from another key's that stands there by now.
        """
        if not await self._journal.exists():
            return []
        try:
            reads = Reads(await self._identity.account(), places=(key_id, created))
            noted = await self._journal.run(Step(reads, lambda rows: Decision(rows.places), durable=False))
        except CometError as error:
            log.warning("where the value of key %s was put can't be read: %s", key_id, error)
            return []
        try:
            return await self._threads.run(lambda: [place for place in noted if _may_hold(place, row)], _WITHIN)
        except LateError:
            return noted  # on a disk that does not answer: each may hold it


def _may_hold(place: Place, row: Key | None) -> bool:
    """Whether the place has the value, or can't be looked into."""
    from comet_mcp.secret_store.files import value_at  # noqa: PLC0415 - few choose files

    try:
        value = value_at(place.path, place.variable)
    except OSError:
        return True
    return value is not None and (row is None or fits(SecretStr(value), row))


def fits(value: SecretStr, row: Key) -> bool:
    """Whether a value can be the key's, by the mask in its record: ids begin anew when a gateway's database does.

    What a mask shows before and after its stars has to be there; how many stars there are says nothing. A record that
    shows nothing decides nothing.
    """
    shown, whole = row.key.get_secret_value(), with_prefix(value).get_secret_value()
    if row.is_masked and "*" not in shown:
        return True
    return any(_has_parts(form, shown.split("*")) for form in (whole, whole.removeprefix("sk-")))


def _has_parts(text: str, parts: list[str]) -> bool:
    """Whether the text begins with the first part, ends with the last, and has the others between, in that order.

    The earliest place of each part leaves the most room for those behind it, so nothing has to be tried twice.
    """
    if len(parts) == 1:
        return text == parts[0]
    first, *between, last = parts
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in between:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def listed(places: list[Place]) -> str:
    """The places, to go on a sentence."""
    return ", ".join(f"{place.path} (as {place.variable})" for place in places)
