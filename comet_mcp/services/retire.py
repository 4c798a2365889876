"""The end of a key that was replaced: a grace period, disabled or deleted.

A grace period is the old key's own expiry: nothing has to keep running for it to end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, Status, status_word
from comet_mcp.domain.lifetimes import NEVER, when
from comet_mcp.domain.money import Units
from comet_mcp.errors import (
    CometError,
    NotFoundError,
    UnclearError,
)
from comet_mcp.journal.operations import OldKeyEnd
from comet_mcp.services.core import Core
from comet_mcp.services.delete import Deleter
from comet_mcp.services.finding import Created
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.services.reading import read_again
from comet_mcp.services.update import Changer


@dataclass(frozen=True, slots=True)
class Retirement:
    """How the old key ends: it expires at `until` (Unix seconds), is disabled, or deleted."""

    end: OldKeyEnd
    until: int

    def changes(self, old: Key) -> bool:
        """Whether the key would end sooner by this than it does."""
        if self.end == "delete":
            return True
        if old.status != Status.ENABLED:
            return False
        return self.end == "disable" or old.expired_time == NEVER or self.until < old.expired_time


@dataclass(slots=True)
class Rotated:
    """The new key, what is left of the old one (None where it is deleted), and each step in a sentence.

    `last_seen` is the old key as it was read last, also where it is deleted by now; None where it was gone before.
    `given` are the quota units that the new key was given for what the old one had left, and `nothing_done` tells that
    an earlier call had done it all.
    """

    new: Created
    old: Key | None
    given: int
    last_seen: Key | None = None
    old_is_known: bool = True
    """Whether `old` is how the key is now: False where the answer to its end was lost."""
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nothing_done: bool = False
    leaves_old: bool = False
    """Whether programs somewhere still get the old value, or the old key could not be ended."""

    @property
    def unfinished(self) -> bool:
        """Whether something is left to do, which the warnings say."""
        return self.leaves_old or self.new.saved is None


class Retirer:
    """Ends the keys of one account that were replaced."""

    def __init__(self, core: Core, changer: Changer, deleter: Deleter, units: Units) -> None:
        self._api, self._clock = core.api, core.clock
        self._changer = changer
        self._deleter = deleter
        self._units = units

    async def settled(
        self, old: Key, deadline: Deadline, begin: Callable[[], Awaitable[None]]
    ) -> tuple[Key, list[str]]:
        """The old key as it was meant to be: a lost change that came late may have undone what a new one must not get.

        Args:
            old: The key as it was read.
            deadline: When it has to be done.
            begin: Called before the key is corrected.

        Raises:
            UnsentError, RefusedError, UnclearError: It can't be settled; no new key may be made.
        """
        async with self._changer.holding(old.id, deadline, begin) as hold:
            if not hold.open:
                return old, []
            read = await read_again(self._api, old.id, old.created_time, seconds=deadline.left)
            return await self._changer.settle_open(hold, read, deadline)

    async def end(self, retirement: Retirement, done: Rotated, deadline: Deadline) -> bool:
        """End the old key; what fails is told, for the new key exists. Returns whether it has ended."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        again = "Call rotate_api_key again to finish that; it makes no third key."
        try:
            done.old = await self._retire(retirement, done, deadline)
        except UnclearError as error:
            done.old_is_known = False
            if error.code == "update_not_corrected":  # it has ended, with another budget than it should have
                done.warnings.append(str(error))
                return True
            done.warnings.append(f"Whether the old key {key_id} still works is not known: {error} {again}")
        except CometError as error:
            done.warnings.append(f"Both keys work now: the old key {key_id} could not be ended: {error} {again}")
        else:
            return True
        done.leaves_old = True
        return False

    async def _retire(self, retirement: Retirement, done: Rotated, deadline: Deadline) -> Key | None:
        """End the old key as it is now: it may have been changed since it was read."""
        assert done.old is not None  # noqa: S101 - set by the caller
        key_id = done.old.id
        try:
            async with self._changer.holding(key_id, deadline) as hold:
                read = await read_again(self._api, key_id, done.old.created_time, seconds=deadline.left)
                old, said = await self._changer.settle_open(hold, read, deadline)
                done.warnings += said
                done.last_seen = old
                if retirement.end == "delete":
                    deleted = await self._deleter.delete(hold, old, deadline)
                    done.steps.append(" ".join(filter(None, [f"Key {key_id} was deleted.", *deleted.sentences])))
                    await self._even_out(old, done, deadline)
                    return None
                wanted, status = writable_spec(old), None
                if retirement.end == "disable":
                    status = Status.DISABLED
                else:
                    until = retirement.until if old.expired_time == NEVER else min(old.expired_time, retirement.until)
                    wanted = wanted.model_copy(update={"expired_time": until})
                changed = await self._changer.change(hold, KeyChange(old, wanted, status), deadline)
        except NotFoundError:
            gone = await self._deleter.gone(key_id, deadline, done.old)
            done.steps.append(f"Key {key_id} is gone. {gone.forgotten}".strip())
            return None
        done.warnings += changed.warnings
        done.last_seen = changed.after
        if retirement.end == "disable":
            done.steps.append(f"Key {key_id} was disabled.")
            await self._even_out(changed.after, done, deadline)
        else:
            self._say_grace(changed.after, done)
        return changed.after

    def _say_grace(self, old: Key, done: Rotated) -> None:
        until = old.expired_time
        if until <= self._clock.now():
            done.steps.append(f"Key {old.id} expired at {when(until)}.")
        elif old.status == Status.ENABLED:
            done.steps.append(f"Key {old.id} works until {when(until)}, and ends by itself.")
            done.warnings.append(self._together(old, done.new.row, until))
        else:
            done.steps.append(f"Key {old.id} is {status_word(old.status)}, and expires at {when(until)}.")

    async def _even_out(self, old: Key, done: Rotated, deadline: Deadline) -> None:
        """Give the new key what the old one had left at its end: calls have moved it since the new one was made."""
        new = done.new.row
        moved = max(old.remain_quota, 0) - done.given
        if old.unlimited_quota or new.unlimited_quota or not moved or new.total != done.given:
            return
        try:
            async with self._changer.holding(new.id, deadline) as hold:
                read = await read_again(self._api, new.id, new.created_time, seconds=deadline.left)
                row, said = await self._changer.settle_open(hold, read, deadline)
                left = max(row.remain_quota + moved, 0)
                wanted = writable_spec(row).model_copy(update={"remain_quota": left})
                changed = await self._changer.change(hold, KeyChange(row, wanted), deadline)
        except CometError as error:
            units = self._units
            done.warnings.append(
                f"Calls of the old key moved {units.usd(abs(moved))} of its budget while it was replaced, and the new "
                f"key's could not be corrected by that: {error}"
            )
            return
        done.new.row = changed.after
        done.warnings += said + changed.warnings

    def _together(self, old: Key, new: Key, until: int) -> str:
        """What both may spend while both work, which is more than the old one could alone."""
        if old.unlimited_quota or new.unlimited_quota:
            return f"Until {when(until)} both keys work, without a budget."
        units = self._units
        each, sum_ = units.exact(old.remain_quota), units.exact(old.remain_quota + new.remain_quota)
        return f"Until {when(until)} both keys work: the old one may still spend {each}, both together {sum_}."
