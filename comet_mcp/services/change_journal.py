"""Changes and deletes of keys in the journal: one server at a time for each key, and what each write means it to have.

A change is on disk before it is sent, together with what it adds. One that was left open, by a lost answer or a killed
server, is settled before the key is changed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from secrets import token_hex

import anyio

from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.concurrency import Deadline, KeyedLock
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import APIError, CometError, JournalError, UnsentError
from comet_mcp.journal.base import (
    Decision,
    Grant,
    KeyLease,
    Put,
    PutKeyLease,
    Reads,
    Rows,
    Step,
    Write,
)
from comet_mcp.journal.operations import LEASE, Kind, Operation, State, Target, is_current
from comet_mcp.services.core import Core
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota

CHANGE_CALLS = WRITE_CALLS + 2
"""Calls that a change takes with its corrections."""


@dataclass(slots=True)
class Hold:
    """A key that this call alone may change, and the changes and deletes of it that the journal knows.

    `journal_fault` is why the journal could not be asked; only what gives nothing may be changed then.
    """

    key_id: int
    changes: list[Operation] = field(default_factory=list)
    journal_fault: JournalError | None = None

    @property
    def open(self) -> Operation | None:
        """The change that was left open, if one was."""
        return next((c for c in self.changes if c.kind == "change" and c.is_open_write), None)

    @property
    def deletes(self) -> list[Operation]:
        """The deletes of the key that are under way, or of which nobody knows what came."""
        return [c for c in self.changes if c.kind == "delete" and c.is_open_write]

    def meant(self, row: Key) -> int | None:
        """The total that the last change meant the key to have, where nobody else has written it since.

        That is so while the key's total is what was read after that change.
        """
        settled = [
            c for c in self.changes if c.state is State.SETTLED and c.target and c.key_created == row.created_time
        ]
        target = settled[-1].target if settled else None
        return target.total if target is not None and target.seen == row.total else None


class ChangeJournal:
    """The changes of one account's keys in the journal, and the leases of these keys."""

    def __init__(self, core: Core, quota: Quota) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._quota = quota
        self._progress = Progress(core)
        self._locks = KeyedLock()

    @asynccontextmanager
    async def holding(self, key_id: int, deadline: Deadline) -> AsyncIterator[Hold]:
        """A context in which nobody else of this user changes the key, with the time and the calls that it takes.

        Raises:
            UnsentError: Too little time is left, or another server is at it.
            RateLimitedError: Too few calls are left. In all cases nothing was sent.
        """
        async with self._locks(key_id):
            deadline.require_time_to_write()
            async with self._api.limit.reserved(CHANGE_CALLS):
                hold = await self._held(key_id, deadline)
                try:
                    yield hold
                finally:
                    if hold.journal_fault is None:
                        with anyio.CancelScope(shield=True), contextlib.suppress(CometError):
                            await self._journal.run(await self._lease(key_id, until=None))

    async def begin(self, hold: Hold, change: KeyChange, total: int | None, uncounted: list[str]) -> Operation:
        """Note what a change means, and count what it adds; judged once more in the step that counts.

        Args:
            hold: The key's.
            change: The key as it was read, and as it is to be.
            total: What it is meant to have in all, in quota units; None without a budget.
            uncounted: Gets a warning where what is added could not be counted.

        Raises:
            PolicyError: What is added would exceed a sum.
            JournalError: It can't be counted, and a sum is limited.
        """
        limited = self._quota.enforcer.policy.limits_sums
        target = Target(total, change.before.total, change.before.used_quota)
        operation = replace(await self._new(hold, "change", change.before, change.wanted), target=target)
        if hold.journal_fault is not None:
            if change.added and limited:
                raise hold.journal_fault
            if change.added:
                said = hold.journal_fault.args[0]
                uncounted.append(f"A limit on sums that is set later will not count the added budget: {said}")
            return operation

        def decide(rows: Rows) -> Decision[Operation]:
            if change.added and limited:
                self._quota.enforcer.require_change(change, rows.spending)
            writes: list[Write] = [Put(operation)]
            if change.added:
                writes.append(Grant(operation.begun, 0, change.added, operation.id))
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
        await self.note(hold, operation, State.SETTLED, operation.target._replace(total=total, seen=seen))

    async def note(self, hold: Hold, operation: Operation, state: State, target: Target | None = None) -> None:
        """Note what came of a change. Where the journal fails now it stays open, and the next change settles it."""
        if hold.journal_fault is not None:
            return
        done = operation.moved(state, lease_until=0.0, target=target or operation.target)
        hold.changes = [*(c for c in hold.changes if c.id != done.id), done]
        with contextlib.suppress(CometError):
            await self._put(done)

    async def not_done(self, hold: Hold, operation: Operation, before: Key) -> None:
        """Note that nothing was changed; what was counted is taken back where the key may spend no more than before."""
        if hold.journal_fault is not None:
            return None
        try:
            # a change can be several writes, of which only a later one was refused
            after = await self._api.get_token(before.id)
        except APIError:
            return await self.note(hold, operation, State.OUTCOME_UNKNOWN)
        if after.unlimited_quota != before.unlimited_quota or after.total > before.total:
            return await self.note(hold, operation, State.OUTCOME_UNKNOWN)
        return await self._progress.not_made(operation)

    async def _put(self, *operations: Operation) -> None:
        reads = Reads(await self._identity.account())
        await self._journal.run(Step(reads, lambda _: Decision(None, [Put(one) for one in operations])))

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

    async def _held(self, key_id: int, deadline: Deadline) -> Hold:
        """The lease of a key, once no other server has it."""
        while True:
            try:
                hold = await self._journal.run(
                    await self._lease(key_id, until=self._clock.now() + deadline.left + LEASE)
                )
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

    async def _lease(self, key_id: int, until: float | None) -> Step[Hold | None]:
        """Takes the key for this server until then; None gives it back."""
        now = self._clock.now()

        def decide(rows: Rows) -> Decision[Hold | None]:
            held = rows.key_lease
            if held is not None and is_current(held.until, now) and held.holder != self._server:
                return Decision(None)
            lease = None if until is None else KeyLease(self._server, until)
            return Decision(Hold(key_id, rows.operations), [PutKeyLease(key_id, lease)])

        account = await self._identity.account()
        reads = Reads(account, operations="none" if until is None else "of_key", key_id=key_id, key_lease=True)
        return Step(reads, decide, durable=False)
