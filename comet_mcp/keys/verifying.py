"""Whether a key works, found out by asking the API as that key; its value never leaves the server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from time import time

from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.wire import Usage
from comet_mcp.domain.key import Key, Status, status_word
from comet_mcp.errors import APIError, RefusedError
from comet_mcp.units import NEVER, expiry, when

_ENABLE = 'call update_api_key with status "enabled".'


@dataclass(slots=True)
class Verdict:
    """What the API says to the key. `reasons` is empty where it works; `usage` is None where it was not told."""

    models: list[str] = field(default_factory=list)
    usage: Usage | None = None
    reasons: list[str] = field(default_factory=list)


async def verify_key(api: CometAPI, row: Key, key: SecretStr, *, ask_usage: bool) -> Verdict:
    """Ask for the models of a key, and for its usage if that may be asked, as that key.

    Raises:
        APIError: The API could not be asked, which says nothing of the key.
    """
    verdict = Verdict()
    refusal: RefusedError | None = None
    # first, for a first use is what makes the API note that a key has expired or is exhausted
    try:
        verdict.models = await api.callable_models(key)
    except RefusedError as error:
        if error.code != "key_refused":
            raise
        refusal = error
    if ask_usage:
        with contextlib.suppress(APIError):  # no reason of its own: the record and the models tell
            verdict.usage = await api.usage(key)
    # a list of models is no promise: the record tells what the next model call will meet
    verdict.reasons = _reasons(row) if refusal is None else _reasons_of(row, refusal)
    if refusal is None and not verdict.models:
        verdict.reasons.append("It may call no model: its model list names none that the account has.")
    return verdict


def _reasons(row: Key) -> list[str]:
    """Why a key can't work, by its record."""
    reasons = []
    if row.status not in (Status.ENABLED, Status.EXPIRED, Status.EXHAUSTED):
        reasons.append(f"It is {status_word(row.status)}.")
    if row.expired_time != NEVER and row.expired_time <= time():
        reasons.append(f"It expired at {when(row.expired_time)}.")
    elif row.status == Status.EXPIRED:
        reasons.append(f"Its status is still expired, although it ends {expiry(row.expired_time)}: {_ENABLE}")
    if row.remain_quota <= 0 and not row.unlimited_quota:
        reasons.append("It has nothing left to spend.")
    elif row.status == Status.EXHAUSTED:
        reasons.append(f"Its status is still exhausted, although it has something left to spend: {_ENABLE}")
    return reasons


def _reasons_of(row: Key, refusal: RefusedError) -> list[str]:
    """Why a key is refused, by its record first, since newest releases say no more than "Invalid token"."""
    said = refusal.args[0]
    reasons = _reasons(row)
    if not reasons and row.allow_ips and ("ip" in said.lower().split() or "IP" in said):
        listed = ", ".join(row.allow_ips.splitlines())
        reasons.append(f"This machine's address is not on its IP list ({listed}); elsewhere it may work.")
    if not reasons and row.group and ("group" in said.lower() or "分组" in said):
        reasons.append(f'Its group "{row.group}" is not the account\'s.')
    return reasons or [f'The API refuses it: "{said}".']
