"""Settling what earlier calls, of any server, left unclear: their rows are looked for, and told of, by later calls.

A list settles all of it, an equal create what is equal. Whoever finds a row takes the create over with the claim, so
that no other call tells of the same key. After a minute without a row it is given up: an unanswered create then made no
key, unless one of that name is there. One that the API called a success is `missing`, and known for what it is when a
list shows it within a day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import time

import anyio

from comet_mcp.api.wire import differences
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import CometError, CreateUnclearError, JournalError
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.finding import KeyFinder
from comet_mcp.keys.storing import Created, Storing
from comet_mcp.keys.telling import Telling
from comet_mcp.state.intents import Intent
from comet_mcp.state.journal import Journal
from comet_mcp.text import quoted
from comet_mcp.units import when

SETTLE_AFTER = 60.0
"""Seconds after which a create whose row never showed counts as not made."""


@dataclass(slots=True)
class Settled:
    """What became of earlier creates, as sentences, and the keys that were found.

    `missing` are the creates whose row may show in the list at hand.
    """

    told: list[str] = field(default_factory=list)
    found: list[Key] = field(default_factory=list)
    missing: list[Intent] = field(default_factory=list)


class Settling:
    """Settles the creates of one account."""

    def __init__(self, journal: Journal, finder: KeyFinder, storing: Storing, telling: Telling) -> None:
        self._file = journal.file
        self._intents = journal.intents
        self._finder = finder
        self._storing = storing
        self._telling = telling

    async def settle(self, deadline: Deadline) -> Settled:
        """Look for the rows of creates whose answer was lost.

        Never raises for the journal or the API: it rides on calls that have their own answer to give.
        """
        settled = Settled()
        if not self._file.path.exists():
            return settled
        try:
            unsettled = await self._intents.unsettled()
        except JournalError as error:
            settled.told.append(f"Whether earlier creates made keys could not be settled: {error}")
            return settled
        for intent in unsettled:
            if intent.phase == "missing":
                settled.missing.append(intent)
                continue
            try:
                with anyio.CancelScope(shield=True):
                    said = await self._settle_one(intent, settled, deadline)
            except CometError as error:
                said = f"Whether the {_create(intent)} made a key could not be settled: {error}"
            settled.told += [said] if said else []
            if deadline.passed:
                break  # the next list goes on
        return settled

    async def recognise(self, settled: Settled, rows: list[Key], deadline: Deadline) -> None:
        """Look for the rows of missing creates among those at hand, and add what was found."""
        for intent in settled.missing:
            try:
                with anyio.CancelScope(shield=True):
                    above = intent.floor.below(rows)
                    found = await self._finder.take_equal(intent.id, intent.body, above, settling=True)
                    if found is not None:
                        settled.told.append(await self._found(intent, found, settled, deadline))
            except CometError as error:
                settled.told.append(f"Whether the {_create(intent)} made a key could not be settled: {error}")

    async def earlier(self, body: KeySpec, rotation: int | None, deadline: Deadline) -> Created | None:
        """The key of an earlier equal create that nobody was told of; None where there is no such key.

        Raises:
            CreateUnclearError: It is not known yet whether there is one.
            CometError: There may be one that nobody can tell, which is told once.
        """
        for unsettled in await self._intents.unsettled(body, rotation):
            intent = await self._wait_for(unsettled, deadline)
            if intent.phase in ("saved", "closed"):
                continue  # another call has settled it
            with anyio.CancelScope(shield=True):
                found = await self._taken(intent, deadline)
            if found is not None:
                found.warnings.append(_told_late(intent))
                return await self._telling.to_the_end(intent.id, partial(self._storing.store, found, deadline))
            current = await self._intents.get(intent.id)
            if intent.key_id is None and current.key_id is None and current.phase not in ("closed", "missing"):
                await self._give_up(intent, deadline)
        return None

    async def _taken(self, intent: Intent, deadline: Deadline) -> Created | None:
        """The key of an earlier create, which this call is now the one to tell of; None where it has none for us."""
        found = await self._finder.row_of(intent, deadline)
        if intent.key_id is None:
            return found
        if found is None:
            await self._intents.close_key(intent.id)  # somebody deleted it
            return None
        return found if await self._intents.take_over(intent.id) else None

    async def _give_up(self, intent: Intent, deadline: Deadline) -> None:
        """Let an equal create make a key, once it is known that the earlier one made none.

        Raises:
            CreateUnclearError: That is not known yet.
            CometError: It may never be known, which is told once.
        """
        age = time() - intent.begun
        if age >= SETTLE_AFTER:
            with anyio.CancelScope(shield=True):
                said, may_exist = await self._given_up(intent, deadline)
            if may_exist:
                raise CometError(
                    f"{said} Nothing was sent now; the same call again makes another key.",
                    code="created_id_unknown" if intent.accepted else CreateUnclearError.code,
                )
            return
        rest = f"Nothing was sent now. Try again in {SETTLE_AFTER - age:.0f} seconds: the call then"
        if intent.accepted:
            raise CreateUnclearError(
                f"The same create was sent {age:.0f} seconds ago. The API said that it made a key, but does not list it"
                f" yet. {rest} gets that key, or says that it is still missing.",
                code="created_id_unknown",
            )
        raise CreateUnclearError(
            f"The same create was sent {age:.0f} seconds ago, and it is not known yet whether it made a key. {rest} "
            "finds that key, or makes one."
        )

    async def _wait_for(self, intent: Intent, deadline: Deadline) -> Intent:
        """The intent once no call is at work on it any more: its client gave up, the call goes on to its end."""
        while (current := await self._intents.get(intent.id)).in_flight:
            if deadline.passed:
                raise CreateUnclearError(
                    "The same create, which was given up, is still under way. Nothing was sent now. Try again in a few "
                    "seconds: the call then gets that key."
                )
            await anyio.sleep(0.1)
        return current

    async def _settle_one(self, intent: Intent, settled: Settled, deadline: Deadline) -> str:
        """Settle one intent, and say in a sentence what came of it; "" where there is nothing to say."""
        if intent.in_flight:
            return ""
        if intent.phase in ("claimed", "unsaved"):
            return await self._unsaved(intent, deadline)
        found = await self._taken(intent, deadline)
        if found is not None:
            return await self._found(intent, found, settled, deadline)
        if intent.key_id is not None:
            return ""
        if time() - intent.begun >= SETTLE_AFTER:
            said, _ = await self._given_up(intent, deadline)
            return said
        if intent.accepted:
            return (
                f"The API said that the {_create(intent)} made a key, but does not list it yet; list again in a minute."
            )
        return f"The {_create(intent)} is still unclear; list again in a minute."

    async def _unsaved(self, intent: Intent, deadline: Deadline) -> str:
        """What there is to say of a key that is known and whose value is not stored."""
        found = await self._finder.row_of(intent, deadline)
        if found is None:
            await self._intents.close_key(intent.id)  # somebody deleted it
            return ""
        made = f"Key {found.row.id} {quoted(intent.body.name)} was created at {when(int(intent.begun))}"
        if self._storing.keeps:
            return f"{made}, but its value was not stored: call save_api_key with id {found.row.id}, or delete the key."
        return f"{made}. {await self._storing.leave(found.row.id)}"

    async def _found(self, intent: Intent, found: Created, settled: Settled, deadline: Deadline) -> str:
        """Store the value of a key that an earlier create made, where the store keeps it; the sentence about it."""
        settled.found.append(found.row)
        key = f"Key {found.row.id} {quoted(intent.body.name)}"
        text = f"{key} is that of the create at {when(int(intent.begun))}, {_unread(intent)}."
        if not self._storing.keeps:
            return f"{text} {await self._storing.leave(found.row.id)}"
        stored = await self._storing.store(found, deadline)
        place = f" Its value is in {stored.saved.path}." if stored.saved and stored.saved.path else ""
        return " ".join([f"{text}{place}", *stored.warnings])

    async def _given_up(self, intent: Intent, deadline: Deadline) -> tuple[str, bool]:
        """Look for the row no more. Returns what came of the create in a sentence, and whether there may be a key.

        The sentence is "" where another call has settled it meanwhile.
        """
        alike = await self._finder.candidates(intent, deadline)
        if not await self._intents.close_unfound(intent.id, "missing" if intent.accepted else "closed"):
            return "", False
        if alike:
            return " ".join(_candidate(intent, row) for row in alike), True
        if not intent.accepted:
            return f"The {_create(intent)}, whose answer was lost, made no key.", False
        return (
            f"The API said that the {_create(intent)} made a key, but it never listed one. It may still appear: within "
            f"a day a list then {self._storing.later}, and after that call save_api_key with its id. Make another key "
            "only if the user accepts that there may be two."
        ), True


def _candidate(intent: Intent, row: Key) -> str:
    """That a row may be the create's, which nothing proves."""
    text = f"The {_create(intent)} may have made key {row.id}, which has that name"
    if differences(intent.body, row, tolerated=True):
        return f"{text} but other settings."
    return (
        f"{text} and the same settings, but was there before by the API's own clock. If nobody else made it, call "
        f"save_api_key with id {row.id}."
    )


def _create(intent: Intent) -> str:
    return f"create of {quoted(intent.body.name)} at {when(int(intent.begun))}"


def _unread(intent: Intent) -> str:
    return "whose answer may not have been read" if intent.phase == "undelivered" else "whose answer was lost"


def _told_late(intent: Intent) -> str:
    return (
        f"This key was made by an earlier call ({when(int(intent.begun))}), {_unread(intent)}. No second key was made; "
        "to have one, call create_api_key again."
    )
