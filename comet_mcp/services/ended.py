"""Keys that have ended: expired, or used up for good."""

from __future__ import annotations

import math

from comet_mcp.api.client import CometAPI
from comet_mcp.clock import Clock
from comet_mcp.domain.key import Key
from comet_mcp.services.listing import all_keys

_QUIET = 3600.0
"""Seconds without a call after which a used-up key stays so: what calls under way have set aside comes back to it."""


def is_ended(row: Key, clock: Clock) -> bool:
    """Whether a key can't work any more unless somebody changes it.

    One that nobody has used yet is no used-up one: it may be waiting for its budget. Where the API tells no time its
    own word alone counts: this machine's clock may be wrong, and call keys ended that work.
    """
    now = clock.now() if clock.was_heard else -math.inf
    word = row.state(now).word
    return word == "expired" or (word == "used up" and not row.is_unused and row.touched < now - _QUIET)


async def ended_keys(api: CometAPI, clock: Clock) -> tuple[list[Key], bool]:
    """The account's ended keys, oldest first, and whether all keys were looked at. Raises APIError."""
    rows, is_every = await all_keys(api)
    return [row for row in reversed(rows) if is_ended(row, clock)], is_every
