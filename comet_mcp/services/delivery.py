"""Whether a client was told: an answer counts as delivered once it was written, and not before.

Clients cancel calls and close stdin whenever they like, and servers are killed between two lines. A key of which no
client was told goes to the next equal create, and lists name it until somebody has heard of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
import anyio.lowlevel

from comet_mcp.clock import Clock
from comet_mcp.domain.key import Key
from comet_mcp.errors import CometError, JournalError
from comet_mcp.journal.base import Decision, Journal, Reads, Rows, Step
from comet_mcp.journal.operations import CLOSED, LEASE, RENEW_EVERY, Operation, State
from comet_mcp.journal.writes import Put

_T = TypeVar("_T")


@dataclass(slots=True)
class Told:
    """What the answer of one call tells of: the operations whose outcome it has, and the key that it is about.

    `ambiguous` are creates of which it tells that there are several equal rows: once that is told, nothing is left.
    `cut_short` is set where the answer came before all that could be said: then it tells of nothing.
    """

    operations: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    key_id: int | None = None
    key_name: str | None = None
    cut_short: bool = False

    def of(self, row: Key) -> None:
        """The call is about that key."""
        self.key_id, self.key_name = row.id, row.name


def acknowledging(told: Told) -> Step[None]:
    """The step that notes that a client was told of these operations."""

    def decide(rows: Rows) -> Decision[None]:
        known = [replace(found, acknowledged=True, lease_until=0.0) for found in rows.operations]
        abandoned = [found.id in told.ambiguous and found.state not in CLOSED for found in known]
        return Decision(
            None,
            [Put(found.moved(State.RELEASED) if over else found) for found, over in zip(known, abandoned, strict=True)],
        )

    return Step(Reads(operations=(*told.operations, *told.ambiguous)), decide, durable=False)


def released(told: Told) -> Step[None]:
    """The step that notes that no client may know of these operations, which nobody works on any more."""

    def decide(rows: Rows) -> Decision[None]:
        known = [found for found in rows.operations if not found.acknowledged]
        return Decision(None, [Put(replace(found, disconnected=True, lease_until=0.0)) for found in known])

    return Step(Reads(operations=(*told.operations, *told.ambiguous)), decide, durable=False)


class Delivery:
    """Work that goes on to its end whatever the client does, and what is noted where it has gone."""

    def __init__(self, journal: Journal, server: str, clock: Clock, client_disconnected: anyio.Event) -> None:
        """`client_disconnected` is set once the client has closed its end.

        It may still read what is written, as `printf ... | cometapi-mcp` does. An MCP client that leaves does the
        same to the pipes and reads nothing, so an equal create then gets this one's key: a second key is worse than a
        first one that is returned again, with a warning that says so.
        """
        self._journal = journal
        self._server = server
        self._clock = clock
        self._client_disconnected = client_disconnected

    async def to_the_end(self, operation: Operation, work: Callable[[], Awaitable[_T]]) -> _T:
        """What `work` gives, which nothing stops. The operation stays this server's meanwhile.

        As soon as a cancellation comes or the client goes, an equal create may wait for its end and take it up.
        """
        outcome: list[_T] = []
        failure: list[CometError] = []

        async def watch() -> None:
            try:
                await self._client_disconnected.wait()
            except anyio.get_cancelled_exc_class():
                if not (outcome or failure):
                    await self._note_disconnected(operation)
                raise
            await self._note_disconnected(operation)

        async with anyio.create_task_group() as beside:
            beside.start_soon(watch)
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as renewing:
                    renewing.start_soon(self._renew, operation)
                    try:
                        outcome.append(await work())
                    except CometError as error:
                        failure.append(error)  # raised below: a task group would wrap it
                    renewing.cancel_scope.cancel()
            beside.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
        if failure:
            raise failure[0]
        return outcome[0]

    async def _renew(self, operation: Operation) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY)
            with contextlib.suppress(JournalError):  # it then looks like one of a server that died: no harm
                await self._journal.run(self._held_on(operation.id, disconnected=False))

    async def _note_disconnected(self, operation: Operation) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(JournalError):
            await self._journal.run(self._held_on(operation.id, disconnected=True))

    def _held_on(self, id: str, *, disconnected: bool) -> Step[None]:
        """Renews the lease, or notes that the client has gone, where the operation is still this server's."""

        def decide(rows: Rows) -> Decision[None]:
            now = self._clock.now()
            mine = [found for found in rows.operations if found.holder == self._server]
            return Decision(
                None,
                [
                    Put(
                        replace(
                            found,
                            disconnected=disconnected or found.disconnected,
                            lease_until=now + LEASE if found.is_held(now) else found.lease_until,
                        )
                    )
                    for found in mine
                ],
            )

        return Step(Reads(operations=(id,)), decide, durable=False)
