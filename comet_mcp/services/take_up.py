"""An equal create takes up the one before it whose outcome no client knows, instead of making a second key."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import APIError, CometError, CreateUnclearError, NotFoundError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.operations import (
    CLOSED,
    KNOWN,
    Operation,
    State,
)
from comet_mcp.services.core import Core
from comet_mcp.services.create import Creator
from comet_mcp.services.delivery import Delivery, Told
from comet_mcp.services.finding import Created, RowFinder
from comet_mcp.services.matching import differences, namesakes
from comet_mcp.services.progress import Progress
from comet_mcp.services.reading import read_again
from comet_mcp.services.secrets import Secrets
from comet_mcp.text import quoted

ABANDON_AFTER = 60.0
"""Seconds after which a create whose row never showed is not waited for any more."""


class TakeUp:
    """Takes up the creates of one account."""

    def __init__(
        self,
        core: Core,
        *,
        creator: Creator,
        finder: RowFinder,
        progress: Progress,
        secrets: Secrets,
        delivery: Delivery,
    ) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock, self._server = core.clock, core.server
        self._creator = creator
        self._finder = finder
        self._progress = progress
        self._secrets = secrets
        self._delivery = delivery

    async def take_up(self, operation: Operation, deadline: Deadline, told: Told) -> Created | None:
        """The key of an earlier equal create that no client was told of; None where there is no such key.

        Raises:
            CreateUnclearError: It is not known yet whether there is one.
            CometError: There may be one that nobody can tell, which is told once.
        """
        if operation.disconnected or operation.holder == self._server or not operation.is_held(self._clock.now()):
            current = await self._free(operation, deadline)
        else:
            current = await self._dead(operation, deadline)
        if current is None or (current := await self._progress.adopt(current, for_client=True)) is None:
            return None  # another call has settled it, or tells of it
        try:
            return await self._delivery.to_the_end(current, partial(self._taken_up, current, deadline, told))
        except APIError:
            with contextlib.suppress(CometError):
                await self._progress.let_go(current)
            raise

    async def _taken_up(self, operation: Operation, deadline: Deadline, told: Told) -> Created | None:
        created = await self.key_of(operation, deadline, told)
        if created is not None:
            told.of(created.row)
            created.warnings.append(
                f"This key was made by an earlier call ({when(int(operation.begun))}), {unread(operation)}. No second "
                "key was made; to have one, call create_api_key again."
            )
            stored = await self._creator.store(created, deadline)
            told.operations.append(operation.id)
            return stored
        if operation.state in KNOWN:
            return None  # somebody deleted it
        if operation.acknowledged:
            await self._progress.let_go(operation)
            return None  # it was told that no row showed, and none does
        age = max(self._clock.now() - operation.begun, 0.0)
        if age >= ABANDON_AFTER or operation.state is State.ABANDONED:
            said, may_exist = await self.abandon(operation, deadline)
            if may_exist:
                told.operations.append(operation.id)
                raise CometError(
                    f"{said} Nothing was sent now; the same call again makes another key.",
                    code="created_id_unknown" if operation.accepted else CreateUnclearError.code,
                )
            await self._progress.advance(operation.id, State.ABANDONED, acknowledged=True, lease_until=0.0)
            return None
        await self._progress.let_go(operation)
        rest = f"Nothing was sent now. Try again in {ABANDON_AFTER - age:.0f} seconds: the call then"
        if operation.accepted:
            raise CreateUnclearError(
                f"The same create was sent {age:.0f} seconds ago. The API said that it made a key, but does not list it"
                f" yet. {rest} gets that key, or says that it is still missing.",
                code="created_id_unknown",
            )
        raise CreateUnclearError(
            f"The same create was sent {age:.0f} seconds ago, and it is not known yet whether it made a key. {rest} "
            "finds that key, or makes one."
        )

    async def _free(self, operation: Operation, deadline: Deadline) -> Operation | None:
        """The operation once no call is at work on it any more: its client gave up, or its server died."""
        while operation.is_held(self._clock.now()):
            if deadline.passed:
                raise CreateUnclearError(
                    "The same create, which was given up, is still under way. Nothing was sent now. Try again in a few "
                    "seconds: the call then gets that key."
                )
            await self._clock.sleep(0.25)
            operation = await self._progress.read(operation.id)
        told = operation.acknowledged and operation.state is not State.ABANDONED
        return None if told or operation.state in CLOSED else operation

    async def _dead(self, operation: Operation, deadline: Deadline) -> Operation | None:
        """The operation of another server once its lease has ended. None where that server is alive or done with it."""
        current = operation
        while current.is_held(self._clock.now()):
            if deadline.passed:
                raise CreateUnclearError(
                    "Another server was at work on the same create a few seconds ago, and may have been ended. Nothing "
                    "was sent now. Try again in a few seconds: the call then gets that key, or makes one."
                )
            await self._clock.sleep(0.25)
            current = await self._progress.read(operation.id)
            if current.state in CLOSED or current.acknowledged or current.lease_until > operation.lease_until:
                return None
        return current

    async def key_of(self, operation: Operation, deadline: Deadline, told: Told) -> Created | None:
        """The key of an operation that this call holds; its row is claimed, where it was not known."""
        if operation.state not in KNOWN:
            rows = await self._finder.newest.above(operation.watermark, deadline.left)
            return await self._finder.find(operation, rows, told)
        assert operation.key_id is not None  # noqa: S101 - what is known has one
        try:
            row = await read_again(self._api, operation.key_id, operation.key_created, seconds=deadline.left)
        except NotFoundError:
            await self._progress.advance(operation.id, State.RELEASED)
            return None
        return Created(row, operation.id)

    async def abandon(self, operation: Operation, deadline: Deadline) -> tuple[str, bool]:
        """Wait for the row no more. Returns what came of the create in a sentence, and whether there may be a key."""
        alike = await self._candidates(operation, deadline)
        await self._progress.advance(operation.id, State.ABANDONED, lease_until=0.0)
        if alike:
            return " ".join(_candidate(operation, row) for row in alike), True
        if not operation.accepted:
            return f"The {create_of(operation)}, whose answer was lost, made no key that is there now.", False
        return (
            f"The API said that the {create_of(operation)} made a key, but it never listed one. It may still appear: "
            f"within a day a list then {self._secrets.store.later}, and after that call save_api_key with its id. Make "
            "another key only if the user accepts that there may be two."
        ), True

    async def _candidates(self, operation: Operation, deadline: Deadline) -> list[Key]:
        """The rows that may be a create's, and may be somebody else's: by the id and the name alone.

        An equal one among them was hidden by its time, so the API's clocks differ.
        """
        anyhow = replace(operation, watermark=operation.watermark._replace(since=0))
        rows = await self._finder.newest.above(anyhow.watermark, deadline.left)
        claims = tuple((row.id, row.created_time) for row in rows)
        account = await self._identity.account()
        step = Step(Reads(account, claims=claims), lambda found: Decision(found.claimed), durable=False)
        alike = namesakes(anyhow, rows, await self._journal.run(step))
        if any(not differences(operation.spec, row, tolerated=True) for row in alike):
            self._finder.newest.doubt_clocks()
        return alike


def _candidate(operation: Operation, row: Key) -> str:
    """That a row may be the create's, which nothing proves."""
    text = f"The {create_of(operation)} may have made key {row.id}, which has that name"
    if differences(operation.spec, row, tolerated=True):
        return f"{text} but other settings."
    return (
        f"{text} and the same settings, but was there before by the API's own clock. If nobody else made it, call "
        f"save_api_key with id {row.id}."
    )


def create_of(operation: Operation) -> str:
    """A create in a sentence."""
    return f"create of {quoted(operation.spec.name)} at {when(int(operation.begun))}"


def unread(operation: Operation) -> str:
    """Why no client knows of the key."""
    return "whose answer may not have been read" if operation.state in KNOWN else "whose answer was lost"


async def make_key(
    creator: Creator, taker: TakeUp, spec: KeySpec, deadline: Deadline, told: Told, *, asked: float
) -> Created:
    """Make a key, unless an equal create is open of which no client was told: then that one's is returned.

    `asked` is when the call came, in Unix seconds. Raises as Creator.begin, Creator.make and Reconciler.take_up.
    """
    over: set[str] = set()
    while True:
        async with creator.reserved():
            operation, is_new = await creator.begin(spec, deadline, over=over, asked=asked)
            if is_new:
                return await creator.make(operation, deadline, told)
        created = await taker.take_up(operation, deadline, told)
        if created is not None:
            return created
        over.add(operation.id)
