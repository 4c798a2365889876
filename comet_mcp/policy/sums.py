"""The rules on how many keys may be made, and what budgets they may get, in a window of time."""

from __future__ import annotations

from typing import ClassVar

from comet_mcp.domain.money import Units
from comet_mcp.policy.rule import Case, Found, Rule, UsdRule, budget_up_to, count
from comet_mcp.policy.windows import DAY, HOUR, Limit


class MaxKeys(Rule[int]):
    """So many keys may be made, by all servers of the user. The kinds of it are below."""

    said = "at most {}"
    seconds: ClassVar[float | None] = None
    parse = staticmethod(count)

    def limit(self, _: Units) -> Limit:
        """What the journal's counts are held against."""
        return Limit(self.name, self.seconds, self.value, "keys")

    def _judge(self, case: Case) -> Found:
        if case.history.created is not None:
            return None  # it is counted already
        text = self.limit(case.units).exceeded(case.spending, 1, case.now, case.units)
        return (text, {}) if text else None

    def _shown(self, units: Units) -> str:
        keys = "1 key is made" if self.value == 1 else f"{self.value} keys are made"
        return f"{keys} {self.limit(units).window}"


class MaxSum(UsdRule):
    """So many US dollars of budget may be given, to new keys and by changes. A key without a budget is refused."""

    said = "at most {}"
    seconds: ClassVar[float | None] = None

    def limit(self, units: Units) -> Limit:
        """What the journal's sums are held against."""
        return Limit(self.name, self.seconds, self.most(units), "units")

    def _judge(self, case: Case) -> Found:
        limit = self.limit(case.units)
        instead = budget_up_to(limit.most - limit.spent(case.spending, case.now), case.spec)
        if case.spec.unlimited_quota:
            return "the sum of all budgets is limited, and this key has no budget.", instead
        if case.history.created is not None:
            return None  # what a change adds is judged by Policy.check_change
        text = limit.exceeded(case.spending, case.spec.remain_quota, case.now, case.units)
        return (text, instead) if text else None

    def _shown(self, units: Units) -> str:
        limit = self.limit(units)
        return f"{units.exact(limit.most)} of budget is given {limit.window}"


class MaxKeysPerHour(MaxKeys):
    """Keys that may be made per hour."""

    name = "max_keys_per_hour"
    seconds = HOUR


class MaxKeysPerDay(MaxKeys):
    """Keys that may be made per day."""

    name = "max_keys_per_day"
    seconds = DAY


class MaxKeysTotal(MaxKeys):
    """Keys that may be made in all, those deleted since included."""

    name = "max_keys_total"


class MaxSumPerHour(MaxSum):
    """US dollars of budget that may be given to keys per hour."""

    name = "max_sum_usd_per_hour"
    seconds = HOUR


class MaxSumPerDay(MaxSum):
    """US dollars of budget that may be given to keys per day."""

    name = "max_sum_usd_per_day"
    seconds = DAY


class MaxSumTotal(MaxSum):
    """US dollars of budget that may be given to keys in all."""

    name = "max_sum_usd_total"
