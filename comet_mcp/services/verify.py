"""Whether a key works, found out by asking the API as that key; its value never leaves the server."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import Usage
from comet_mcp.domain.key import Key
from comet_mcp.errors import APIError, RefusedError
from comet_mcp.text import printable, quoted

_LISTED = 300
"""Characters of a list of addresses that a reason repeats."""


@dataclass(slots=True)
class Verdict:
    """What the API says to the key. `reasons` is empty where it works; `usage` is None where it was not told."""

    models: list[str] = field(default_factory=list)
    usage: Usage | None = None
    reasons: list[str] = field(default_factory=list)


async def verify_key(api: CometAPI, row: Key, value: SecretStr, *, ask_usage: bool) -> Verdict:
    """Ask for the models of a key, and for its usage if that may be asked, as that key.

    Raises:
        APIError: The API could not be asked, which says nothing of the key.
    """
    verdict = Verdict()
    refusal: RefusedError | None = None
    # first, for a first use is what makes the API note that a key has expired or is exhausted
    try:
        verdict.models = await api.callable_models(value)
    except RefusedError as error:
        if error.code != "key_refused":
            raise
        refusal = error
    if ask_usage:
        with contextlib.suppress(APIError):  # no reason of its own: the record and the models tell
            verdict.usage = await api.usage(value)
    # a list of models is no promise: the record tells what the next model call will meet
    verdict.reasons = _obstacles(row, api.clock.now())
    if refusal is not None and not verdict.reasons:
        verdict.reasons = [_reason_of(row, refusal)]
    if refusal is None and not verdict.models:
        verdict.reasons.append("It may call no model: its model list names none that the account has.")
    return verdict


def _obstacles(row: Key, now: float) -> list[str]:
    """Why a key can't work, by its record: newest releases say no more than "Invalid token"."""
    return [
        f"It {obstacle.text}" + (': call update_api_key with status "enabled".' if obstacle.kind == "stale" else ".")
        for obstacle in row.state(now).obstacles
    ]


def _reason_of(row: Key, refusal: RefusedError) -> str:
    """Why a key is refused of which the record tells nothing, by what the API says."""
    said = refusal.args[0]
    if row.allow_ips and ("ip" in said.lower().split() or "IP" in said):
        listed = printable(", ".join(row.allow_ips.splitlines()), _LISTED)
        return (
            f'The API refuses it here: "{said}". The address that it sees, this machine\'s or that of a proxy or '
            f"balancer between, is not on its IP list ({listed}); elsewhere it may work."
        )
    if row.group and ("group" in said.lower() or "分组" in said):
        return f'Its group {quoted(row.group)} is not the account\'s. The API says: "{said}".'
    return f'The API refuses it: "{said}".'
