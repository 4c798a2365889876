"""Changing a key so that exactly what was named changes, while programs use it.

The API's update resets every field that is left out, and 0 means another thing there than on create. So the key is
read, changed, written whole, and read again; only what is there then is believed. An update whose answer was lost may
still be carried out, however the key looks now: that is told as unknown, never as not made.

Only the sum of what remains and what is used is constant while a key is in use (measured): a call reserves units at
its start and gives some back at its end. So what a write means is that sum, the key's total. It is in the journal
before the write, and each correction aims at it, never at the last reading: errors can't add up. One key is changed by
one server at a time, by a lease in the journal. A write that was left open is looked for before the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio

from comet_mcp.concurrency import Deadline
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, Status, status_word
from comet_mcp.domain.money import Units
from comet_mcp.errors import NotFoundError, RefusedError, UnclearError, UnsentError
from comet_mcp.journal.operations import State, Target
from comet_mcp.services.change_journal import ChangeJournal
from comet_mcp.services.core import Core
from comet_mcp.services.hold import Hold
from comet_mcp.services.key_writer import KeyWriter, has_total, left_of, plain, writable_spec
from comet_mcp.services.lost_changes import LostChanges, given_again


@dataclass(slots=True)
class Changed:
    """A key before and after. `warnings` tell where it is not as it was asked for."""

    before: Key
    after: Key
    warnings: list[str] = field(default_factory=list)


class Changer:
    """Changes the keys of one account."""

    def __init__(self, core: Core, changes: ChangeJournal, units: Units) -> None:
        self._units = units
        self._journal = changes
        self._writer = KeyWriter(core.api, self._units)
        self._lost = LostChanges(self._journal, self._writer, core.clock, self.carry_out)
        self.holding = self._journal.holding

    async def change(
        self,
        hold: Hold,
        change: KeyChange,
        deadline: Deadline,
        *,
        exact: bool = False,
        uncounted: list[str] | None = None,
    ) -> Changed:
        """Write what is wanted, and the status where one is given, over the key that was read under the hold.

        Args:
            hold: The key's.
            change: The key as it was read, and as it is to be.
            deadline: When it has to be done: it can't be cancelled on the way.
            exact: `remain_quota` is what the key shall have left from now on, whatever it spends meanwhile. Else it
                is the old one plus what is added, and what is spent meanwhile comes off it.
            uncounted: Gets a warning where the journal could not count the added budget.

        Raises:
            PolicyError: The added budget would exceed a sum. Nothing was sent.
            JournalError: It can't be counted, and a sum is limited. Nothing was sent.
            UnsentError, RefusedError: Nothing was changed.
            UnclearError: What was changed is not known; the next change of the key settles it.
        """
        before, wanted = change.before, change.wanted
        total = None if wanted.unlimited_quota else self._total(hold, change, exact=exact)
        deadline.require_time_to_write()  # reading the key may have taken most of it
        target = Target(
            total,
            before.total,
            before.used_quota,
            status=before.status if change.status is None else change.status,
            added=change.added,
            again=given_again(before, total),
        )
        after = await self.carry_out(hold, change, target, deadline, exact=exact, uncounted=uncounted)
        surprises = self._surprises(change, total, after, exact=exact)
        return Changed(before, after, surprises if exact else [*self._made_good(change, total, after), *surprises])

    async def settle_open(self, hold: Hold, row: Key, deadline: Deadline) -> tuple[Key, list[str]]:
        """Settle the changes that were left open, by the key as it was read under the hold (as LostChanges.settle)."""
        return await self._lost.settle(hold, row, deadline)

    async def carry_out(
        self,
        hold: Hold,
        change: KeyChange,
        target: Target,
        deadline: Deadline,
        *,
        exact: bool = False,
        uncounted: list[str] | None = None,
    ) -> Key:
        """Note a change, write it, and note what came of it. Returns the key as it is then. Raises as `change`."""
        with anyio.CancelScope(shield=True):
            operation = await self._journal.begin(hold, change, target, uncounted if uncounted is not None else [])
            try:
                after = await self._written(change, target.total, deadline, exact=exact)
            except UnclearError:
                await self._journal.note(hold, operation, State.OUTCOME_UNKNOWN)
                raise
            except (UnsentError, RefusedError):
                await self._journal.not_done(hold, operation, change.before, deadline)
                raise
            await self._journal.settle(hold, operation, after, target.total)
        return after

    def _total(self, hold: Hold, change: KeyChange, *, exact: bool) -> int:
        """What the change means the key to have in all. A drift that earlier writes left is made good with it."""
        before, wanted = change.before, change.wanted
        if exact or before.unlimited_quota:
            return before.used_quota + wanted.remain_quota
        meant = hold.meant(before)
        total = before.total if meant is None else meant
        return total + change.moved

    async def _written(self, change: KeyChange, total: int | None, deadline: Deadline, *, exact: bool) -> Key:
        """Write the fields and then the status, as far as they differ. Returns the key as it is then."""
        before, wanted, status = change.before, change.wanted, change.status
        after = before
        drifted = total is not None and not exact and total != before.total and not wanted.unlimited_quota
        if wanted != writable_spec(before) or drifted:
            row = before.model_copy(update=plain(wanted))
            try:
                after = await self._writer.write(before, row, total, deadline, corrects=not exact)
            except UnclearError as error:
                raise error if status is None else _with(error, "The status was not sent.") from None
            if exact and total is not None:
                total = after.total  # from now on, what is spent comes off it
        if status is not None and after.status != status:
            try:
                after = await self._writer.set_status(after, status, total, deadline)
            except NotFoundError:
                raise
            except (UnsentError, RefusedError):
                if after is before:
                    raise
                # the fields are written, which has to be told; what is there tells of the status
            except UnclearError as error:
                if after is before:
                    raise
                raise _with(error, "The other fields were written before: do not send them again.") from None
        return after

    def _surprises(self, change: KeyChange, total: int | None, after: Key, *, exact: bool) -> list[str]:
        """Where the key differs from what was written: another change at the same moment, or the API's own idea."""
        before, wanted, status = change.before, change.wanted, change.status
        found = [
            f"{name} is {_shown(stored)} now, though {_shown(sent)} was written: somebody else changed the key at the "
            "same moment, or the API changed the value."
            for name, sent in plain(wanted).items()
            if name != "remain_quota" and (stored := getattr(after, name)) != sent
        ]
        if lost := [name for name in before.extra if after.extra.get(name) != before.extra[name]]:
            found.append(
                f"The API did not keep {', '.join(lost)} of the key as it was: look at it in the API's console."
            )
        if before.remain_quota < 0 == after.remain_quota and not before.unlimited_quota:
            found.append(
                f"The key had spent {self._units.usd(-before.remain_quota)} more than its budget. The API takes no "
                "budget below 0, so remain_quota is 0 now: the key has nothing to spend either way."
            )
        if total is not None and not after.unlimited_quota:
            found += self._drift(total, before, after, exact=exact)
        if status is not None and after.status != status:
            found.append(f"The status is still {status_word(after.status)}: the API did not take the change.")
        elif status is None and after.status in (Status.EXPIRED, Status.EXHAUSTED) and wanted != writable_spec(before):
            found.append(
                f'The status is still {status_word(after.status)}: send status "enabled" too if it shall work again.'
            )
        return found

    def _made_good(self, change: KeyChange, total: int | None, after: Key) -> list[str]:
        """That the budget is not what was asked for, because an earlier change had left it apart from what it meant."""
        before = change.before
        if total is None or before.unlimited_quota or after.unlimited_quota or after.total != total:
            return []
        apart = before.total + change.moved - total
        if not apart:
            return []
        said = (
            f"The key's budget was {self._units.usd(abs(apart))} too {'high' if apart > 0 else 'low'} since an earlier "
            f"change, which was made good: {self._units.usd(after.remain_quota)} is left now."
        )
        return [said]

    def _drift(self, total: int, before: Key, after: Key, *, exact: bool) -> list[str]:
        """What calls in flight have moved, where it could not be made good."""
        if has_total(after, total):
            return []
        apart, units = after.total - total, self._units
        if not self._writer.explains(apart, before.used_quota, after.used_quota):
            right = left_of(total, after)
            said = f"remain_quota is {after.remain_quota} now, where {right} was to be expected"
            return [f"{said}: somebody else changed it at the same moment."]
        if exact:
            said = (
                f"The key is in use: calls that are under way may still move up to {units.usd(abs(apart))} of what it "
                "has left."
            )
            return [said]
        said = (
            f"The key is in use: calls that are under way moved {units.usd(abs(apart))}, by which its budget is too "
            f"{'high' if apart > 0 else 'low'} now. Its next change makes that good."
        )
        return [said]


def _with(error: UnclearError, more: str) -> UnclearError:
    return UnclearError(f"{error.args[0]} {more}", code=error.code, request_id=error.request_id)


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
