"""The policy and the journal's counts together: what a call may still give, and what it gives.

The budget that a change gives to a key is counted in the journal before the change is sent; what a create gives is
counted together with its intent (`Intents.begin`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from comet_mcp.api.client import CometAPI
from comet_mcp.api.wire import Token, TokenBody
from comet_mcp.errors import CometError, RefusedError, UnsentError
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.policy import NOTHING
from comet_mcp.policy.widening import added_units
from comet_mcp.state.ledger import Ledger


class Allowance:
    """What may still be given, for one account."""

    def __init__(self, api: CometAPI, ledger: Ledger, guard: Guard) -> None:
        self._api = api
        self._ledger = ledger
        self._guard = guard

    @asynccontextmanager
    async def counted(self, before: Token, wanted: TokenBody) -> AsyncIterator[None]:
        """A context for the change of a key that was read as `before`; nothing is counted where no sum is limited.

        What was counted is taken back only where the API refused, and the key may spend no more than before.

        Raises:
            PolicyError: The added budget would exceed a sum.
            JournalError: It can't be counted; nothing was sent.
        """
        added = added_units(before, wanted)
        if not added or not self._guard.policy.limits_sums:
            yield
            return
        reservation = await self._ledger.reserve(
            added, lambda spending: self._guard.require_sums(before, wanted, spending)
        )
        try:
            yield
        except (RefusedError, UnsentError):
            # a change can be several writes, of which only a later one was refused
            with contextlib.suppress(CometError):
                after = await self._api.get_token(before.id)
                if not after.unlimited_quota and after.used_quota + after.remain_quota <= (
                    before.used_quota + before.remain_quota
                ):
                    await self._ledger.release(reservation)
            raise

    async def verdict(self, body: TokenBody) -> tuple[list[str], dict[str, Any] | None]:
        """The rules that a key from this body would break at this moment, and the nearest body that is allowed."""
        spending = await self._ledger.spending() if self._guard.policy.limits(self._guard.units) else NOTHING
        broken = [str(entry) for entry in self._guard.check_new(body, spending)]
        instead = self._guard.nearest_new(body, spending) if broken and not self._guard.policy.problems else None
        if instead is None or self._guard.check_new(instead, spending):
            return broken, None
        return broken, instead.model_dump()
