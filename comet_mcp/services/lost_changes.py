"""Changes whose answer was lost: what came of them is settled by the key as it is read before its next change.

A write whose answer was lost may be carried out minutes later (seen: 75 seconds), after later changes of the key. It is
a full write: it undoes these, and gives again what the key has spent meanwhile. Nobody can hold it back, so what it may
give is counted as given while it may come, and what it has undone is written again by the next change of the key.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from comet_mcp.clock import Clock
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.errors import CometError, UnclearError
from comet_mcp.journal.operations import Operation, State, Target
from comet_mcp.services.change_journal import ChangeJournal
from comet_mcp.services.hold import Hold
from comet_mcp.services.key_writer import KeyWriter, has_total, left_of, plain, writable_spec
from comet_mcp.services.matching import LATEST

CarryOut = Callable[[Hold, KeyChange, Target, Deadline], Awaitable[Key]]
"""Notes a change in the journal, writes it, and notes what came of it."""


class LostChanges:
    """What became of the changes of one account's keys that were left open."""

    def __init__(self, journal: ChangeJournal, writer: KeyWriter, clock: Clock, carry_out: CarryOut) -> None:
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._carry_out = carry_out

    async def settle(self, hold: Hold, row: Key, deadline: Deadline) -> tuple[Key, list[str]]:
        """Settle what was left open, by the key as it was read under the hold.

        Returns:
            The key as it is now, and what is to be said of it.

        Raises:
            UnclearError: It can't be settled; no other change may follow.
        """
        for lost in hold.open:
            if lost.key_created != row.created_time:  # that key's id is another one's now
                await self._journal.note_gone(hold, lost)
        said: list[str] = []
        recent = {change.id for change in hold.recent}
        if shown := next((change for change in reversed(hold.recent) if _shows(change, row)), None):
            await self._journal.settle(hold, shown, row, _target(shown).total)
        for lost in hold.open:
            if lost.id not in recent:
                row, more = await self._look_for(hold, lost, row, deadline)
                said += more
        left = [change for change in hold.open if change.id in recent]
        if left and shown is None:
            # of equal ones it is the last
            nearest = min(reversed(left), key=lambda change: _apart(_target(change), row))
            left.remove(nearest)
            row, more = await self._settle_recent(hold, nearest, row, deadline)
            said += more
        for lost in left:
            said += await self._not_seen(hold, lost, row)
        return row, list(dict.fromkeys(said))

    async def _settle_recent(self, hold: Hold, lost: Operation, row: Key, deadline: Deadline) -> tuple[Key, list[str]]:
        """Settle a last change. Its total is aimed at, if the calls of the key can explain how far the key is apart.

        What is further apart, somebody else has written.
        """
        target = _target(lost)
        if _has_total(target, row) or row.total in (target.total_before, target.seen):
            return row, await self._not_seen(hold, lost, row)
        assert target.total is not None  # noqa: S101 - no key differs from none
        apart = row.total - target.total
        if not self._writer.explains(apart, target.used_before, row.used_quota):
            said = f"The budget of key {row.id} was changed by somebody else since its last change here."
            if self._may_come(lost):
                await self._journal.note(hold, lost, State.OUTCOME_UNKNOWN, target._replace(seen=row.total))
            else:
                await self._journal.settle(hold, lost, row, None)
            return row, [said]
        corrected = await self._corrected(hold, KeyChange(row, _with_total(row, target.total)), target, deadline)
        if target.seen is None and self._may_come(lost):  # its first write came, or was it a correction that is lost?
            await self._journal.note(hold, lost, State.OUTCOME_UNKNOWN, target._replace(seen=row.total))
        else:
            await self._journal.note(hold, lost, State.SETTLED, target._replace(total=None), gave=max(apart, 0))
        units = self._writer.units
        said = (
            f"An earlier change of key {row.id} was left open: its budget was {units.usd(abs(apart))} too "
            f"{'high' if apart > 0 else 'low'}, and was corrected."
        )
        return corrected, [said]

    async def _look_for(self, hold: Hold, lost: Operation, row: Key, deadline: Deadline) -> tuple[Key, list[str]]:
        """Look whether a lost change has undone the later ones, and make these again where it has."""
        later = hold.settled_after(lost)
        if later is None or not later.has_spec or not self._has_undone(lost, later, row):
            return row, await self._not_seen(hold, lost, row)
        old, new = _fields(lost.spec), _fields(later.spec)
        target, meant = _target(lost), _target(later)
        total = meant.seen if meant.total is None else meant.total
        again = {name: new[name] for name in new if old[name] != new[name]}
        wanted = row.spec.model_copy(update=again)
        if not wanted.unlimited_quota and total is not None:
            wanted = _with_total(row.model_copy(update=again), total)
        is_other = row.status != meant.status and meant.status in (Status.ENABLED, Status.DISABLED)
        status = Status(meant.status) if is_other and meant.status is not None else None
        goal = Target(None if wanted.unlimited_quota else total, row.total, row.used_quota)
        restored = await self._corrected(hold, KeyChange(row, wanted, status), goal, deadline)
        gave = 0 if row.unlimited_quota or meant.seen is None else max(row.total - meant.seen, 0)
        await self._journal.note(hold, lost, State.SETTLED, target._replace(total=None), gave=gave)
        said = (
            f"An earlier change of key {row.id}, whose answer was lost, was carried out late and undid later ones. The "
            "key was written again as the last of them left it; send the earlier one again if it is still wanted."
        )
        return restored, [said]

    async def _corrected(self, hold: Hold, change: KeyChange, goal: Target, deadline: Deadline) -> Key:
        """The key once it is as it was meant to be. That gives nothing which is not counted already."""
        deadline.require_time_to_write()
        if hold.begin is not None:
            await hold.begin()
        row = change.before
        goal = goal._replace(
            seen=None,
            status=row.status if change.status is None else change.status,
            added=0,
            again=given_again(row, goal.total),
        )
        try:
            return await self._carry_out(hold, change, goal, deadline)
        except UnclearError as error:
            raise UnclearError(
                f"An earlier change of key {row.id} was left open, and it could not be made out what came of it. What "
                f"is asked for now was not sent. Call get_api_key with id {row.id} in a minute, then repeat it.",
                code="update_outcome_unknown",
                request_id=error.request_id,
            ) from None

    async def _not_seen(self, hold: Hold, lost: Operation, row: Key) -> list[str]:
        """What is to be said of a change that the key does not show. It stays open as long as it may come."""
        target = _target(lost)
        if not self._may_come(lost):
            state = State.SETTLED if target.total in (None, row.total) else State.NOT_DONE
            await self._journal.note(hold, lost, state, target._replace(seen=row.total))
            return []
        if target.seen != row.total:
            await self._journal.note(hold, lost, State.OUTCOME_UNKNOWN, target._replace(seen=row.total))
        said = (
            f"An earlier change of key {row.id}, whose answer was lost, may still be carried out and undo this one, "
            f"its budget too. Call get_api_key with id {row.id} in two minutes, and repeat this where it does not show."
        )
        return [said]

    def _may_come(self, lost: Operation) -> bool:
        return self._clock.now() - lost.begun <= LATEST

    def _has_undone(self, lost: Operation, later: Operation, row: Key) -> bool:
        """Whether the key is as a lost change writes it, and no more as a later one did.

        A status alone tells only that a key was enabled again: one that is disabled may be a person's.
        """
        old, new, now = _fields(lost.spec), _fields(later.spec), _fields(row.spec)
        target, meant = _target(lost), _target(later)
        if row.status == target.status == Status.ENABLED and meant.status == Status.DISABLED:
            return True
        if differing := [name for name in new if old[name] != new[name]]:
            return all(now[name] == old[name] for name in differing)
        if target.total is None or row.unlimited_quota or row.total == meant.seen:
            return False
        # what it has left was written over what was used until then
        spent = row.total - max(target.total, target.used_before)
        return spent >= -self._writer.units.per_usd and self._writer.explains(
            max(spent, 0), target.used_before, row.used_quota
        )


@contextlib.contextmanager
def telling_first(done: list[str]) -> Iterator[None]:
    """A context whose errors end with what the call had done before: "nothing was sent" is not all of it then."""
    try:
        yield
    except CometError as error:
        if done:
            error.args = (f"{error.args[0]} This call did something before that, though. {' '.join(done)}",)
        raise


def given_again(before: Key, total: int | None) -> int:
    """The most quota units that a write gives again if it comes late, beside what it adds: what of them was left.

    It sets what remains, whatever was spent since the key was read.
    """
    if total is None or before.unlimited_quota:
        return 0
    return max(min(total, before.total) - before.used_quota, 0)


def _shows(lost: Operation, row: Key) -> bool:
    """Whether a key is in everything as a change meant it to be."""
    target = _target(lost)
    return _has_total(target, row) and target.status in (None, row.status) and _fields(row.spec) == _fields(lost.spec)


def _has_total(target: Target, row: Key) -> bool:
    """Whether a key has in all what it was meant to have, where that has a meaning."""
    return target.total is None or row.unlimited_quota or has_total(row, target.total)


def _apart(target: Target, row: Key) -> float:
    """How far a key's total is from what a write makes of it, now or late, when it gives again what was spent."""
    if target.total is None:
        return math.inf
    late = target.total + max(row.used_quota - target.used_before, 0)
    return max(target.total - row.total, row.total - late, 0)


def _fields(spec: KeySpec) -> dict[str, Any]:
    """The fields that only a write changes."""
    return {name: value for name, value in plain(spec).items() if name != "remain_quota"}


def _with_total(row: Key, total: int) -> KeySpec:
    return writable_spec(row).model_copy(update={"remain_quota": left_of(total, row)})


def _target(operation: Operation) -> Target:
    assert operation.target is not None  # noqa: S101 - every change has one
    return operation.target
