"""The policy in words, for people and for language models."""

from __future__ import annotations

from comet_mcp.policy.policy import NO_GROUP, Policy, groups_in_words, listed
from comet_mcp.text import quoted
from comet_mcp.units import Units


def words(policy: Policy, units: Units) -> list[tuple[str, str]]:
    """Each rule that is set, with what it demands in a few words."""
    most = units.usd(units.from_usd(policy.max_budget_usd or 0))
    groups = policy.allowed_groups
    only = "keys have no group" if groups == (NO_GROUP,) else f"only {groups_in_words(groups)} are allowed"
    said = [
        ("max_budget_usd", policy.max_budget_usd is not None, f"a key may spend at most {most} in all"),
        ("max_lifetime", policy.max_lifetime, f"a key ends at most {policy.max_lifetime} after its creation"),
        ("require_expiry", policy.require_expiry, "every key has an expiry"),
        ("allow_unlimited", not policy.allow_unlimited, "no key is without a budget"),
        ("allowed_models", policy.allowed_models, f"every key is limited to models {listed(policy.allowed_models)}"),
        ("allowed_groups", groups, only),
        ("require_ips", policy.require_ips, "every key has allow_ips"),
        ("name_prefix", policy.name_prefix, f"names begin with {quoted(policy.name_prefix)}"),
        ("only_own_prefix", policy.only_own_prefix, "only keys named so are changed, deleted, rotated or saved"),
    ]
    for limit in policy.limits(units):
        keys = "1 key is made" if limit.most == 1 else f"{limit.most} keys are made"
        what = keys if limit.of == "keys" else f"{units.usd(limit.most)} of budget is given"
        said.append((limit.rule, True, f"at most {what} {limit.window}"))
    return [(rule, text) for rule, is_set, text in said if is_set]
