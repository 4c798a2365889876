"""The policy in force: what it refuses, with the body that an agent should send instead."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Any

from comet_mcp.api.wire import Status, Token, TokenBody
from comet_mcp.lifetimes import expired_time
from comet_mcp.policy.limits import Spending
from comet_mcp.policy.policy import NEW, NO_GROUP, NOTHING, Broken, Past, Policy, matches
from comet_mcp.policy.widening import added_units, models_of
from comet_mcp.rules import MAX_NAME
from comet_mcp.units import MAX_QUOTA, Units

_SUGGESTED = "30d"
"""The lifetime that is proposed where one is demanded and none is limited."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A policy with what it needs to judge at this moment. Every `require_` method raises PolicyError."""

    policy: Policy
    units: Units

    def check_new(self, body: TokenBody, spending: Spending = NOTHING) -> list[Broken]:
        """The rules that a key made now from this body would break."""
        return self.policy.check(body, time(), self.units, spending=spending)

    def require_own(self, row: Token) -> None:
        """Refuse to change, delete, rotate or save a key that only others may."""
        if broken := self.policy.check_own(row):
            raise self.policy.refusal(broken)

    def require_new(self, body: TokenBody, spending: Spending = NOTHING) -> None:
        """Refuse a new key that would be outside the policy, or, after `spending`, one too many."""
        if broken := self.check_new(body, spending):
            instead = self.nearest_new(body, spending)
            raise self.policy.refusal(broken, instead, self.check_new(instead, spending) if instead else ())

    def require_change(self, before: Token, wanted: TokenBody, status: Status | None) -> None:
        """Refuse a change. The arguments are those of `Policy.check_change`."""
        now = time()
        if broken := self.policy.check_change(before, wanted, status, now, self.units):
            instead = self.nearest(wanted, Past.of(before))
            still = self.policy.check_change(before, instead, status, now, self.units)
            raise self.policy.refusal(broken, instead, still)

    def require_sums(self, before: Token, wanted: TokenBody, spending: Spending) -> None:
        """Refuse a change whose added budget would exceed a sum."""
        added = added_units(before, wanted)
        if broken := self.policy.check_sums(spending, 0, added, time(), self.units):
            quota = wanted.remain_quota - added + max(self._left(spending), 0)
            raise self.policy.refusal(broken, wanted.model_copy(update={"remain_quota": quota}))

    def nearest_new(self, body: TokenBody, spending: Spending = NOTHING) -> TokenBody | None:
        """The nearest body for a new key; None where no budget is left that it could be given."""
        found = self.nearest(body, spending=spending)
        if found.unlimited_quota or found.remain_quota or (body.remain_quota == 0 and not body.unlimited_quota):
            return found
        return None if self.policy.check_sums(spending, 0, 1, time(), self.units) else found

    def nearest(self, body: TokenBody, past: Past = NEW, spending: Spending = NOTHING) -> TokenBody:
        """The body that is most like this one and keeps every rule; the arguments are those of `Policy.check`.

        What nobody can guess is left as it is: addresses, and models or a group where only patterns are allowed.
        Where a count is used up, or a key is too old, no body is allowed; this then keeps the other rules.
        """
        policy, now = self.policy, time()
        rules = {entry.rule for entry in policy.check(body, now, self.units, past, spending)}
        changes = self._nearest_budget(body, past, spending)
        if "name_prefix" in rules:
            changes["name"] = (policy.name_prefix + body.name)[:MAX_NAME]
        if "max_lifetime" in rules:
            changes["expired_time"] = policy.latest_end(past.created, now)
        elif "require_expiry" in rules:
            changes["expired_time"] = expired_time(_SUGGESTED, now)
        if "allowed_models" in rules:
            kept = [model for model in models_of(body) if matches(model, policy.allowed_models)]
            models = kept or [pattern for pattern in policy.allowed_models if _is_name(pattern)]
            changes |= {"model_limits_enabled": True, "model_limits": ",".join(models)} if models else {}
        if "allowed_groups" in rules and (groups := [group for group in policy.allowed_groups if _is_name(group)]):
            changes["group"] = "" if groups[0] == NO_GROUP else groups[0]
        return body.model_copy(update=changes)

    def _nearest_budget(self, body: TokenBody, past: Past, spending: Spending) -> dict[str, Any]:
        cap = MAX_QUOTA
        if self.policy.max_budget_usd is not None:
            cap = min(cap, self.units.from_usd(self.policy.max_budget_usd) - past.used)
        if past.created is None:
            cap = min(cap, self._left(spending))
        cap = max(cap, 0)
        if body.unlimited_quota and (self.policy.limits_budgets or not self.policy.allow_unlimited):
            wanted = body.remain_quota or (cap if cap < MAX_QUOTA else 0)
            return {"unlimited_quota": False, "remain_quota": min(wanted, cap)}
        if not body.unlimited_quota and body.remain_quota > cap:
            return {"remain_quota": cap}
        return {}

    def _left(self, spending: Spending) -> int:
        """The quota units that may still be given."""
        sums = [limit for limit in self.policy.limits(self.units) if limit.of == "units"]
        return min((limit.most - limit.spent(spending, time()) for limit in sums), default=MAX_QUOTA)


def _is_name(pattern: str) -> bool:
    return not set(pattern) & set("*?[")
