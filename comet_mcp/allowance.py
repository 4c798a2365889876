"""The policy and the journal's counts together: what a call may still give, and what it gives.

The budget that a change gives to a key is counted in the journal before the change is sent; what a create gives is
counted together with its intent (`Journal.begin`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from comet_mcp.errors import CometError, RefusedError, UnsentError
from comet_mcp.policy import NOTHING
from comet_mcp.widening import added_units
from comet_mcp.wire import Token, TokenBody

if TYPE_CHECKING:
    from comet_mcp.app import App


@asynccontextmanager
async def counted(app: App, before: Token, wanted: TokenBody) -> AsyncIterator[None]:
    """A context for the change of a key that was read as `before`; nothing is counted where no sum is limited.

    What was counted is taken back only where the API refused, and the key may spend no more than before.

    Raises:
        PolicyError: The added budget would exceed a sum.
        JournalError: It can't be counted; nothing was sent.
    """
    added = added_units(before, wanted)
    if not added or not app.policy.limits_sums:
        yield
        return
    reservation = await app.journal.reserve(added, lambda spending: app.guard.require_sums(before, wanted, spending))
    try:
        yield
    except (RefusedError, UnsentError):
        # a change can be several writes, of which only a later one was refused
        with contextlib.suppress(CometError):
            after = await app.api.get_token(before.id)
            if not after.unlimited_quota and after.used_quota + after.remain_quota <= (
                before.used_quota + before.remain_quota
            ):
                await app.journal.release(reservation)
        raise


async def verdict(app: App, body: TokenBody) -> tuple[list[str], dict[str, Any] | None]:
    """The rules that a key from this body would break at this moment, and the nearest body that is allowed."""
    spending = await app.journal.spending() if app.policy.limits(app.units) else NOTHING
    broken = [str(entry) for entry in app.guard.check_new(body, spending)]
    instead = app.guard.nearest_new(body, spending) if broken and not app.policy.problems else None
    if instead is None or app.guard.check_new(instead, spending):
        return broken, None
    return broken, instead.model_dump()
