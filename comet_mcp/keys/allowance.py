"""The policy and the journal's counts together: what a call may still give, and what it gives.

The budget that a change gives to a key is counted in the journal before the change is sent, whether a sum is limited or
not, for one may be later; what a create gives is counted together with its intent (`Intents.begin`). Both judge once
more in the transaction that counts. What is judged here comes before a person is asked, so that nobody is asked about
what is then refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError, JournalError, RefusedError, UnsentError
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.limits import Spending
from comet_mcp.policy.policy import NOTHING
from comet_mcp.policy.widening import Change
from comet_mcp.state.journal import Journal


class Allowance:
    """What may still be given, for one account."""

    def __init__(self, api: CometAPI, journal: Journal, guard: Guard) -> None:
        self._api = api
        self._ledger = journal.ledger
        self._intents = journal.intents
        self.guard = guard

    async def require_new(self, body: KeySpec, rotation: int | None = None) -> None:
        """Refuse a create, or that of a rotation which was begun, that the policy does not allow at this moment.

        One whose earlier answer was lost is not refused for a count: it is counted already, and repeated it finds its
        key. Where there is none to find, `Intents.begin` refuses it.

        Raises:
            PolicyError: The key would be outside the policy, or one too many.
            JournalError: What was given out so far can't be read.
        """
        spending = await self._spending()
        broken = {entry.rule for entry in self.guard.check_new(body, spending)}
        counts = {limit.rule for limit in self.guard.policy.limits(self.guard.units)}
        if broken and broken <= counts and not body.unlimited_quota and await self._intents.unsettled(body, rotation):
            return
        self.guard.require_new(body, spending, copied=rotation is not None)

    async def require_copy(self, body: KeySpec) -> None:
        """Refuse a rotation that is about to begin. Raises as `require_new`."""
        self.guard.require_new(body, await self._spending(), copied=True)

    async def require_change(self, change: Change) -> None:
        """Refuse a change that the policy does not allow at this moment. Raises as `require_new`."""
        counts = change.added and self.guard.policy.limits_sums
        self.guard.require_change(change, await self._ledger.spending() if counts else NOTHING)

    @asynccontextmanager
    async def counted(self, change: Change) -> AsyncIterator[list[str]]:
        """A context for a change; in it stands, as a warning, what could not be counted.

        What was counted is taken back only where the API refused, and the key may spend no more than before.

        Raises:
            PolicyError: The added budget would exceed a sum.
            JournalError: It can't be counted, and a sum is limited; nothing was sent.
        """
        if not change.added:
            yield []
            return
        before, reservation, warnings = change.before, None, []
        limited = self.guard.policy.limits_sums
        try:
            reservation = await self._ledger.reserve(
                change.added, (lambda spending: self.guard.require_change(change, spending)) if limited else None
            )
        except JournalError as error:
            if limited:
                raise
            warnings.append(f"A limit on sums that is set later will not count the added budget: {error.args[0]}")
        try:
            yield warnings
        except (RefusedError, UnsentError):
            # a change can be several writes, of which only a later one was refused
            with contextlib.suppress(CometError):
                after = await self._api.get_token(before.id)
                if (
                    reservation is not None
                    and not after.unlimited_quota
                    and after.used_quota + after.remain_quota <= before.used_quota + before.remain_quota
                ):
                    await self._ledger.release(reservation)
            raise

    async def verdict(self, body: KeySpec) -> tuple[list[str], dict[str, Any] | None]:
        """The rules that a key from this body would break at this moment, and the nearest body that is allowed."""
        spending = await self._spending()
        broken = [str(entry) for entry in self.guard.check_new(body, spending)]
        instead = self.guard.nearest_new(body, spending) if broken and not self.guard.policy.problems else None
        if instead is None or self.guard.check_new(instead, spending):
            return broken, None
        return broken, instead.model_dump()

    async def _spending(self) -> Spending:
        """What was given out so far; it is read only where it counts."""
        return await self._ledger.spending() if self.guard.policy.limits(self.guard.units) else NOTHING
