"""How far an operation has come: its changes of state in the journal, and who works on it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from comet_mcp.domain.key import Key
from comet_mcp.errors import (
    CometError,
    JournalError,
)
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import (
    CLOSED,
    KNOWN,
    LEASE,
    ROWLESS,
    Operation,
    State,
)
from comet_mcp.journal.writes import DropGrants, Put
from comet_mcp.services.core import Core


class Progress:
    """The operations of one account."""

    def __init__(self, core: Core) -> None:
        self._journal, self._identity = core.journal, core.identity
        self._clock, self._server = core.clock, core.server

    async def advance(self, operation: str, state: State, **changes: Any) -> None:
        """Note an operation's next state; the lease of one that another server has taken up stays as it is.

        Raises JournalError.
        """
        now = self._clock.now()

        def decide(rows: Rows) -> Decision[None]:
            (found,) = rows.operations
            # a value is stored once more where nobody was told; that it then fails takes nothing back
            is_past = found.state is State.RETIRED and state is not State.RELEASED
            is_past = is_past or (found.state is State.STORED and state is State.UNSTORED)
            # another call may have taken it up meanwhile, and found the row that this one has not seen
            is_past = is_past or (found.state in KNOWN and state in (*ROWLESS, State.ABANDONED))
            if found.state in CLOSED or is_past or (found.state is state and not changes):
                return Decision(None)
            noted = {"lease_until": now + LEASE, **changes}
            if found.holder != self._server:
                noted["lease_until"] = found.lease_until
            return Decision(None, [Put(found.moved(state, **noted))])

        await self._journal.run(Step(Reads(await self._identity.account(), operations=(operation,)), decide))

    async def not_made(self, operation: Operation) -> None:
        """Note that nothing was made or added. Where the journal fails now, its count stays: too little is left."""
        done = operation.moved(State.NOT_DONE)
        with contextlib.suppress(CometError):
            reads = Reads(await self._identity.account())
            await self._journal.run(Step(reads, lambda _: Decision(None, [Put(done), DropGrants(done.id)])))

    async def note(self, operation: Operation, state: State) -> None:
        """Note how far it came without a key. Where the journal fails now it stays as it is, with a lease that ends."""
        with contextlib.suppress(JournalError):
            await self.advance(operation.id, state, lease_until=0.0)

    async def read(self, id: str) -> Operation:
        """The operation as it is now."""
        step = Step(Reads(operations=(id,)), lambda rows: Decision(rows.operation(id)), durable=False)
        return await self._journal.run(step)

    async def adopt(self, operation: Operation, *, for_client: bool = False, of_dead: bool = False) -> Operation | None:
        """The operation, held by this server now. None where another call has taken it, or its outcome was told.

        Where no client waits for it, an equal create waits for its end and may take it up. `of_dead` says that its
        holder is known to be dead, so that the end of its lease need not be waited for.
        """
        now = self._clock.now()

        def decide(rows: Rows) -> Decision[Operation | None]:
            current = rows.operation(operation.id)
            told = current.acknowledged and current.state not in (State.ABANDONED, State.UNSTORED)
            if current.state in CLOSED or told or (current.is_held(now) and not of_dead):
                return Decision(None)
            # what it tells of is stored once more
            again = State.MATCHED if current.state in (State.STORED, State.UNSTORED) else current.state
            # what a wrong clock dated is waited for from now on, and no longer than any other; is this one right?
            begun = min(current.begun, now) if self._clock.was_heard else current.begun
            mine = current.moved(
                again,
                holder=self._server,
                lease_until=now + LEASE,
                disconnected=not for_client,
                begun=begun,
            )
            return Decision(mine, [Put(mine)])

        return await self._journal.run(Step(Reads(operations=(operation.id,)), decide))

    async def let_go(self, operation: Operation) -> None:
        """Let others look for the row of an operation that this call adopted, unless another server has it now."""

        def decide(rows: Rows) -> Decision[None]:
            mine = [found for found in rows.operations if found.holder == self._server]
            return Decision(None, [Put(replace(found, lease_until=0.0, disconnected=True)) for found in mine])

        await self._journal.run(Step(Reads(operations=(operation.id,)), decide, durable=False))

    async def saved(self, row: Key) -> None:
        """Note that the value of a key was stored by a call of its own, where a create could not."""
        claim = (row.id, row.created_time)

        def decide(rows: Rows) -> Decision[None]:
            made = [found for found in rows.operations if (found.key_id, found.key_created) == claim]
            unstored = [found for found in made if found.state is State.UNSTORED]
            return Decision(None, [Put(found.moved(State.STORED)) for found in unstored])

        with contextlib.suppress(CometError):  # a list then says once more that it is not stored: no harm
            if not await self._journal.exists():
                return
            account = await self._identity.account()
            await self._journal.run(Step(Reads(account, operations="open"), decide))
