"""Making a key exactly once, although the API's create answers without an id and can fail after it has committed.

    1. What could go wrong later is looked for now: the store, the time, the room among the API's calls.
    2. One step of the journal: an equal create that is open is taken up; else the policy's counts, the limit of reveals
       and the new operation, on disk.
    3. One POST. It is repeated only where it provably never left, or was refused and no row of it is there.
    4. Its row is found among those above the watermark (matching), and claimed in the journal.
    5. Its value is read and stored.

From 2 to 5 nothing can be cancelled (delivery). How it can end: created; not created (UnsentError, RefusedError); not
known (CreateUnclearError), which later calls reconcile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

import anyio

from comet_mcp.api.models import CreateAnswer
from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.concurrency import MARGIN, Deadline
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import (
    APIError,
    CreateUnclearError,
    JournalError,
    RateLimitedError,
    RefusedError,
    StoreError,
    UnauthorizedError,
    UnclearError,
    UnsentError,
)
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.operations import LEASE, Lease, OldKey, Operation, State, Watermark
from comet_mcp.journal.writes import Grant, Put
from comet_mcp.services.core import Core
from comet_mcp.services.delivery import Delivery, Told
from comet_mcp.services.finding import Created, RowFinder
from comet_mcp.services.matching import equal_rows
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota
from comet_mcp.services.secrets import Secrets

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class _Sent:
    """What became of the POST: the API's yes, its no although it may have made the key, or neither."""

    answer: CreateAnswer | None = None
    refusal: RefusedError | None = None


class Creator:
    """Makes keys for one account."""

    def __init__(
        self, core: Core, *, finder: RowFinder, progress: Progress, secrets: Secrets, quota: Quota, delivery: Delivery
    ) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._finder = finder
        self._progress = progress
        self._secrets = secrets
        self._quota = quota
        self._delivery = delivery

    async def begin(
        self,
        spec: KeySpec,
        deadline: Deadline,
        *,
        old: OldKey | None = None,
        extra: dict[str, Any] | None = None,
        over: Container[str] = (),
        asked: float = 0.0,
        lease: Lease | None = None,
    ) -> tuple[Operation, bool]:
        """Note a create that is about to be sent, and count its key and budget; or find the open one that is equal.

        Args:
            spec: The key.
            deadline: When the call has to be done.
            old: The key that it replaces.
            extra: Fields of that key which this version does not know.
            over: Operations that this call has nothing to do with: rotations of that key that were done before it, and
                equal creates that another call works on, or that have nothing to tell.
            asked: When the call came, in Unix seconds: what other servers began later is none of its business.
            lease: That the key is deleted when its work is done. Its value is not stored then.

        Returns:
            The operation, and whether it is this new one. One that was there is to be taken up (TakeUp).

        Raises:
            PolicyError: The key would be outside the policy, or one too many.
            RateLimitedError: Its value could not be read.
            StoreError, JournalError, APIError: Something that is needed is missing. Nothing was sent.
        """
        account = await self._identity.account()
        watermark = await self._finder.newest.watermark(deadline.left)
        deadline.require_time_to_write()
        operation = replace(self._new(account, spec, watermark, old, extra), lease=lease)
        with anyio.CancelScope(shield=True):
            begun = await self._journal.run(self._beginning(account, operation, over, asked))
        return begun, begun is operation

    async def has_open(self, spec: KeySpec) -> bool:
        """Whether an equal create has to be taken up before another one is sent."""
        account, now = await self._identity.account(), self._clock.now()

        def decide(rows: Rows) -> Decision[bool]:
            return Decision(any(is_open_equal(found, spec, now) for found in rows.operations))

        return await self._journal.run(Step(Reads(account, operations="open"), decide, durable=False))

    async def make(self, operation: Operation, deadline: Deadline, told: Told) -> Created:
        """Carry out a create that was begun.

        Raises:
            RefusedError, UnsentError: No key was made.
            CreateUnclearError: A key may have been made; the next list, or the next equal create, finds it.
        """
        return await self._delivery.to_the_end(operation, lambda: self._make(operation, deadline, told))

    def reserved(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A context for a create: the API's calls that it takes. The POST is the only one that each makes alone."""
        return self._api.limit.reserved(WRITE_CALLS, shared=WRITE_CALLS - 1)

    async def store(self, created: Created, deadline: Deadline) -> Created:
        """Read the key's value and store it; what fails is told, for the key exists."""
        row = created.row
        try:
            created.saved = await self._secrets.save(row, deadline)
        except (APIError, JournalError, StoreError) as error:
            created.warnings.append(
                f"The key exists (id {row.id}), but its value could not be stored: {error} "
                f"Call save_api_key with id {row.id} once that is fixed. Do not create the key again."
            )
        else:
            created.warnings += [note] if (note := self._secrets.store.note(created.saved)) else []
        with contextlib.suppress(JournalError):  # its lease then ends, and it is taken up once more: no harm
            await self._progress.advance(created.operation, State.STORED if created.saved else State.UNSTORED)
        return created

    def _new(
        self, account: str, spec: KeySpec, watermark: Watermark, old: OldKey | None, extra: dict[str, Any] | None
    ) -> Operation:
        now = self._clock.now()
        return Operation(
            id=token_hex(8),
            account=account,
            kind="create" if old is None else "rotate",
            state=State.PENDING,
            spec=spec,
            extra=extra,
            begun=now,
            holder=self._server,
            lease_until=now + LEASE,
            watermark=watermark,
            old=old,
        )

    def _beginning(self, account: str, operation: Operation, over: Container[str], asked: float) -> Step[Operation]:
        """Takes up the open create that is equal, or begins this one; the counts are judged in the same step."""
        now, spec, old = self._clock.now(), operation.spec, operation.old
        reveals = self._secrets.store.needs_value or operation.lease is not None

        def is_new(found: Operation) -> bool:
            """Whether another call has replaced the same key meanwhile."""
            return found.state is State.RETIRED and found.id not in over

        def is_of_same(found: Operation) -> bool:
            """Whether it replaces the same key: ids begin anew when a gateway's database does."""
            return old is not None and found.old is not None and found.old.created == old.created

        def decide(rows: Rows) -> Decision[Operation]:
            if old is None:
                equal = (o for o in rows.operations if is_open_equal(o, spec, now) and o.id not in over)
                earlier = next((o for o in equal if self._has_to_be_seen_to(o, now, asked)), None)
            else:
                same = (found for found in rows.rotations if is_of_same(found))
                earlier = next((found for found in same if found.is_open_rotation or is_new(found)), None)
            if earlier is not None:
                return Decision(earlier)
            elsewhere = {found.holder for found in rows.operations if found.is_held(now)} - {self._server}
            if reveals:
                self._secrets.require_reveal(rows.reveals, len(elsewhere))
            self._quota.enforcer.require_new(spec, rows.spending, copied=old is not None)
            units = 0 if spec.unlimited_quota else spec.remain_quota
            return Decision(operation, [Put(operation), Grant(now, 1, units, operation.id)])

        reads = Reads(
            account,
            operations="open",
            key_id=old.id if old else None,
            rotations=old is not None,
            spending=self._quota.is_limited,
            reveals=reveals,
        )
        return Step(reads, decide)

    def _has_to_be_seen_to(self, equal: Operation, now: float, asked: float) -> bool:
        """Whether an equal create has to be seen to before another one is sent.

        Not one at whose end a client of this server still waits: two calls at once are two keys. One of another server
        has to show that it is alive (TakeUp).
        """
        if equal.disconnected or not equal.is_held(now):
            return True
        return equal.holder != self._server and equal.begun < asked

    async def _make(self, operation: Operation, deadline: Deadline, told: Told) -> Created:
        """Send the create, find its key and store its value."""
        sent_at = self._clock.api_reached()
        try:
            with self._secrets.finding:
                with self._finder.creating:
                    sent = await self._send(operation, deadline)
                created = await self._finder.look_for(operation, sent.answer, deadline, told)
        except JournalError as error:
            raise CreateUnclearError(
                f"The create was sent, but then the journal failed: {error} Do not create the key again: call "
                f"list_api_keys once the journal works, which {self._secrets.store.later}."
            ) from None
        told.of(created.row)
        self._finder.newest.compare_clocks(sent_at, created.row)
        with contextlib.suppress(JournalError):
            await self._identity.learn(created.row.user_id)
        if sent.refusal is not None:
            created.warnings.append(
                f"The API answered that it refused the create, and made the key all the same: {sent.refusal}"
            )
        if operation.lease is not None:
            return created
        stored = await self.store(created, deadline)
        told.operations.append(operation.id)
        return stored

    async def _send(self, operation: Operation, deadline: Deadline) -> _Sent:
        """Send the create. Raises UnsentError, RefusedError where it provably made no key."""
        pause = 0.2
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # the rest of the time is for finding the row
                seconds = deadline.left * 0.6
                return _Sent(await self._api.create_token(operation.spec, operation.extra, seconds=seconds))
            except UnclearError:
                return _Sent()
            except (UnsentError, RefusedError) as error:
                if isinstance(error, RefusedError) and await self._may_be_made(operation, error, deadline):
                    return _Sent(refusal=error)
                wait = error.retry_after if isinstance(error, RateLimitedError) else pause
                again = isinstance(error, UnsentError | RateLimitedError)
                if not again or wait is None or attempt == _ATTEMPTS or deadline.left < wait + 2 * MARGIN:
                    await self._progress.not_made(operation)
                    raise
                await self._clock.sleep(max(wait, pause))
                pause *= 2
        raise AssertionError  # the last attempt returns or raises

    async def _may_be_made(self, operation: Operation, refusal: RefusedError, deadline: Deadline) -> bool:
        """Whether a refused create made a key all the same. A proxy can refuse what the API behind it has done."""
        if isinstance(refusal, UnauthorizedError):
            return False  # nor could anything be listed
        try:
            rows = await self._finder.newest.above(operation.watermark, deadline.left)
        except APIError:
            await self._progress.note(operation, State.OUTCOME_UNKNOWN)  # it stays counted
            raise CreateUnclearError(
                f"The API refused the create, and could not be asked whether it made the key all the same: {refusal} "
                "Do not create it again now: call list_api_keys in a minute, which says whether there is a key, and "
                f"then {self._secrets.store.later}."
            ) from None
        return bool(equal_rows(operation, rows))


def is_open_equal(operation: Operation, spec: KeySpec, now: float) -> bool:
    """Whether it is an equal create of whose key no client was told."""
    if operation.kind != "create" or operation.lease is not None or not operation.spec.is_equal(spec):
        return False
    return not operation.acknowledged or operation.is_recognisable(now)
