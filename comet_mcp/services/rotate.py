"""Replacing a key: a new one with the same scope, its value stored, and only then the old one's end.

The API has no rotation. It is one operation: a create, whose last step is the old key's end; a second call goes on
where the first one stopped instead of making a third key. How the old key ends is what the call at hand says: who
wants a leaked key disabled must not hear of a grace period that was asked for earlier. A grace period is the old key's
own expiry: nothing has to keep running for it to end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import (
    ArgumentError,
    JournalError,
    NotFoundError,
)
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.operations import KNOWN, Operation, State
from comet_mcp.policy.windows import NOTHING
from comet_mcp.services.change_journal import CHANGE_CALLS
from comet_mcp.services.core import Core
from comet_mcp.services.delete import Deleter
from comet_mcp.services.delivery import Told
from comet_mcp.services.hand_over import hand_over
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.lost_changes import telling_first
from comet_mcp.services.progress import Progress
from comet_mcp.services.quota import Quota
from comet_mcp.services.replace import Replacer
from comet_mcp.services.retire import Retirement, Retirer, Rotated
from comet_mcp.services.secrets import Secrets

Confirm = Callable[[Key, Operation | None], Awaitable[None]]
"""Called before the first write, with the key and the rotation that was begun; raises to stop."""


class Rotator:
    """Rotates the keys of one account."""

    def __init__(
        self,
        core: Core,
        *,
        progress: Progress,
        replacer: Replacer,
        retirer: Retirer,
        deleter: Deleter,
        secrets: Secrets,
        quota: Quota,
    ) -> None:
        self._api, self._journal, self._identity = core.api, core.journal, core.identity
        self._clock = core.clock
        self._progress = progress
        self._replacer = replacer
        self._retirer = retirer
        self._deleter = deleter
        self._secrets = secrets
        self._quota = quota

    async def rotate(
        self,
        key_id: int,
        retirement: Retirement,
        confirm: Confirm,
        told: Told,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Rotated:
        """Replace a key; or go on with its replacement, where a call before stopped.

        Args:
            key_id: The key.
            retirement: How it ends.
            confirm: Called before the first write that is asked for.
            told: What the answer tells of.
            begin: Called before an earlier change of the key is corrected; None where that has to wait, for this run
                ends with a question.

        Raises:
            ArgumentError: The key has ended already, so that an equal one would be useless.
            PolicyError: The key may not be touched, or the new one would be outside the policy.
            CometError: The new key could not be made (as Creator.make); the old one is untouched.
        """
        deadline = Deadline(self._clock, self._api.timeout)
        known = await self._rotations(key_id)
        newest = known[-1] if known else None
        try:
            old = await self._api.get_token(key_id, seconds=deadline.left)
        except NotFoundError:
            deleted = Key(id=key_id, **newest.spec.model_dump(exclude={"allow_ips"})) if newest else None
            if newest is None or deleted is None:
                raise
            if (
                done := await self._finished(newest, deleted, None, confirm=confirm, deadline=deadline, told=told)
            ) is None:
                raise
            return done
        self._quota.enforcer.require_own(old)
        known = await self._of_same(old, known)
        newest = known[-1] if known else None
        if newest is not None and newest.state is State.RETIRED:
            done = await self._finished(newest, old, retirement, confirm=confirm, deadline=deadline, told=told)
            if done is not None:
                return done
        begun = newest if newest is not None and newest.is_open_rotation else None
        said: list[str] = []
        if begun is None and begin is not None:
            old, said = await self._retirer.settled(old, deadline, begin)
        with telling_first(said):
            await self._require_allowed(old, begun)
            await self._api.limit.require_room(WRITE_CALLS + CHANGE_CALLS)
            await confirm(old, begun)
            new, given = await self._replacer.new_key(old, retirement, known, deadline, told)
        done = Rotated(new, old, given=given, last_seen=old, steps=_resumed(begun, retirement), warnings=said)
        done.steps.append(f"Key {new.row.id} was made with the same scope.")
        done.warnings += _unkept(old, new.row)
        if new.saved is None:
            done.warnings.append(
                f"The old key {old.id} was left as it is, because the new one's value is not stored yet. Call "
                f"rotate_api_key again with id {old.id} once that is fixed."
            )
            return done
        if not await hand_over(self._secrets, old, done, deadline, waits=retirement.end == "grace"):
            return done
        if await self._retirer.end(retirement, done, deadline):
            await self._note_retired(done)
        return done

    async def which_made(self, row: Key) -> Operation | None:
        """The rotation that made a key, None where none is known to have."""
        if not await self._journal.exists():
            return None
        reads = Reads(await self._identity.account(), maker=(row.id, row.created_time))
        made = await self._journal.run(Step(reads, lambda rows: Decision(rows.maker), durable=False))
        return made if made is not None and made.old is not None else None

    async def _require_allowed(self, old: Key, begun: Operation | None) -> None:
        """Refuse a rotation that is about to make a key which would be useless, or outside the policy."""
        if begun is None:
            self._require_usable(old)
        elif begun.key_id is not None or begun.is_held(self._clock.now()):
            return
        # one that was begun is counted already; where it made no key, the step that begins another one judges it anew
        spec, spending = (writable_spec(old), await self._quota.spending()) if begun is None else (begun.spec, NOTHING)
        self._quota.enforcer.require_new(spec, spending, copied=True)

    async def _rotations(self, key_id: int) -> list[Operation]:
        """The rotations of a key that have made another one, or may have, oldest first."""
        if not await self._journal.exists():
            return []
        reads = Reads(await self._identity.account(), key_id=key_id, rotations=True)
        found = await self._journal.run(Step(reads, lambda rows: Decision(rows.rotations), durable=False))
        return [rotation for rotation in found if rotation.is_open_rotation or rotation.state is State.RETIRED]

    async def _of_same(self, old: Key, known: list[Operation]) -> list[Operation]:
        """The rotations of the key itself. Those of another key that had its id, before ids began anew, are closed."""
        for rotation in known:
            if not _replaces(rotation, old) and not rotation.is_held(self._clock.now()):
                await self._progress.advance(rotation.id, State.RELEASED)
        return [rotation for rotation in known if _replaces(rotation, old)]

    async def _finished(
        self,
        begun: Operation,
        old: Key,
        retirement: Retirement | None,
        *,
        confirm: Confirm,
        deadline: Deadline,
        told: Told,
    ) -> Rotated | None:
        """The answer of a rotation that made its key, asked for once more: its answer may have been lost.

        The old key ends as it is asked for now, if that is sooner. None where the new key does not exist any more.

        Args:
            begun: The rotation.
            old: The key that was replaced.
            retirement: How it shall end, None where it is deleted already.
            confirm: As in `rotate`.
            deadline: When it has to be done.
            told: What the answer tells of.
        """
        row = await self._replacer.made(begun, deadline) if begun.state in KNOWN else None
        if row is None:
            return None
        self._quota.enforcer.require_own(row)
        await confirm(old, begun)
        new = await self._replacer.resumed(begun, deadline, told)
        if new is None:
            return None
        left = None if retirement is None else old
        done = Rotated(new, left, given=max(old.remain_quota, 0), last_seen=left)
        done.steps.append(
            f"Key {old.id} was replaced by key {row.id} at {when(int(begun.begun))} already, and no other was made. "
            f"To replace it once more, rotate key {row.id}."
        )
        if retirement is not None and new.saved is not None:
            await hand_over(self._secrets, old, done, deadline, waits=False)  # where that failed before
        if retirement is None:
            gone = await self._deleter.gone(old.id, deadline, old)
            done.steps.append(f"Key {old.id} is gone. {gone.forgotten}".strip())
            if new.saved is not None:
                await self._note_retired(done)
        elif retirement.changes(old):
            await self._retirer.end(retirement, done, deadline)
            return done
        done.nothing_done = True
        return done

    async def _note_retired(self, done: Rotated) -> None:
        try:
            await self._progress.advance(done.new.operation, State.RETIRED)
        except JournalError as error:
            done.warnings.append(f"All is done, but the journal could not note it: {error}")

    def _require_usable(self, old: Key) -> None:
        state = old.state(self._clock.now())
        if state.has("expired"):
            raise ArgumentError(
                f"Key {old.id} expired at {when(old.expired_time)}: a new one with the same scope would be useless. "
                "Change its expired_time with update_api_key first, or make another key with create_api_key."
            )
        if state.has("exhausted"):
            raise ArgumentError(
                f"Key {old.id} has nothing left to spend: a new one with the same scope would be useless. Give it a "
                "budget with update_api_key first, or make another key with create_api_key."
            )


def _replaces(rotation: Operation, old: Key) -> bool:
    """Whether a rotation is of this key, and of no other that had its id before ids began anew."""
    return rotation.old is not None and rotation.old.created == old.created_time


def _resumed(begun: Operation | None, retirement: Retirement) -> list[str]:
    """That a rotation which was begun is gone on with, as a step."""
    if begun is None or begun.old is None:
        return []
    differs = begun.old.end != retirement.end
    other = f', with old_key "{begun.old.end}"; what is asked now holds' if differs else ""
    return [f"Went on with the rotation begun at {when(int(begun.begun))}{other}."]


def _unkept(old: Key, new: Key) -> list[str]:
    """The fields of the old key that this program does not know, and that the API did not take for the new one."""
    lost = [name for name, value in old.extra.items() if value is not None and new.extra.get(name) != value]
    if not lost:
        return []
    names = ", ".join(lost)
    said = (
        f"The new key has not the same {names} as the old one: the API did not take that on create. It may be allowed "
        "more than the old one. Look at it in the API's console, or disable it until somebody has."
    )
    return [said]
