"""Replacing a key: a new one with the same scope, its value stored, and only then the old one's end.

The API has no rotation. That one is begun goes into the journal first, with the new key's body, so that a second call
goes on where the first one stopped instead of making a third key. How the old key ends is what the call at hand says:
who wants a leaked key disabled must not hear of a grace period that was asked for earlier. A grace period is the old
key's own expiry: nothing has to keep running for it to end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Literal

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.api.pace import WRITE_CALLS
from comet_mcp.domain.key import Key, Status, status_word
from comet_mcp.errors import (
    ArgumentError,
    CometError,
    CreateUnclearError,
    JournalError,
    NotFoundError,
    PolicyError,
    UnclearError,
)
from comet_mcp.keys.allowance import Allowance
from comet_mcp.keys.changing import change_key, delete_key, writable_body
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.flights import Turns
from comet_mcp.keys.provisioning import KeyMaker
from comet_mcp.keys.storing import Created
from comet_mcp.state.journal import Journal
from comet_mcp.state.rotations import Rotation
from comet_mcp.units import NEVER, when

OldKey = Literal["grace", "disable", "delete"]


@dataclass(slots=True)
class Rotated:
    """The new key, what is left of the old one (None where it is deleted), and each step in a sentence.

    `nothing_done` tells that an earlier call had done it all.
    """

    new: Created
    old: Key | None
    old_is_known: bool = True
    """Whether `old` is how the key is now: False where the answer to its end was lost."""
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nothing_done: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """How the old key ends: it expires at `until` (Unix seconds), is disabled, or deleted."""

    how: OldKey
    until: int

    def changes(self, old: Key) -> bool:
        """Whether the key would end sooner by this than it does."""
        if self.how == "delete":
            return True
        if old.status != Status.ENABLED:
            return False
        return self.how == "disable" or old.expired_time == NEVER or self.until < old.expired_time


class KeyRotator:
    """Rotates the keys of one account."""

    def __init__(self, api: CometAPI, journal: Journal, keys: KeyMaker, allowance: Allowance, turns: Turns) -> None:
        self._api = api
        self._rotations = journal.rotations
        self._keys = keys
        self._turns = turns
        self._allowance = allowance
        self._guard = allowance.guard
        self._timeout = api.timeout

    async def rotate(
        self, key_id: int, end: End, confirm: Callable[[Key, Rotation | None], Awaitable[None]]
    ) -> Rotated:
        """Replace a key; or go on with its replacement, where a call before stopped.

        Args:
            key_id: The key to replace.
            end: How it ends.
            confirm: Called before the first write, with the key and its rotation that was begun; raises to stop.

        Raises:
            ArgumentError: The key has ended already, so that an equal one would be useless.
            PolicyError: The key may not be touched, or the new one would be outside the policy.
            CometError: The new key could not be made (as `KeyMaker.create`); the old one is untouched.
        """
        deadline = Deadline(self._timeout)
        try:
            old = await self._api.get_token(key_id)
        except NotFoundError:
            over = await self._rotations.of_gone(key_id)
            gone = Key(id=key_id, **over.body.model_dump()) if over else None
            finished = await self._finished(over, gone, None, confirm, deadline) if over and gone else None
            if finished is None:
                raise
            return finished
        self._guard.require_own(old)
        rotation = await self._rotations.of(old)
        if rotation is not None and rotation.done:
            if (finished := await self._finished(rotation, old, end, confirm, deadline)) is not None:
                return finished
            rotation = None
        if rotation is not None and rotation.is_dead:
            await self._rotations.drop(rotation.id)
            rotation = None
        if rotation is None:
            self._check(old)
            await self._allowance.require_copy(writable_body(old))
        elif rotation.new_id is None and not rotation.under_way:
            await self._require_allowed(rotation)
        self._api.require_room(2 * WRITE_CALLS)
        await confirm(old, rotation)
        resumed = rotation is not None
        if rotation is None:
            await self._rotations.begin(old, writable_body(old), end.how, end.until)
        new, rotation = await self._new_key(old, deadline)
        done = Rotated(new, old)
        if resumed:
            then = (
                f', with old_key "{rotation.old_key}"; what is asked now holds' if rotation.old_key != end.how else ""
            )
            done.steps.append(f"Went on with the rotation begun at {when(int(rotation.begun))}{then}.")
        done.steps.append(f"Key {new.row.id} was made with the same scope.")
        if new.saved is None:
            done.warnings.append(
                f"The old key {old.id} was left as it is, because the new one's value is not stored yet. Call "
                "rotate_api_key again once that is mended."
            )
            return done
        if await self._ended(end, done, deadline):
            await self._note_end(rotation, done)
        return done

    async def _require_allowed(self, rotation: Rotation) -> None:
        """Refuse to go on with a rotation whose new key is yet to be made and would be outside the policy now."""
        try:
            await self._allowance.require_new(rotation.body, rotation.id)
        except PolicyError:
            with contextlib.suppress(JournalError):
                await self._rotations.drop(rotation.id)  # nothing was made: the next call begins anew
            raise

    async def _finished(
        self,
        rotation: Rotation,
        old: Key,
        end: End | None,
        confirm: Callable[[Key, Rotation | None], Awaitable[None]],
        deadline: Deadline,
    ) -> Rotated | None:
        """The answer of a rotation that made its key, asked for once more: its answer may have been lost.

        The old key ends as it is asked for now, if that is sooner. None where the new key does not exist any more.

        Args:
            rotation: The rotation.
            old: The key that was replaced.
            end: How it shall end, None where it is deleted already.
            confirm: As in `rotate`.
            deadline: When it has to be done.
        """
        if rotation.new_id is None:
            return None
        try:
            row = await self._api.get_token(rotation.new_id)
        except NotFoundError:
            return None
        self._guard.require_own(row)
        await confirm(old, rotation)
        done = Rotated(await self._keys.resume(row, deadline), None if end is None else old)
        done.steps.append(
            f"Key {old.id} was replaced by key {row.id} at {when(int(rotation.begun))} already, and no other was made. "
            f"To replace it once more, rotate key {row.id}."
        )
        if end is None:
            done.steps.append(f"Key {old.id} is gone.")
            if not rotation.done:
                await self._note_end(rotation, done)
        elif end.changes(old):
            await self._ended(end, done, deadline)
            return done
        done.nothing_done = True
        return done

    async def _new_key(self, old: Key, deadline: Deadline) -> tuple[Created, Rotation]:
        """The new key, made now, or by a call before or beside this one; and the rotation it belongs to."""
        end = monotonic() + self._timeout * 0.8
        while True:
            rotation = await self._rotations.of(old)
            if rotation is None or rotation.done:
                raise CreateUnclearError(f"Another call has just rotated key {old.id}. Call list_api_keys to see both.")
            if rotation.new_id is not None and not rotation.under_way:
                try:
                    row = await self._api.get_token(rotation.new_id)
                except NotFoundError:
                    await self._rotations.forget_new_key(rotation.id)  # somebody deleted it: make another
                else:
                    self._guard.require_own(row)
                    return await self._keys.resume(row, deadline), rotation
            if not rotation.under_way:
                try:
                    return await self._keys.create(rotation.body, rotation=rotation.id, deadline=deadline), rotation
                except CreateUnclearError as error:
                    if error.code != "under_way":
                        raise _explained(error, old) from None
                except CometError:
                    with contextlib.suppress(JournalError):
                        await self._rotations.drop(rotation.id)  # nothing was made: the next call begins anew
                    raise
            if monotonic() > end:
                raise CreateUnclearError(
                    f"Another call is rotating key {old.id} right now. Try again in a few seconds."
                )
            await anyio.sleep(0.1)

    async def _ended(self, end: End, done: Rotated, deadline: Deadline) -> bool:
        """End the old key; what fails is told, for the new key exists. Returns whether it has ended."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        again = "Call rotate_api_key again to finish that; it makes no third key."
        try:
            done.old = await self._end(end, done, deadline)
        except UnclearError as error:
            done.old_is_known = False
            if error.code == "update_not_corrected":  # it has ended, with more left than it should have
                done.warnings.append(str(error))
                return True
            done.warnings.append(f"Whether the old key {key_id} still works is not known: {error} {again}")
        except CometError as error:
            done.warnings.append(f"Both keys work now: the old key {key_id} could not be ended: {error} {again}")
        else:
            return True
        return False

    async def _note_end(self, rotation: Rotation, done: Rotated) -> None:
        try:
            await self._rotations.end(rotation.id)
        except JournalError as error:
            done.warnings.append(f"All is done, but the journal could not note it: {error}")

    async def _end(self, end: End, done: Rotated, deadline: Deadline) -> Key | None:
        """End the old key as it is now: it may have been changed since it was read."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        try:
            if end.how == "delete":
                await delete_key(self._api, key_id, deadline)
                forgotten = await self._keys.forget(key_id)
                done.steps.append(f"Key {key_id} was deleted. {forgotten}".strip())
                return None
            async with self._turns(key_id):
                return await self._end_working(end, done, deadline)
        except NotFoundError:
            done.steps.append(f"Key {key_id} is gone.")
            return None

    async def _end_working(self, end: End, done: Rotated, deadline: Deadline) -> Key:
        """Disable the old key, or give it its grace period."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        old = await self._api.get_token(key_id)
        if end.how == "disable":
            changed = await change_key(self._api, old, writable_body(old), Status.DISABLED, deadline)
            done.steps.append(f"Key {key_id} was disabled.")
        else:
            until = end.until if old.expired_time == NEVER else min(old.expired_time, end.until)
            wanted = writable_body(old).model_copy(update={"expired_time": until})
            changed = await change_key(self._api, old, wanted, None, deadline)
            if until <= time():
                done.steps.append(f"Key {key_id} expired at {when(until)}.")
            elif changed.after.status == Status.ENABLED:
                done.steps.append(f"Key {key_id} works until {when(until)}, and ends by itself.")
                done.warnings.append(self._together(changed.after, done.new.row, until))
            else:
                done.steps.append(f"Key {key_id} is {status_word(changed.after.status)}, and expires at {when(until)}.")
        done.warnings += changed.warnings
        return changed.after

    def _together(self, old: Key, new: Key, until: int) -> str:
        """What both may spend while both work, which is more than the old one could alone."""
        if old.unlimited_quota or new.unlimited_quota:
            return f"Until {when(until)} both keys work, without a budget."
        each, sum_ = self._guard.units.usd(old.remain_quota), self._guard.units.usd(old.remain_quota + new.remain_quota)
        return f"Until {when(until)} both keys work: the old one may still spend {each}, both together {sum_}."

    def _check(self, old: Key) -> None:
        if old.expired_time != NEVER and old.expired_time <= time():
            raise ArgumentError(
                f"Key {old.id} expired at {when(old.expired_time)}: a new one with the same scope would be useless. "
                "Change its expired_time with update_api_key first, or make another key with create_api_key."
            )
        if not old.unlimited_quota and old.remain_quota <= 0:
            raise ArgumentError(
                f"Key {old.id} has nothing left to spend: a new one with the same scope would be useless. Give it a "
                "budget with update_api_key first, or make another key with create_api_key."
            )


def _explained(error: CreateUnclearError, old: Key) -> CreateUnclearError:
    """The error of an unclear create, with the next step of the rotation."""
    if error.code == "create_ambiguous":
        step = (
            f"The old key {old.id} is untouched. Once one of them is left, store its value with save_api_key, and then "
            f"disable or delete key {old.id}; rotate_api_key would make one more."
        )
    else:
        step = "Then call rotate_api_key again, which goes on with that key."
    return CreateUnclearError(f"{error.args[0]} {step}", code=error.code)
