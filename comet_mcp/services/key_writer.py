"""Writing one key whole and reading it again, until it has in all what it is meant to have.

An update whose answer was lost may still be carried out, however the key looks now: that is told as unknown, never as
not made. A proxy can refuse what the API behind it has done, so a refusal is believed after a look at the key.
"""

from __future__ import annotations

from typing import Any

from comet_mcp.api.client import CometAPI
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.domain.money import Units
from comet_mcp.errors import APIError, NotFoundError, RefusedError, UnclearError
from comet_mcp.services.reading import read_again

_CORRECTIONS = 3
"""Writes that may follow the first."""


class KeyWriter:
    """Writes the keys of one account."""

    def __init__(self, api: CometAPI, units: Units) -> None:
        self._api = api
        self.units = units

    async def write(
        self,
        base: Key,
        row: Key,
        total: int | None,
        deadline: Deadline,
        *,
        corrects: bool = True,
        status_only: bool = False,
    ) -> Key:
        """Write the row so that the key has that total, and correct what moved between reading and writing.

        Args:
            base: The key as it was read last.
            row: The fields that it shall have.
            total: What it is meant to have in all; None where it has no budget.
            deadline: When it has to be done.
            corrects: Whether a total that is apart is written again.
            status_only: For a status, which releases change apart from the rest.
        """
        after = await self._sent(base, _with_total(base, row, total), deadline, status_only=status_only)
        for _ in range(_CORRECTIONS if corrects else 0):
            if total is None or after.unlimited_quota or has_total(after, total):
                break
            if not self.explains(after.total - total, base.used_quota, after.used_quota):
                break  # somebody else has written it: what they want is not ours to undo
            base = after
            try:
                after = await self._sent(base, _with_total(base, base, total), deadline)
            except NotFoundError:
                raise
            except APIError as error:
                units = self.units
                raise UnclearError(
                    f"The change of key {row.id} was made: do not send it again. But calls of the key were under way, "
                    f"and its budget is {units.usd(abs(base.total - total))} too "
                    f"{'high' if base.total > total else 'low'}. The write that corrects it failed, or its answer was "
                    f"lost ({error.code}). Call get_api_key with id {row.id} in a minute, then update_api_key with the "
                    "name that it has: each change of the key corrects that too.",
                    code="update_not_corrected",
                    request_id=error.request_id,
                ) from None
        return after

    async def set_status(self, row: Key, status: Status, total: int | None, deadline: Deadline) -> Key:
        """Set the status by one call that does it on every release, as far as the API allows it.

        Documented: an update minds the status. Measured on gateways: only with `?status_only=1`, which then changes
        nothing else. A refusal is believed only where the status is not there either.
        """
        wanted = row.model_copy(update={"status": status})
        try:
            return await self.write(row, wanted, total, deadline, status_only=True)
        except NotFoundError:
            raise
        except RefusedError:
            after = await self._read_again(row, deadline)
            if after.status != status:
                raise
            return after

    async def _sent(self, base: Key, row: Key, deadline: Deadline, *, status_only: bool = False) -> Key:
        """Write, and return what is there then: an unclear answer is judged by that.

        Raises:
            UnsentError, RefusedError: Nothing was written.
            UnclearError: Whether it was is not known.
        """
        lost: UnclearError | None = None
        try:
            await self._api.update_token(row, status_only=status_only, seconds=deadline.left * 0.5)
        except UnclearError as error:
            lost = error
        except NotFoundError:
            raise
        except RefusedError as refusal:
            # a proxy can refuse what the API behind it has done
            after = await self._read_again(base, deadline)
            if _has_arrived(base, row, after):
                return after
            if not _may_have_arrived(base, row, after):
                raise
            raise UnclearError(
                f"The change of key {row.id} was refused ({refusal.code}), but the key has changed meanwhile: it is "
                f"not known whether the API made this change, or another one. Call get_api_key with id {row.id} before "
                "you repeat it.",
                code="update_outcome_unknown",
                request_id=refusal.request_id,
            ) from None
        after = await self._read_again(base, deadline)
        if lost is not None and not _has_arrived(base, row, after):
            raise UnclearError(
                f"The change of key {row.id} was sent, its answer was lost ({lost.code}), and the change is not seen "
                f"yet: the API may still make it. Call get_api_key with id {row.id} in a minute before you repeat it.",
                code="update_outcome_unknown",
                request_id=lost.request_id,
            )
        return after

    async def _read_again(self, base: Key, deadline: Deadline) -> Key:
        """Read a key after a write. It leaves time for a correction. Raises NotFoundError, or UnclearError."""
        key_id = base.id
        try:
            return await read_again(self._api, key_id, base.created_time, seconds=deadline.left * 0.6)
        except NotFoundError:
            raise
        except APIError as error:
            raise UnclearError(
                f"The change of key {key_id} was sent, but the key could not be read again ({error.code}), so it is "
                f"not known whether it has changed. Call get_api_key with id {key_id} before you repeat it.",
                code="update_outcome_unknown",
                request_id=error.request_id,
            ) from None

    def explains(self, apart: int, used_before: int, used: int) -> bool:
        """Whether calls of the key can have moved its total so far apart while it was written.

        What was used meanwhile is known; what calls reserved and gave back is not, and taken for a dollar at most.
        """
        return abs(apart) <= abs(used - used_before) + self.units.per_usd


def writable_spec(row: Key) -> KeySpec:
    """What leaves a key as it is. One that spent more than it had can't be written back: 0 stands for it."""
    spec = row.spec
    return spec if spec.unlimited_quota else spec.model_copy(update={"remain_quota": max(spec.remain_quota, 0)})


def plain(spec: KeySpec) -> dict[str, Any]:
    """The nine fields as a record has them: no addresses are ""."""
    return spec.model_dump() | {"allow_ips": spec.allow_ips or ""}


def has_total(row: Key, total: int) -> bool:
    """Whether a key has that in all. One that has spent more has nothing left then, and can have no less."""
    return row.total == total or row.remain_quota == left_of(total, row)


def left_of(total: int, row: Key) -> int:
    """What has to remain, in quota units, for a key to have that in all, by what it has used."""
    return max(total - row.used_quota, 0)


def _with_total(base: Key, row: Key, total: int | None) -> Key:
    """The row with what has to remain for that total, by what is used now."""
    if total is None:
        return row.model_copy(update={"remain_quota": max(row.remain_quota, 0)})
    return row.model_copy(update={"remain_quota": left_of(total, base)})


def _has_arrived(base: Key, row: Key, after: Key) -> bool:
    """Whether a key is as it was written. What else has changed may be an earlier write, which came late."""
    if row.status != base.status:
        return after.status == row.status
    if differing := _differing(base, row):
        return not _differing(row, after) & differing
    # what is used between reading and writing comes on top of it
    meant, spent = row.remain_quota + base.used_quota, max(after.used_quota - base.used_quota, 0)
    apart = max(meant - after.total, after.total - meant - spent, 0)
    return apart < abs(after.total - base.total)


def _may_have_arrived(base: Key, row: Key, after: Key) -> bool:
    """Whether any of what was to change has changed, if not as it was written. Spending is no change."""
    if row.status != base.status:
        return after.status == row.status
    is_budget_other = row.remain_quota != base.remain_quota and after.total != base.total
    return is_budget_other or bool(_differing(base, row) & _differing(base, after))


def _differing(one: Key, other: Key) -> set[str]:
    """The fields in which two differ and which only a write changes; a budget is not among them."""
    fields, others = plain(one.spec), plain(other.spec)
    return {name for name in fields if name != "remain_quota" and fields[name] != others[name]}
