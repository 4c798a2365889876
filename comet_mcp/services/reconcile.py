"""What earlier calls, of any server, left open: their rows are looked for, and told of, by later calls.

A list reconciles all of it, an equal create what is equal. Whoever looks holds the operation meanwhile, however long
the API takes, so that no other call tells of the same key. After a minute without a row it is abandoned; a row that
shows within a day is still known for what it is, and told of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import CometError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.operations import (
    KNOWN,
    Operation,
    State,
)
from comet_mcp.services.core import Core
from comet_mcp.services.create import Creator
from comet_mcp.services.delivery import Delivery, Told
from comet_mcp.services.finding import Created, RowFinder
from comet_mcp.services.matching import equal_rows
from comet_mcp.services.progress import Progress
from comet_mcp.services.secrets import Secrets
from comet_mcp.services.take_up import ABANDON_AFTER, TakeUp, create_of, unread
from comet_mcp.text import quoted


@dataclass(slots=True)
class Reconciled:
    """What became of earlier creates, as sentences; the keys that were found; creates whose row may yet be at hand."""

    notes: list[str] = field(default_factory=list)
    found: list[Key] = field(default_factory=list)
    abandoned: list[Operation] = field(default_factory=list)
    has_all: bool = True
    """Whether the rows at hand are all that there are."""


class Reconciler:
    """Reconciles the creates of one account."""

    def __init__(
        self,
        core: Core,
        *,
        taker: TakeUp,
        creator: Creator,
        finder: RowFinder,
        progress: Progress,
        secrets: Secrets,
        delivery: Delivery,
    ) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._taker = taker
        self._creator = creator
        self._finder = finder
        self._progress = progress
        self._secrets = secrets
        self._delivery = delivery

    async def all(self, deadline: Deadline, told: Told) -> Reconciled:
        """Look for the rows of all creates that are open.

        Never raises for the journal or the API: it rides on calls that have their own answer to give.
        """
        done = Reconciled()
        try:
            if not await self._journal.exists():
                return done
            account = await self._identity.account()
            found = await self._journal.run(
                Step(Reads(account, operations="open"), lambda rows: Decision(rows.operations), durable=False)
            )
            opened = [operation for operation in found if operation.lease is None]  # the others end by themselves
        except CometError as error:
            done.notes.append(f"Whether earlier creates made keys could not be settled: {error}")
            return done
        if opened and not self._clock.was_heard:  # leases and ages of other servers count by the API's time
            with contextlib.suppress(CometError):  # what is asked for next says what is wrong
                await self._finder.newest.watermark(deadline.left)
        for operation in opened:
            if operation.state is State.ABANDONED:
                done.abandoned.append(operation)
            else:
                await self._guarded(operation, done, partial(self._one, operation, done, deadline, told))
            if deadline.passed:
                break  # the next list goes on
        return done

    async def late(
        self, done: Reconciled, rows: list[Key], deadline: Deadline, told: Told, *, is_all: bool = True
    ) -> None:
        """Look for the rows of abandoned creates among those at hand, and add what was found.

        Where these are not all there are, and do not reach down to what was there before, the API is asked for more.
        """
        done.has_all = is_all
        for operation in done.abandoned:
            await self._guarded(operation, done, partial(self._late, operation, rows, done, deadline, told))

    async def _guarded(self, operation: Operation, done: Reconciled, work: Callable[[], Awaitable[str]]) -> None:
        """Add what `work` says; it can't be cancelled, and what fails is said too."""
        try:
            with anyio.CancelScope(shield=True):
                said = await work()
        except CometError as error:
            said = f"Whether the {create_of(operation)} made a key could not be settled: {error}"
        done.notes += [said] if said else []

    async def _holding(self, operation: Operation, work: Callable[[Operation], Awaitable[str]]) -> str:
        """What `work` says of an operation, which is this call's until it ends; "" where another call tells of it."""
        adopted = await self._progress.adopt(operation)
        if adopted is None:
            return ""
        try:
            return await self._delivery.to_the_end(adopted, partial(work, adopted))
        except CometError:
            with contextlib.suppress(CometError):
                await self._progress.let_go(adopted)
            raise

    async def _one(self, operation: Operation, done: Reconciled, deadline: Deadline, told: Told) -> str:
        """Reconcile one create, and say in a sentence what came of it; "" where there is nothing to say."""
        if operation.is_held(self._clock.now()):
            return ""
        if operation.state is State.UNSTORED:
            return await self._unstored(operation, deadline, told)

        async def settled(adopted: Operation) -> str:
            created = await self._taker.key_of(adopted, deadline, told)
            if created is not None:
                return await self._told(adopted, created, done, deadline, told)
            if adopted.state in KNOWN:
                return ""  # somebody deleted the key
            return await self._rowless(adopted, deadline, told)

        return await self._holding(operation, settled)

    async def _rowless(self, operation: Operation, deadline: Deadline, told: Told) -> str:
        """What there is to say of a create whose row does not show."""
        if self._clock.now() - operation.begun >= ABANDON_AFTER:
            said, _ = await self._taker.abandon(operation, deadline)
            told.operations.append(operation.id)
            return said
        await self._progress.let_go(operation)
        if operation.accepted:
            made = f"The API said that the {create_of(operation)} made a key"
            return f"{made}, but does not list it yet; list again in a minute."
        return f"The {create_of(operation)} is still unclear; list again in a minute."

    async def _late(
        self, operation: Operation, rows: list[Key], done: Reconciled, deadline: Deadline, told: Told
    ) -> str:
        if not operation.is_recognisable(self._clock.now()):
            await self._progress.advance(operation.id, State.RELEASED)
            return ""
        if not done.has_all and all(row.id > operation.watermark.id for row in rows):
            rows = await self._finder.newest.above(operation.watermark, deadline.left)
        if not equal_rows(operation, rows):
            return ""

        async def found(adopted: Operation) -> str:
            created = await self._finder.find(adopted, rows, told)
            return await self._told(adopted, created, done, deadline, told) if created else ""

        return await self._holding(operation, found)

    async def _unstored(self, operation: Operation, deadline: Deadline, told: Told) -> str:
        """What there is to say of a key that is known and whose value is not stored."""
        created = await self._taker.key_of(operation, deadline, told)
        if created is None:
            return ""
        told.operations.append(operation.id)
        made = f"Key {created.row.id} {quoted(operation.spec.name)} was created at {when(int(operation.begun))}"
        if self._secrets.store.keeps:
            return (
                f"{made}, but its value was not stored: call save_api_key with id {created.row.id}, or delete the key."
            )
        return f"{made}. {await self._leave(created)}"

    async def _told(
        self, operation: Operation, created: Created, done: Reconciled, deadline: Deadline, told: Told
    ) -> str:
        """Store the value of a key that an earlier create made, where the store keeps it; the sentence about it."""
        done.found.append(created.row)
        told.operations.append(operation.id)
        key = f"Key {created.row.id} {quoted(created.row.name)}"
        text = f"{key} is that of the create at {when(int(operation.begun))}, {unread(operation)}."
        if operation.kind == "rotate" and operation.old is not None:
            text += f" It replaces key {operation.old.id}: call rotate_api_key with id {operation.old.id} to go on."
        if not self._secrets.store.keeps:
            return f"{text} {await self._leave(created)}"
        stored = await self._creator.store(created, deadline)
        place = f" Its value is in {stored.saved.path}." if stored.saved and stored.saved.path else ""
        return " ".join([f"{text}{place}", *stored.warnings])

    async def _leave(self, created: Created) -> str:
        """Note that a key was found for nobody who could take its value. Returns what to do, as a sentence."""
        if self._secrets.store.needs_value:
            await self._progress.advance(created.operation, State.UNSTORED)
            return f"Its value was not read: call save_api_key with id {created.row.id}."
        await self._progress.advance(created.operation, State.STORED)  # nothing is left to do here
        return "Nothing was stored: take its value from the API's console."
