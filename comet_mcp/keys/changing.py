"""Changing a key so that exactly what was named changes.

The API's update resets every field that is left out, and 0 means another thing there than on create. So the key is
read, changed, written whole, and read again; only what is there then is believed. An update whose answer was lost may
still be carried out, however the key looks now: that is told as unknown, never as not made.

A key that is in use spends while this goes on. Writing back the quota that was read would give back what was spent
in between, so `used_quota` of the last reading is compared with the first, and the write is corrected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.api.pace import WRITE_CALLS
from comet_mcp.domain.key import Key, KeySpec, Status, status_word
from comet_mcp.errors import APIError, NotFoundError, RefusedError, UnclearError, UnsentError
from comet_mcp.keys.deadline import Deadline

_CORRECTIONS = 3


@dataclass(slots=True)
class Changed:
    """A key before and after. `warnings` tell where it is not as it was asked for."""

    before: Key
    after: Key
    warnings: list[str] = field(default_factory=list)


@contextmanager
def able_to_change(api: CometAPI, deadline: Deadline) -> Iterator[None]:
    """A context for a change, which has the time and the calls of the API that all of it takes.

    Raises:
        UnsentError: Too little time is left.
        RateLimitedError: Too few calls are left. In both cases nothing was sent.
    """
    deadline.require_time_to_write()
    with api.room(WRITE_CALLS):
        yield


async def change_key(
    api: CometAPI,
    before: Key,
    wanted: KeySpec,
    status: Status | None,
    deadline: Deadline,
    *,
    quota_named: bool = False,
) -> Changed:
    """Write `wanted`, and the status where one is given, over the key that was read as `before`.

    Args:
        api: The account's API.
        before: The key as it was read.
        wanted: All nine fields as they are to be.
        status: The status that is asked for, None to leave it.
        deadline: When it has to be done: it can't be cancelled on the way.
        quota_named: `wanted.remain_quota` is what the key shall have left from now on, whatever it spends meanwhile.
            Else it is the old one plus what is added, and what is spent meanwhile comes off it.

    Raises:
        UnsentError, RefusedError: Nothing was changed.
        UnclearError: What was changed is not known, or quota that was spent meanwhile was given back on top.
    """
    after = before
    # a write without its correction would give quota away
    with able_to_change(api, deadline), anyio.CancelScope(shield=True):
        if wanted != writable_body(before):
            row = before.model_copy(update=_plain(wanted))
            try:
                after = await _write(api, before, row, deadline, spent_counts=not quota_named)
            except UnclearError as error:
                raise error if status is None else _with(error, "The status was not sent.") from None
        if status is not None and after.status != status:
            try:
                after = await _write_status(api, after, status, deadline)
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
    return Changed(before, after, _surprises(before, wanted, status, after, quota_named=quota_named))


async def delete_key(api: CometAPI, key_id: int, deadline: Deadline) -> bool:
    """Delete a key. False where the API's answer was lost and the key is gone all the same.

    Raises:
        NotFoundError: There was none.
        UnsentError, RefusedError: It is still there.
        UnclearError: Whether it is, is not known.
    """
    with able_to_change(api, deadline):
        try:
            await api.delete_token(key_id, seconds=deadline.left * 0.6)
        except NotFoundError:
            raise
        except APIError as error:
            try:
                await api.get_token(key_id, seconds=deadline.left)
            except NotFoundError:
                return False
            except APIError:
                raise error from None  # of the two it is the one that says what may have happened to the key
            raise
    return True


def writable_body(row: Key) -> KeySpec:
    """The body that leaves a key as it is. One that spent more than it had can't be written back: 0 stands for it."""
    body = row.spec
    return body if body.unlimited_quota else body.model_copy(update={"remain_quota": max(body.remain_quota, 0)})


async def _write(
    api: CometAPI,
    base: Key,
    row: Key,
    deadline: Deadline,
    *,
    spent_counts: bool = True,
    status_only: bool = False,
) -> Key:
    """Write the whole row, made from `base`, and return what is there then, corrected for what was spent between."""
    after = await _written(api, base, row, deadline, status_only=status_only)
    for _ in range(_CORRECTIONS if spent_counts and not row.unlimited_quota else 0):
        spent = after.used_quota - base.used_quota
        right = max(row.remain_quota - spent, 0)
        if spent <= 0 or after.remain_quota <= right:
            break
        base, row = after, after.model_copy(update={"remain_quota": right})
        try:
            after = await _written(api, base, row, deadline)
        except NotFoundError:
            raise
        except APIError as error:
            raise UnclearError(
                f"The change of key {row.id} was made: do not send it again. But the key spent while it was changed, "
                f"and {base.remain_quota - right} quota units of that were given back to it on top. The write that "
                f"takes them away again failed, or its answer was lost ({error.code}). Call get_api_key with id "
                f"{row.id} in a minute, and set remain_quota to what the key shall still be able to spend.",
                code="update_not_corrected",
                request_id=error.request_id,
            ) from None
    return after


async def _written(api: CometAPI, base: Key, row: Key, deadline: Deadline, *, status_only: bool = False) -> Key:
    """Write, and return what is there then: an unclear answer is judged by that.

    Raises:
        UnsentError, RefusedError: Nothing was written.
        UnclearError: Whether it was is not known.
    """
    lost: UnclearError | None = None
    try:
        await api.update_token(row, status_only=status_only, seconds=deadline.left * 0.5)
    except UnclearError as error:
        lost = error
    after = await _read_again(api, row.id, deadline)
    if lost is not None and not _has_arrived(base, row, after):
        raise UnclearError(
            f"The change of key {row.id} was sent, its answer was lost ({lost.code}), and the change is not seen yet: "
            f"the API may still make it. Call get_api_key with id {row.id} in a minute before you repeat it.",
            code="update_outcome_unknown",
            request_id=lost.request_id,
        )
    return after


async def _read_again(api: CometAPI, key_id: int, deadline: Deadline) -> Key:
    """Read a key after a write. It leaves time for a correction. Raises NotFoundError, or UnclearError for the rest."""
    try:
        return await api.get_token(key_id, seconds=deadline.left * 0.6)
    except NotFoundError:
        raise
    except APIError as error:
        raise UnclearError(
            f"The change of key {key_id} was sent, but the key could not be read again ({error.code}), so it is not "
            f"known whether it has changed. Call get_api_key with id {key_id} before you repeat it.",
            code="update_outcome_unknown",
            request_id=error.request_id,
        ) from None


def _has_arrived(base: Key, row: Key, after: Key) -> bool:
    """Whether any of what was to change has changed. Spending is no change, nor what somebody else changes."""
    if row.status != base.status:
        return after.status == row.status
    spent = after.used_quota - base.used_quota
    before = base.model_copy(update={"remain_quota": base.remain_quota - spent})
    old, new, now = (_plain(key.spec) for key in (before, row, after))
    return any(new[name] != old[name] != now[name] for name in new)


async def _write_status(api: CometAPI, row: Key, status: Status, deadline: Deadline) -> Key:
    """Set the status by one call that does it on every release, as far as the API allows it.

    Documented: an update minds the status. Measured on gateways: only with `?status_only=1`, which then changes
    nothing else. A refusal is believed only where the status is not there either.
    """
    wanted = row.model_copy(update={"status": status, "remain_quota": writable_body(row).remain_quota})
    try:
        return await _write(api, row, wanted, deadline, status_only=True)
    except NotFoundError:
        raise
    except RefusedError:
        after = await _read_again(api, row.id, deadline)
        if after.status != status:
            raise
        return after


def _with(error: UnclearError, more: str) -> UnclearError:
    return UnclearError(f"{error.args[0]} {more}", code=error.code, request_id=error.request_id)


def _surprises(before: Key, wanted: KeySpec, status: Status | None, after: Key, *, quota_named: bool) -> list[str]:
    """Where the key differs from what was written: another change at the same moment, or the API's own idea."""
    found = [
        f"{name} is {_shown(stored)} now, though {_shown(sent)} was written: somebody else changed the key at the "
        "same moment, or the API changed the value."
        for name, sent in _plain(wanted).items()
        if name != "remain_quota" and (stored := getattr(after, name)) != sent
    ]
    spent = max(after.used_quota - before.used_quota, 0)
    right = max(wanted.remain_quota - spent, 0)
    if not wanted.unlimited_quota and not right <= after.remain_quota <= wanted.remain_quota:
        found.append(
            f"remain_quota is {after.remain_quota} now, where {right} was to be expected: somebody else changed it at "
            "the same moment."
        )
    elif not wanted.unlimited_quota and not quota_named and after.remain_quota > right:
        found.append(
            f"The key spends so fast that {after.remain_quota - right} quota units, spent while it was changed, were "
            "given back to it on top."
        )
    if status is not None and after.status != status:
        found.append(f"The status is still {status_word(after.status)}: the API did not take the change.")
    elif status is None and after.status in (Status.EXPIRED, Status.EXHAUSTED) and wanted != writable_body(before):
        found.append(
            f'The status is still {status_word(after.status)}: send status "enabled" too if it shall work again.'
        )
    return found


def _plain(body: KeySpec) -> dict[str, Any]:
    return body.model_dump() | {"allow_ips": body.allow_ips or ""}


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
