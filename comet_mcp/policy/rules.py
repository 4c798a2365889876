"""The rules on one key, and the list of all rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import expired_time, when
from comet_mcp.domain.money import Units
from comet_mcp.domain.validation import fitting_name
from comet_mcp.policy.rule import (
    Case,
    FlagRule,
    Found,
    PatternsRule,
    Rule,
    UsdRule,
    budget_up_to,
    lifetime,
    listed,
    matches,
    names_in,
    prefix,
)
from comet_mcp.policy.sums import (
    MaxKeysPerDay,
    MaxKeysPerHour,
    MaxKeysTotal,
    MaxSumPerDay,
    MaxSumPerHour,
    MaxSumTotal,
)
from comet_mcp.text import quoted

NO_GROUP = "none"
"""How a key without a group is written among the allowed groups; it then has the account's own group."""

CLOCKS_DIFFER = 2
"""Seconds by which a lifetime may exceed its limit: our clock and that of the API's rows may be so far apart, and a key
with the longest lifetime that a plan has named must not be outside the policy a moment later."""

_MOST_SLACK = 0.01
"""But no more than this part of the limit: of a minute nothing, of an hour the two seconds."""

_SUGGESTED = "30d"
"""The lifetime that is proposed where one is demanded and none is limited."""


class MaxBudget(UsdRule):
    """US dollars that one key may spend in all.

    What it has spent counts, so topping it up in steps is no way around. A key without a budget is refused.
    """

    name = "max_budget_usd"
    said = "a key may spend at most {} in all"

    def _judge(self, case: Case) -> Found:
        spec, used, cap, usd = case.spec, case.history.used, self.most(case.units), case.units.exact
        instead = budget_up_to(cap - used, spec)
        if spec.unlimited_quota:
            return f"a key may spend at most {usd(cap)} in all, and this one has no budget.", instead
        if used + spec.remain_quota <= cap:
            return None
        spent = f", of which {usd(used)} is spent" if used else ""
        text = (
            f"a key may spend at most {usd(cap)} in all{spent}, so remain_quota may be {max(cap - used, 0)} at most; "
            f"this one could spend {usd(used + spec.remain_quota)}."
        )
        return text, instead


class AllowUnlimited(FlagRule):
    """0 refuses keys without a budget."""

    name = "allow_unlimited"
    said = "no key is without a budget"
    default = "1"

    def _judge(self, case: Case) -> Found:
        if not case.spec.unlimited_quota:
            return None
        return "a key must have a budget; unlimited_quota is not allowed.", {"unlimited_quota": False}


class MaxLifetime(Rule[str]):
    """Longest time from a key's creation to its expiry, such as 90d or 6 months.

    It counts from the creation, so that extending a key in steps is no way around.
    """

    name = "max_lifetime"
    said = "a key ends at most {} after its creation"
    parse = staticmethod(lifetime)

    def latest_end(self, created: int | None, now: float) -> int:
        """The last expiry that is allowed, in Unix seconds. No key is younger than now."""
        start = now if created is None else min(created, now)
        return expired_time(self.value, max(start, 0))

    def _slack(self, now: float) -> int:
        """Seconds by which an expiry may be later than the last one that is told."""
        return min(CLOCKS_DIFFER, int((expired_time(self.value, now) - now) * _MOST_SLACK))

    def _judge(self, case: Case) -> Found:
        latest = self.latest_end(case.history.created, case.now)
        if 0 < case.spec.expired_time <= latest + self._slack(case.now):
            return None
        over = " That time is over: make a new key." if latest <= case.now else ""
        text = (
            f"a key must end at most {self.value} after its creation, at {when(latest)} (expired_time {latest}).{over}"
        )
        return text, {"expired_time": latest}


class RequireExpiry(FlagRule):
    """1 refuses keys that never expire.

    Measured: a create takes 0 for never.
    """

    name = "require_expiry"
    said = "every key has an expiry"

    def _judge(self, case: Case) -> Found:
        if case.spec.expired_time > 0:
            return None
        suggested = expired_time(_SUGGESTED, case.now)
        return "a key must have an expired_time in the future.", {"expired_time": suggested}


class AllowedModels(PatternsRule):
    """Models that keys may be limited to: patterns such as gpt-4.1*, with commas.

    Each model of a key matches one of them. A key without a list of models is refused.
    """

    name = "allowed_models"
    said = "every key is limited to models {}"

    def _judge(self, case: Case) -> Found:
        models = case.spec.models.ids
        kept = [model for model in models if matches(model, self.value)]
        suggested = ",".join(kept or names_in(self.value))
        instead = {"model_limits_enabled": True, "model_limits": suggested} if suggested else {}
        if not case.spec.model_limits_enabled:
            return f"a key must be limited to models {listed(self.value)}; this one may call every model.", instead
        if len(kept) == len(models):
            return None
        others = listed(model for model in models if not matches(model, self.value))
        return f"only models {listed(self.value)} are allowed, not {others}.", instead


class AllowedGroups(PatternsRule):
    """Groups that keys may have: patterns, with commas; none is for no group."""

    name = "allowed_groups"
    said = "{}"

    def _judge(self, case: Case) -> Found:
        group = case.spec.group
        if matches(group or NO_GROUP, self.value):
            return None
        names = names_in(self.value)
        instead = {"group": "" if names[0] == NO_GROUP else names[0]} if names else {}
        if self.value == (NO_GROUP,):
            return f"a key must have no group; this one has {quoted(group)}.", instead
        has = f", not {quoted(group)}" if group else "; this key names no group"
        return f"{self.words(case.units)}{has}.", instead

    def _shown(self, _: Units) -> str:
        if self.value == (NO_GROUP,):
            return "keys have no group"
        named = listed(pattern for pattern in self.value if pattern != NO_GROUP)
        also = " and keys without a group" if NO_GROUP in self.value else ""
        return f"only groups {named}{also} are allowed"


class RequireIPs(FlagRule):
    """1 refuses keys without a list of IP addresses.

    The list has to be one: in all no more addresses than a /8 has, in IPv6 a /16.
    """

    name = "require_ips"
    said = "every key has allow_ips"

    def _judge(self, case: Case) -> Found:
        text = "allow_ips must name the addresses that may use the key, in all no more than a /8 has (in IPv6 a /16)."
        return None if case.spec.addresses.restricts else (text, {})


class NamePrefix(Rule[str]):
    """How every key's name must begin."""

    name = "name_prefix"
    said = "names begin with {}"
    parse = staticmethod(prefix)

    def _judge(self, case: Case) -> Found:
        name = case.spec.name
        if name.startswith(self.value):
            return None
        return f"the name must begin with {quoted(self.value)}.", {"name": fitting_name(self.value + name)}

    def _shown(self, _: Units) -> str:
        return quoted(self.value)


class OnlyOwnPrefix(FlagRule):
    """1: only keys with name_prefix may be changed, deleted, rotated or saved."""

    name = "only_own_prefix"
    said = "only keys named so are changed, deleted, rotated or saved"
    needs = NamePrefix.name

    def _disown(self, key: Key, values: Mapping[str, Any]) -> str | None:
        begin = str(values.get(self.needs, ""))
        if key.name.startswith(begin):
            return None
        return (
            f"only keys whose name begins with {quoted(begin)} may be changed, deleted, rotated or saved, and the name "
            f"of key {key.id} does not."
        )


RULES: tuple[type[Rule[Any]], ...] = (
    MaxBudget,
    MaxSumPerHour,
    MaxSumPerDay,
    MaxSumTotal,
    AllowUnlimited,  # after those that can say what budget there is room for
    MaxLifetime,
    RequireExpiry,
    AllowedModels,
    AllowedGroups,
    RequireIPs,
    NamePrefix,
    OnlyOwnPrefix,
    MaxKeysPerHour,
    MaxKeysPerDay,
    MaxKeysTotal,
)
"""In the order in which they are told, and in which they suggest: each to what the ones before it have suggested."""
