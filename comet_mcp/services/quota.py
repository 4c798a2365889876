"""What may still be given out: the policy and the journal's counts together.

The budget that a write gives is counted before the write is sent, in the same step that judges it, whether a sum is
limited or not, for one may be later. What is judged here comes before a person is asked, so that nobody is asked about
what is then refused.
"""

from __future__ import annotations

from typing import Any

from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import KeySpec
from comet_mcp.journal.base import Decision, Journal, Reads, Rows, Step
from comet_mcp.policy.enforcer import PolicyEnforcer
from comet_mcp.policy.windows import NOTHING, Spending
from comet_mcp.services.identity import Identity


class Quota:
    """What may still be given, for one account."""

    def __init__(self, journal: Journal, identity: Identity, enforcer: PolicyEnforcer) -> None:
        self._journal = journal
        self._identity = identity
        self.enforcer = enforcer

    @property
    def is_limited(self) -> bool:
        """Whether keys are counted or budgets summed up."""
        return bool(self.enforcer.policy.limits(self.enforcer.units))

    async def require_change(self, change: KeyChange) -> None:
        """Refuse a change that the policy does not allow at this moment. Raises PolicyError, JournalError."""
        counts = change.added and self.enforcer.policy.limits_sums
        self.enforcer.require_change(change, await self.spending() if counts else NOTHING)

    async def verdict(self, spec: KeySpec) -> tuple[list[str], dict[str, Any] | None]:
        """The rules that a key from this spec would break at this moment, and the nearest body that is allowed."""
        spending = await self.spending()
        broken = [str(entry) for entry in self.enforcer.check_new(spec, spending)]
        usable = broken and not self.enforcer.policy.problems
        instead = self.enforcer.nearest_new(spec, spending) if usable else None
        if instead is None or self.enforcer.check_new(instead, spending):
            return broken, None
        return broken, instead.model_dump()

    async def most_budget(self) -> int | None:
        """The largest budget that a new key may get at this moment, in quota units; None where none is limited."""
        enforcer, spending = self.enforcer, await self.spending()
        return enforcer.policy.most_budget(enforcer.clock.now(), enforcer.units, spending)

    async def spending(self) -> Spending:
        """What was given out so far. It is read only where it counts, and nothing was where no journal ever was."""
        if not self.is_limited or not await self._journal.exists():
            return NOTHING
        account = await self._identity.account()

        def decide(rows: Rows) -> Decision[Spending]:
            return Decision(rows.spending)

        return await self._journal.run(Step(Reads(account, spending=True), decide, durable=False))
