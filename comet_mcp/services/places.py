"""Places of a person's choice into which the values of keys were put: noted in the journal before each write.

A rotation puts the new key's value where the old one's is; a deleted key's is cleared. Only a line that holds the key's
own value is touched, so each can be done once more after a server was killed in the middle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pydantic import SecretStr

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key, with_prefix
from comet_mcp.errors import CometError, JournalError, SlowStoreError, StoreError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.rows import Place
from comet_mcp.journal.writes import DropPlace, PutPlace
from comet_mcp.secret_store.base import Outcome
from comet_mcp.secret_store.env_files import EnvFiles, Found, Spot
from comet_mcp.services.core import Core
from comet_mcp.services.elsewhere import NOT_LISTED, ElsewherePlaces
from comet_mcp.threads import LateError, Threads

_T = TypeVar("_T")
_WITHIN = 2.0
"""Seconds for one use of a file, or for looking into all of them."""
_PUT_WITHIN = 8.0
_ELSEWHERE_WITHIN = 5.0
_MOST_LEFT = 4

log = logging.getLogger(__name__)


@dataclass(slots=True)
class HandedOver:
    """The places that have the new key's value, and those that may still have the old one's, each with the reason.

    `to_come` are those of the latter that another call can be expected to reach, for programs elsewhere.
    """

    done: list[Place] = field(default_factory=list)
    left: list[tuple[Place, str]] = field(default_factory=list)
    to_come: list[Place] = field(default_factory=list)


class Places:
    """The places of one account's keys. Never a value is noted."""

    def __init__(self, core: Core, files: EnvFiles, elsewhere: ElsewherePlaces) -> None:
        self._journal, self._identity = core.journal, core.identity
        self._files = files
        self.elsewhere = elsewhere
        self._threads = Threads(_MOST_LEFT)

    async def spot(self, file: str, variable: str) -> Spot:
        """The place that a caller names by a full path. Raises ArgumentError, StoreError."""
        return await self._ask(partial(self._files.spot, file, variable), _WITHIN)

    async def look(self, spot: Spot, deadline: Deadline) -> Found:
        """What is there. Raises StoreError where no value can, or must, be put there."""
        return await self._ask(partial(self._files.look, spot), deadline.left)

    async def put(self, row: Key, place: Place, value: SecretStr, before: SecretStr | None) -> Outcome:
        """Note the place, and put a key's value there in place of the one `before`. Raises StoreError."""
        await self.note(row, place)
        # as long as git and the lock may take together: what is noted is then written, or was not begun
        return await self._ask(partial(self._files.put, place, with_prefix(value), before), _PUT_WITHIN)

    @staticmethod
    def is_same(there: SecretStr, value: SecretStr) -> bool:
        """Whether what is in a file is a key's value."""
        return there == with_prefix(value)

    async def hand_over(
        self, old: Key, new: Key, value: SecretStr, places: list[Place], deadline: Deadline
    ) -> HandedOver:
        """Put the new key's value wherever the old one's is. What has another value, or none, is left as it is."""
        outcome = HandedOver()
        for place in places:
            try:
                if place.is_elsewhere:
                    await self.elsewhere.put(new, place, value, _some_of(deadline))
                elif not await self._renew(old, new, place, value):
                    continue
            except (StoreError, JournalError) as error:
                outcome.left.append((place, str(error.args[0])))
                if place.is_elsewhere and error.code != NOT_LISTED:
                    outcome.to_come.append(place)
            else:
                outcome.done.append(place)
        return outcome

    async def _renew(self, old: Key, new: Key, place: Place, value: SecretStr) -> bool:
        """Put the new key's value into a file that has the old one's, or has it already. Returns whether it does."""
        there = await self._ask(partial(self._files.value_at, place), _WITHIN)
        if there is None or not (self.is_same(there, value) or _is_of(there, old)):
            return False
        await self.put(new, place, value, there)
        return True

    async def clear(
        self, key_id: int, created: int, row: Key | None, deadline: Deadline
    ) -> tuple[list[Place], list[Place]]:
        """Clear the value of a key that is gone. Returns where that was done, and where it may still be."""
        done: list[Place] = []
        left: list[Place] = []
        for place in await self.of(key_id, created, row):
            try:
                if place.is_elsewhere:
                    is_gone = await self.elsewhere.clear(key_id, created, place, _some_of(deadline))
                    if is_gone is not None:
                        (done if is_gone else left).append(place)
                    continue
                there = await self._ask(partial(self._files.value_at, place), _WITHIN)
                if there is None:
                    continue
                if row is None or not _is_of(there, row):
                    left.append(place)
                    continue
                await self._ask(partial(self._files.clear, place, there), _PUT_WITHIN)
            except (StoreError, JournalError):
                left.append(place)  # named: the person fixes it
            else:
                done.append(place)
        return done, left

    async def note(self, row: Key, place: Place) -> bool:
        """Note where a value is about to be put. Where the journal fails that is logged, and no delete will name it.

        Returns whether that was not noted before.
        """
        put = PutPlace(row.id, row.created_time, place)
        try:
            reads = Reads(await self._identity.account(), places=(row.id, row.created_time))
            return await self._journal.run(Step(reads, lambda rows: Decision(place not in rows.places, [put])))
        except CometError as error:
            log.warning("that key %s goes into a file is not in the journal: %s", row.id, error)
            return False

    async def withdraw(self, row: Key, place: Place) -> None:
        """Note no more that a value was about to be put there: it was not. Where the journal fails that is logged."""
        drop = DropPlace(row.id, row.created_time, place)
        try:
            reads = Reads(await self._identity.account())
            await self._journal.run(Step(reads, lambda _: Decision(None, [drop]), durable=False))
        except CometError as error:
            log.warning("that key %s did not go into a file is not in the journal: %s", row.id, error)

    async def noted(self, key_id: int, created: int) -> list[Place]:
        """Where the value of a key was put, whatever is there now."""
        if not await self._journal.exists():
            return []
        try:
            reads = Reads(await self._identity.account(), places=(key_id, created))
            return await self._journal.run(Step(reads, lambda rows: Decision(rows.places), durable=False))
        except CometError as error:
            log.warning("where the value of key %s was put can't be read: %s", key_id, error)
            return []

    async def of(self, key_id: int, created: int, row: Key | None = None) -> list[Place]:
        """Where the value of a key was put, without the places that are seen to hold it no more.

        Its record, where there is one, tells its value from another key's that stands there by now.
        """
        noted = await self.noted(key_id, created)
        try:
            return await self._threads.run(lambda: [place for place in noted if _may_hold(place, row)], _WITHIN)
        except LateError:
            return noted  # on a disk that does not answer: each may hold it

    async def _ask(self, work: Callable[[], _T], seconds: float) -> _T:
        """What is done with a file, which may be on a disk that does not answer. Raises SlowStoreError then."""
        try:
            return await self._threads.run(work, seconds)
        except LateError as late:
            raise SlowStoreError(f"Its disk has not answered in {late.seconds:.0f} s.") from None


def _some_of(deadline: Deadline) -> float:
    """Seconds for one place elsewhere: others, and the old key's end, need time too."""
    return min(_ELSEWHERE_WITHIN, deadline.left / 2)


def _is_of(value: SecretStr, row: Key) -> bool:
    """Whether a value is surely the key's: its record shows some of it, and that fits."""
    shown = row.key.get_secret_value()
    return bool(shown.strip("*")) and ("*" in shown or not row.is_masked) and fits(value, row)


def _may_hold(place: Place, row: Key | None) -> bool:
    """Whether the place has the value, or can't be looked into."""
    if place.is_elsewhere:
        return True
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
    return ", ".join(map(str, places))
