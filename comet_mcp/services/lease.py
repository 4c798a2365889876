"""A key that can't outlive its work: made for one run, deleted when that ends, whatever the end is.

The lease is a part of the create's operation: on disk before the key is made, open until the key is gone. Its holder
has a lock that ends with its process (`journal/holders.py`): whoever comes next knows which leases are left behind.
The net under it is the key's own expiry, `NET` seconds after the lease. While the key is in use nothing is written to
it: that would rewrite the budget that it is spending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import TypeVar

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import CometError, CreateUnclearError, JournalError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.holders import Held, HolderAliveError, Holders, HolderUnknownError
from comet_mcp.journal.operations import KNOWN, Lease, Operation, State
from comet_mcp.services.core import Core
from comet_mcp.services.create import Creator
from comet_mcp.services.delivery import Told
from comet_mcp.services.progress import Progress
from comet_mcp.services.take_up import ABANDON_AFTER, TakeUp
from comet_mcp.text import quoted
from comet_mcp.threads import LateError, Threads

NET = 60
"""Seconds after the end of a lease at which its key ends by itself."""

_LOCK_WITHIN = 5.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Leased:
    """A lease that this process holds, and its key."""

    operation: str
    lease: Lease
    row: Key
    held: Held


class Leases:
    """The leases of one account."""

    def __init__(self, core: Core, holders: Holders, *, creator: Creator, taker: TakeUp, progress: Progress) -> None:
        self._journal, self._identity, self._clock = core.journal, core.identity, core.clock
        self._holders = holders
        self._creator = creator
        self._taker = taker
        self._progress = progress
        self._threads = Threads(1)

    async def begin(self, body: KeySpec, until: float, deadline: Deadline) -> Leased:
        """Make a key under a lease until then (Unix seconds). Its value is not stored anywhere.

        Raises:
            CreateUnclearError: A key may have been made. It is removed like one whose holder died.
            CometError: As Creator.begin and Creator.make; no key was made.
        """
        lease = Lease(token_hex(8), until)
        held = await self._on_thread(lambda: self._holders.hold(lease.id))
        try:
            async with self._creator.reserved():
                operation, _ = await self._creator.begin(body, deadline, lease=lease)
                created = await self._creator.make(operation, deadline, Told())
        except CometError as error:
            held.let_go(is_over=not isinstance(error, CreateUnclearError))
            raise
        return Leased(operation.id, lease, created.row, held)

    async def note_ended(self, leased: Leased, spent: int | None) -> None:
        """Note that the key is gone, and what it had used, in quota units. Raises JournalError."""
        ended = leased.lease._replace(spent=spent)
        await self._progress.advance(leased.operation, State.RELEASED, lease=ended)

    async def any(self) -> bool:
        """Whether there may be a lease. It uses neither the journal nor the API."""
        return await self._on_thread(self._holders.any)

    async def open(self) -> list[Operation]:
        """The creates whose lease has not ended, those of living holders too. Raises JournalError, APIError."""
        if not await self._journal.exists():
            return []
        step = Step(Reads(operations="leased"), lambda rows: Decision(rows.operations), durable=False)
        found = await self._journal.run(step)
        known = [operation.lease.id for operation in found if operation.lease]
        await self._on_thread(lambda: self._holders.forget_others(known))
        account = await self._identity.account() if found else ""
        return [operation for operation in found if operation.account == account]

    async def left_behind(self) -> list[str]:
        """The names of the keys that dead holders left, as far as is known without the API. Raises JournalError."""
        found = []
        for operation in await self.open():
            assert operation.lease is not None  # noqa: S101 - as in `take_over`
            lease = operation.lease
            held = await self._on_thread(lambda lease=lease: self._lock_of_dead(lease))  # type: ignore[misc]
            if held is not None:
                held.let_go(is_over=False)
                found.append(f"Key {quoted(operation.spec.name)}")
        return found

    async def take_over(self, operation: Operation, deadline: Deadline) -> Leased | None:
        """The lease of a create if its holder left it behind. None where it did not, or there is no key.

        A create whose row does not show is looked for again by the next who asks, for a day.

        Raises:
            CometError: The API or the journal can't be asked, or another call is at it.
        """
        lease = operation.lease
        assert lease is not None  # noqa: S101 - `open` gives no others
        held = await self._on_thread(lambda: self._lock_of_dead(lease))
        if held is None:
            return None
        is_over = False
        try:
            row = await self._key_of(operation, deadline)
            if row is not None:
                return Leased(operation.id, lease, row, held)
            is_over = (await self._progress.read(operation.id)).state is State.RELEASED
        except BaseException:
            held.let_go(is_over=False)
            raise
        held.let_go(is_over=is_over)
        return None

    def _lock_of_dead(self, lease: Lease) -> Held | None:
        """The lock of a lease whose holder is dead, or unknown while the lease is over."""
        try:
            return self._holders.take_over(lease.id)
        except HolderAliveError:
            return None
        except HolderUnknownError:
            return self._holders.hold(lease.id) if lease.until <= self._clock.now() else None

    async def _key_of(self, operation: Operation, deadline: Deadline) -> Key | None:
        """The key of a create whose holder is dead; what is noted of it where there is none."""
        adopted = await self._progress.adopt(operation, of_dead=True)
        if adopted is None:
            return None
        created = await self._taker.key_of(adopted, deadline, Told())
        if created is not None:
            return created.row
        if adopted.state not in KNOWN:
            await self._note_rowless(adopted)
        return None

    async def _note_rowless(self, operation: Operation) -> None:
        now = self._clock.now()
        if operation.state is State.ABANDONED and not operation.is_recognisable(now):
            await self._progress.advance(operation.id, State.RELEASED)
        elif operation.state is not State.ABANDONED and now - operation.begun >= ABANDON_AFTER:
            await self._progress.advance(operation.id, State.ABANDONED, lease_until=0.0)
        else:
            await self._progress.let_go(operation)

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._threads.run(work, _LOCK_WITHIN)
        except LateError as late:
            raise JournalError(
                f"The folder of leases beside the journal has not answered in {late.seconds:.0f} s. Its disk or "
                "network hangs: try again when it answers."
            ) from None
