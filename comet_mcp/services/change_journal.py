"""Changes and deletes of keys in the journal: one server at a time for each key, and what each write means it to have.

A change is on disk before it is sent, together with what it adds, and what it gives again if its answer is lost and the
API carries it out late. One that was left open, by a lost answer or a killed server, is looked for before
the key is changed again (`lost_changes.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from secrets import token_hex

import anyio

from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.concurrency import Deadline, KeyedLock
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import APIError, CometError, JournalError, NotFoundError, UnsentError
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import LEASE, Kind, Operation, State, Target, is_current
from comet_mcp.journal.rows import KeyLease
from comet_mcp.journal.writes import Grant, Put, PutKeyLease, Write
from comet_mcp.services.core import Core
from comet_mcp.services.hold import Hold
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota
from comet_mcp.services.reading import read_again

CHANGE_CALLS = WRITE_CALLS + 2
"""Calls that a change takes with its corrections."""


class ChangeJournal:
    """The changes of one account's keys in the journal, and the leases of these keys."""

    def __init__(self, core: Core, quota: Quota) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._quota = quota
        self._progress = Progress(core)
        self._locks = KeyedLock()

    @asynccontextmanager
    async def holding(
        self,
        key_id: int,
        deadline: Deadline,
        begin: Callable[[], Awaitable[None]] | None = None,
        *,
        by_force: bool = False,
    ) -> AsyncIterator[Hold]:
        """A context in which nobody else of this user changes the key, with the time and the calls that it takes.

        Args:
            key_id: The key's.
            deadline: When all has to be done.
            begin: Called before an earlier change is corrected, where the call has not begun to change anything then.
            by_force: Whether nobody else is waited for, since the key goes whatever they do.

        Raises:
            UnsentError: Too little time is left, or another server is at it.
            RateLimitedError: Too few calls are left. In all cases nothing was sent.
        """
        async with self._locks(key_id):
            deadline.require_time_to_write()
            async with self._api.limit.reserved(CHANGE_CALLS):
                hold = await self._held(key_id, deadline, by_force=by_force)
                hold.begin = begin
                try:
                    yield hold
                except NotFoundError:
                    for lost in hold.open:
                        await self.note_gone(hold, lost)
                    raise
                finally:
                    if hold.journal_fault is None:
                        with anyio.CancelScope(shield=True), contextlib.suppress(CometError):
                            await self._journal.run(await self._lease(key_id, until=None))

    async def begin(self, hold: Hold, change: KeyChange, target: Target, uncounted: list[str]) -> Operation:
        """Note what a change means, and count what it adds; judged once more in the step that counts.

        What it gives again where it comes late holds others back, never itself: else no key could be renamed, or
        disabled, once a sum is used up.

        Args:
            hold: The key's.
            change: The key as it was read, and as it is to be.
            target: What it is meant to have in all, and what that adds.
            uncounted: Gets a warning where what is added could not be counted.

        Raises:
            PolicyError: What is added would exceed a sum.
            JournalError: It can't be counted, and a sum is limited.
        """
        limited = self._quota.enforcer.policy.limits_sums
        operation = replace(await self._new(hold, "change", change.before, change.wanted), target=target)
        if hold.journal_fault is not None:
            if target.added and limited:
                raise hold.journal_fault
            if target.added:
                said = hold.journal_fault.args[0]
                uncounted.append(f"A limit on sums that is set later will not count the added budget: {said}")
            return operation

        def decide(rows: Rows) -> Decision[Operation]:
            if target.added and limited:
                self._quota.enforcer.require_change(change, rows.spending)
            writes: list[Write] = [Put(operation)]
            if target.added:
                writes.append(Grant(operation.begun, 0, target.added, operation.id))
            return Decision(operation, writes)

        return await self._journal.run(Step(Reads(await self._identity.account(), spending=bool(limited)), decide))

    async def begin_delete(self, hold: Hold, row: Key) -> Operation:
        """Note a delete that is about to be sent. Where the journal fails it is sent all the same: it gives nothing."""
        operation = await self._new(hold, "delete", row, writable_spec(row))
        hold.changes = [*hold.changes, operation]
        if hold.journal_fault is None:
            try:
                await self._put(operation)
            except JournalError as error:
                hold.journal_fault = error
        return operation

    async def open_deletes(self, key_id: int) -> list[Operation]:
        """The deletes of a key of which nobody knows what came; none where the journal can't be asked."""
        if not await self._journal.exists():
            return []
        with contextlib.suppress(CometError):
            reads = Reads(await self._identity.account(), operations="of_key", key_id=key_id)
            found = await self._journal.run(Step(reads, lambda rows: Decision(rows.operations), durable=False))
            return Hold(key_id, found).deletes
        return []

    async def settle_deletes(self, sent: Sequence[Operation]) -> None:
        """Note that deletes were carried out: their key is gone. Raises JournalError."""
        if sent:
            await self._put(*(operation.moved(State.SETTLED, lease_until=0.0) for operation in sent))

    async def settle(self, hold: Hold, operation: Operation, after: Key, total: int | None) -> None:
        """Note that the key was read again. `total` is what it was meant to have, None where that does not hold."""
        seen = None if after.unlimited_quota else after.total
        assert operation.target is not None  # noqa: S101 - every change has one
        target = operation.target._replace(total=total, seen=seen, status=after.status)
        await self.note(hold, operation, State.SETTLED, target)

    async def note(
        self, hold: Hold, operation: Operation, state: State, target: Target | None = None, *, gave: int = 0
    ) -> None:
        """Note what came of a change. Where the journal fails now it stays open, and the next change settles it.

        Args:
            hold: The key's.
            operation: The change.
            state: What came of it.
            target: What is known of the key now.
            gave: The quota units that it gave by coming late; what it added is counted already.
        """
        if hold.journal_fault is not None:
            return
        done = operation.moved(state, lease_until=0.0, target=target or operation.target)
        grants = []
        if (more := gave - (done.target.added if done.target else 0)) > 0:
            grants.append(Grant(self._clock.now(), 0, more, done.id))
        noted = hold.noted(done)
        with contextlib.suppress(CometError):
            await self._write([*noted, *grants])

    async def note_gone(self, hold: Hold, lost: Operation) -> None:
        """Note that nothing of a lost change can come any more, for its key is gone.

        It may have come before: what it may have given again stays counted.
        """
        assert lost.target is not None  # noqa: S101 - every change has one
        await self.note(hold, lost, State.SETTLED, gave=lost.target.added + lost.target.again)

    async def not_done(self, hold: Hold, operation: Operation, before: Key, deadline: Deadline) -> None:
        """Note that nothing was changed; what was counted is taken back where the key may spend no more than before."""
        if hold.journal_fault is not None:
            return None
        try:
            # a change can be several writes, of which only a later one was refused
            after = await read_again(self._api, before.id, before.created_time, seconds=deadline.left)
        except NotFoundError:
            return await self.note(hold, operation, State.SETTLED)
        except APIError:
            return await self.note(hold, operation, State.OUTCOME_UNKNOWN)
        if after.unlimited_quota != before.unlimited_quota or after.total > before.total:
            return await self.note(hold, operation, State.OUTCOME_UNKNOWN)
        return await self._progress.not_made(operation)

    async def _put(self, *operations: Operation) -> None:
        await self._write([Put(one) for one in operations])

    async def _write(self, writes: Sequence[Write]) -> None:
        step = Step(Reads(await self._identity.account()), lambda _: Decision(None, writes))
        await self._journal.run(step)

    async def _new(self, hold: Hold, kind: Kind, row: Key, spec: KeySpec) -> Operation:
        now = self._clock.now()
        return Operation(
            id=token_hex(8),
            account="" if hold.journal_fault else await self._identity.account(),
            kind=kind,
            state=State.PENDING,
            spec=spec,
            begun=now,
            holder=self._server,
            lease_until=now + LEASE,
            key_id=hold.key_id,
            key_created=row.created_time,
        )

    async def _held(self, key_id: int, deadline: Deadline, *, by_force: bool) -> Hold:
        """The lease of a key, once no other server has it, or taken from who has it."""
        while True:
            try:
                until = self._clock.now() + deadline.left + LEASE
                hold = await self._journal.run(await self._lease(key_id, until, by_force=by_force))
            except JournalError as error:
                return Hold(key_id, journal_fault=error)
            if hold is not None:
                return hold
            if deadline.left < 1:
                raise UnsentError(
                    f"Another server is changing key {key_id} right now. Nothing was sent. Try again in a few seconds.",
                    code="under_way",
                )
            await self._clock.sleep(0.1)

    async def _lease(self, key_id: int, until: float | None, *, by_force: bool = False) -> Step[Hold | None]:
        """Takes the key for this server until then; None gives it back."""
        now = self._clock.now()

        def decide(rows: Rows) -> Decision[Hold | None]:
            held = None if by_force else rows.key_lease
            if held is not None and is_current(held.until, now) and held.holder != self._server:
                return Decision(None)
            lease = None if until is None else KeyLease(self._server, until)
            return Decision(Hold(key_id, rows.operations), [PutKeyLease(key_id, lease)])

        account = await self._identity.account()
        reads = Reads(account, operations="none" if until is None else "of_key", key_id=key_id, key_lease=True)
        return Step(reads, decide, durable=False)
