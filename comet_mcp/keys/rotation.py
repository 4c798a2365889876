"""Replacing a key: a new one with the same scope, its value stored, and only then the old one's end.

The API has no rotation. What is to happen goes into the journal first, with the new key's body, so that a second call
goes on where the first one stopped instead of making a third key. A grace period is the old key's own expiry: nothing
has to keep running for it to end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Literal

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.api.wire import Status, Token, status_word
from comet_mcp.errors import ArgumentError, CometError, CreateUnclearError, JournalError, NotFoundError
from comet_mcp.keys.changing import change_key, delete_key, writable_body
from comet_mcp.keys.deadline import Deadline
from comet_mcp.keys.flights import Turns
from comet_mcp.keys.provisioning import Created, KeyMaker
from comet_mcp.policy.guard import Guard
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
    old: Token | None
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nothing_done: bool = False


class KeyRotator:
    """Rotates the keys of one account."""

    def __init__(self, api: CometAPI, journal: Journal, keys: KeyMaker, guard: Guard, turns: Turns) -> None:
        self._api = api
        self._rotations = journal.rotations
        self._keys = keys
        self._turns = turns
        self._guard = guard
        self._timeout = api.timeout

    async def rotate(
        self,
        key_id: int,
        old_key: OldKey,
        grace: int,
        confirm: Callable[[Token, Rotation | None], Awaitable[None]],
    ) -> Rotated:
        """Replace a key; or go on with its replacement, as it was asked for the first time.

        Args:
            key_id: The key to replace.
            old_key: Its end: it expires after `grace`, is disabled, or deleted.
            grace: Seconds.
            confirm: Called before the first write, with the key and its rotation that was begun; raises to stop.

        Raises:
            ArgumentError: The key has ended already, so that an equal one would be useless.
            PolicyError: The key may not be touched, or the new one would be outside the policy.
            CometError: The new key could not be made (as `KeyMaker.create`); the old one is untouched.
        """
        deadline = Deadline(self._timeout)
        old = await self._api.get_token(key_id)
        self._guard.require_own(old)
        rotation = await self._rotations.of(old)
        if rotation is not None and rotation.done:
            if (finished := await self._finished(rotation, old)) is not None:
                return finished
            rotation = None
        resumed = rotation is not None
        if rotation is None:
            self._check(old)
            self._guard.require_new(writable_body(old))
        await confirm(old, rotation)
        if rotation is None:
            await self._rotations.begin(old, writable_body(old), old_key, int(time()) + grace)
        new, rotation = await self._new_key(old)
        done = Rotated(new, old)
        if resumed:
            done.steps.append(
                f"Went on with the rotation begun at {when(int(rotation.begun))}, as it was asked for then: old_key "
                f'"{rotation.old_key}".'
            )
        done.steps.append(f"Key {new.row.id} was made with the same scope.")
        if new.saved is None:
            done.warnings.append(
                f"The old key {old.id} was left as it is, because the new one's value is not stored yet. Call "
                "rotate_api_key again once that is mended."
            )
            return done
        try:
            done.old = await self._end(rotation, done, deadline)
            await self._rotations.end(rotation.id)
        except CometError as error:
            done.warnings.append(
                f"Both keys work now: the old key {old.id} could not be ended: {error} Call rotate_api_key again to "
                "finish that; it makes no third key."
            )
        return done

    async def _finished(self, rotation: Rotation, old: Token) -> Rotated | None:
        """The answer of a rotation that is over, asked for once more: its answer may have been lost.

        None where its new key does not exist any more.
        """
        if rotation.new_id is None:
            return None
        try:
            new = await self._keys.resume(await self._api.get_token(rotation.new_id))
        except NotFoundError:
            return None
        step = (
            f"Key {old.id} was replaced by key {new.row.id} at {when(int(rotation.begun))}, and nothing was done now. "
            f"To replace it once more, rotate key {new.row.id}."
        )
        return Rotated(new, old, [step], nothing_done=True)

    async def _new_key(self, old: Token) -> tuple[Created, Rotation]:
        """The new key, made now, or by a call before or beside this one; and the rotation it belongs to."""
        end = monotonic() + self._timeout * 0.8
        while True:
            rotation = await self._rotations.of(old)
            if rotation is None or rotation.done:
                raise CreateUnclearError(f"Another call has just rotated key {old.id}. Call list_api_keys to see both.")
            if rotation.new_id is not None and not rotation.under_way:
                try:
                    return await self._keys.resume(await self._api.get_token(rotation.new_id)), rotation
                except NotFoundError:
                    await self._rotations.forget_new_key(rotation.id)  # somebody deleted it: make another
            if not rotation.under_way:
                try:
                    return await self._keys.create(rotation.body, rotation=rotation.id), rotation
                except CreateUnclearError as error:
                    if error.code != "under_way":
                        text = f"{error.args[0]} Then call rotate_api_key again, which goes on with that key."
                        raise CreateUnclearError(text, code=error.code) from None
                except CometError:
                    with contextlib.suppress(JournalError):
                        await self._rotations.drop(rotation.id)  # nothing was made: the next call begins anew
                    raise
            if monotonic() > end:
                raise CreateUnclearError(
                    f"Another call is rotating key {old.id} right now. Try again in a few seconds."
                )
            await anyio.sleep(0.1)

    async def _end(self, rotation: Rotation, done: Rotated, deadline: Deadline) -> Token | None:
        """End the old key as it is now: it may have been changed since it was read."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        try:
            if rotation.old_key == "delete":
                await delete_key(self._api, key_id)
                await self._keys.forget(key_id)
                done.steps.append(f"Key {key_id} was deleted.")
                return None
            async with self._turns(key_id):
                return await self._end_working(rotation, done, deadline)
        except NotFoundError:
            done.steps.append(f"Key {key_id} is gone.")
            return None

    async def _end_working(self, rotation: Rotation, done: Rotated, deadline: Deadline) -> Token:
        """Disable the old key, or give it its grace period."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        old = await self._api.get_token(key_id)
        if rotation.old_key == "disable":
            changed = await change_key(self._api, old, writable_body(old), Status.DISABLED, deadline)
            done.steps.append(f"Key {key_id} was disabled.")
        else:
            until = rotation.old_until if old.expired_time == NEVER else min(old.expired_time, rotation.old_until)
            wanted = writable_body(old).model_copy(update={"expired_time": until})
            changed = await change_key(self._api, old, wanted, None, deadline)
            if until <= time():
                done.steps.append(f"The grace period ended at {when(until)}, so key {key_id} has expired.")
            elif changed.after.status == Status.ENABLED:
                done.steps.append(f"Key {key_id} works until {when(until)}, and ends by itself.")
                done.warnings.append(self._together(changed.after, done.new.row, until))
            else:
                done.steps.append(f"Key {key_id} is {status_word(changed.after.status)}, and expires at {when(until)}.")
        done.warnings += changed.warnings
        return changed.after

    def _together(self, old: Token, new: Token, until: int) -> str:
        """What both may spend while both work, which is more than the old one could alone."""
        if old.unlimited_quota or new.unlimited_quota:
            return f"Until {when(until)} both keys work, without a budget."
        each, sum_ = self._guard.units.usd(old.remain_quota), self._guard.units.usd(old.remain_quota + new.remain_quota)
        return f"Until {when(until)} both keys work: the old one may still spend {each}, both together {sum_}."

    def _check(self, old: Token) -> None:
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
