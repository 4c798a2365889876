"""What agents may do with the account's keys, as the person who runs the server has set it.

A `Policy` is frozen and pure. It judges the key that a call would leave behind, never the call: whichever tools are
called, in whatever order and by however many servers, each key that is written is one that was judged whole. So

- a change is judged whatever the key's status, and once more when the key is enabled;
- a budget counts with what the key has spent (`used_quota + remain_quota`), so topping it up in small steps is no
  way around its limit;
- a lifetime counts from the key's creation, so neither is extending it in small steps;
- a key that breaks a rule already, because it is older than the rule or somebody else's, may be narrowed, renamed,
  disabled and deleted, but neither enabled nor widened in any field.

Counts and sums are not in a key: they are judged against what the journal counted (`comet_mcp.policy.limits`). With no
rule set, which is the default, everything is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.errors import PolicyError
from comet_mcp.lifetimes import expired_time
from comet_mcp.policy.addresses import restricts
from comet_mcp.policy.limits import DAY, HOUR, Limit, Spending
from comet_mcp.policy.widening import added_units, models_of, widens
from comet_mcp.text import printable, quoted
from comet_mcp.units import Units, when

NO_GROUP = "none"
"""How a key without a group is written among the allowed groups; it then has the account's own group."""

CLOCKS_DIFFER = 300
"""Seconds by which a lifetime may exceed its limit, since it is measured with two clocks, ours and the API's."""

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a key breaks. `limit` says in a sentence what is allowed, and what is wrong."""

    rule: str
    limit: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.limit}"


@dataclass(frozen=True, slots=True)
class Past:
    """What has happened to a key so far: quota units spent, Unix seconds of its creation (None: it is yet to be)."""

    used: int = 0
    created: int | None = None

    @classmethod
    def of(cls, row: Key) -> Past:
        """The past of a key that exists. A record without the time of its creation counts as one of 1970."""
        return cls(row.used_quota, row.created_time)


NEW = Past()
NOTHING = Spending()


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force; one at its default is not set.

    Args:
        max_budget_usd: What one key may spend in all, in US dollars. A key without a budget is then refused.
        max_lifetime: The longest time from a key's creation to its expiry: "90d", "6 months".
        require_expiry: Every key ends at some time.
        allow_unlimited: A key may be without a budget.
        allowed_models: Shell patterns, of which each model of a key matches one, case-sensitive. A key without a
            list of models is then refused.
        allowed_groups: The same for the key's group; `none` stands for a key that names no group.
        require_ips: Every key has a list of addresses that is one: in all no more than a /8 has, in IPv6 a /16.
        name_prefix: How every key's name begins.
        only_own_prefix: Only keys whose name begins so may be changed, deleted, rotated or saved.
        max_keys_per_hour: Keys that may be made in any hour, by all servers of the user.
        max_keys_per_day: Keys that may be made in any 24 hours.
        max_keys_total: Keys that may be made in all, those deleted since included.
        max_sum_usd_per_hour: US dollars of budget that may be given in any hour, to new keys and by changes. A key
            without a budget is then refused.
        max_sum_usd_per_day: The same in any 24 hours.
        max_sum_usd_total: The same in all.
        problems: What is wrong with the policy as it is written, in sentences. With any, nothing may be written.
    """

    max_budget_usd: float | None = None
    max_lifetime: str = ""
    require_expiry: bool = False
    allow_unlimited: bool = True
    allowed_models: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    require_ips: bool = False
    name_prefix: str = ""
    only_own_prefix: bool = False
    max_keys_per_hour: int | None = None
    max_keys_per_day: int | None = None
    max_keys_total: int | None = None
    max_sum_usd_per_hour: float | None = None
    max_sum_usd_per_day: float | None = None
    max_sum_usd_total: float | None = None
    problems: tuple[str, ...] = ()

    def check(
        self, body: KeySpec, now: float, units: Units, past: Past = NEW, spending: Spending = NOTHING
    ) -> list[Broken]:
        """The rules that a key with these nine fields would break; none where it is allowed.

        Args:
            body: The key as it would be after the call.
            now: Unix seconds.
            units: What a quota unit is worth.
            past: What has happened to the key so far.
            spending: What was given out before; only a key that is yet to be made is judged against it.
        """
        if self.problems:
            return [Broken("policy", self.unusable)]
        found = [
            *self._name(body),
            *self._budget(body, past.used, units),
            *self._lifetime(body, past.created, now),
            *self._models(body),
            *self._group(body),
            *self._ips(body),
        ]
        if past.created is None:
            found += self.check_sums(spending, 1, 0 if body.unlimited_quota else body.remain_quota, now, units)
        return found

    def check_change(
        self,
        before: Key,
        wanted: KeySpec,
        status: Status | None,
        now: float,
        units: Units,
        *,
        spending: Spending = NOTHING,
    ) -> list[Broken]:
        """The rules for which a change of an existing key is refused; none where it is allowed.

        A rule that the key breaks already is no ground to refuse a change that widens nothing and enables nothing.

        Args:
            before: The key as it is.
            wanted: Its nine fields as they would be.
            status: The status that is asked for, None to leave it.
            now: Unix seconds.
            units: What a quota unit is worth.
            spending: What was given out before; what the change adds is judged against it.
        """
        found = self.check_own(before)
        if self.problems:
            return found
        of_key = self.check(wanted, now, units, Past.of(before))
        if of_key and status != Status.ENABLED and not widens(before, wanted):
            already = {broken.rule for broken in self.check(before.spec, now, units, Past.of(before))}
            of_key = [broken for broken in of_key if broken.rule not in already]
        return found + of_key + self.check_sums(spending, 0, added_units(before, wanted), now, units)

    def check_own(self, row: Key) -> list[Broken]:
        """The rules for which an existing key may not be changed, deleted, rotated or saved at all."""
        if self.problems:
            return [Broken("policy", self.unusable)]
        if not self.only_own_prefix or row.name.startswith(self.name_prefix):
            return []
        text = (
            f"only keys whose name begins with {quoted(self.name_prefix)} may be changed, deleted, rotated or saved, "
            f"and the name of key {row.id} does not."
        )
        return [Broken("only_own_prefix", text)]

    def check_sums(self, spending: Spending, keys: int, added: int, now: float, units: Units) -> list[Broken]:
        """The limits on counts and sums that `keys` more keys, and `added` more quota units, would exceed."""
        return [
            Broken(limit.rule, text)
            for limit in self.limits(units)
            if (text := limit.exceeded(spending, keys if limit.of == "keys" else added, now, units))
        ]

    def limits(self, units: Units) -> list[Limit]:
        """The limits on counts and sums that are set."""
        counts = (
            ("max_keys_per_hour", HOUR, self.max_keys_per_hour),
            ("max_keys_per_day", DAY, self.max_keys_per_day),
            ("max_keys_total", None, self.max_keys_total),
        )
        sums = (
            ("max_sum_usd_per_hour", HOUR, self.max_sum_usd_per_hour),
            ("max_sum_usd_per_day", DAY, self.max_sum_usd_per_day),
            ("max_sum_usd_total", None, self.max_sum_usd_total),
        )
        return [Limit(rule, seconds, most, "keys") for rule, seconds, most in counts if most is not None] + [
            Limit(rule, seconds, units.from_usd(usd), "units") for rule, seconds, usd in sums if usd is not None
        ]

    @property
    def limits_sums(self) -> bool:
        """Whether the sum of the budgets that are given is limited."""
        sums = (self.max_sum_usd_per_hour, self.max_sum_usd_per_day, self.max_sum_usd_total)
        return any(most is not None for most in sums)

    @property
    def limits_budgets(self) -> bool:
        """Whether a key's budget is limited, by itself or in a sum."""
        return self.max_budget_usd is not None or self.limits_sums

    @property
    def unusable(self) -> str:
        """What every writing call answers while the policy has problems."""
        return (
            "The policy of this server can't be used, so no key is made, changed, deleted, rotated or saved. "
            f"{' '.join(self.problems)} Ask the person who runs the server to correct that and to restart the client."
        )

    def latest_end(self, created: int | None, now: float) -> int:
        """The last expiry that `max_lifetime` allows, in Unix seconds. No key is younger than now."""
        start = now if created is None else min(created, now + CLOCKS_DIFFER)
        return expired_time(self.max_lifetime, max(start, 0))

    def refusal(self, broken: list[Broken], instead: str = "") -> PolicyError:
        """The error that names each broken rule and its limit, at least one, and says what to send `instead`."""
        if self.problems:
            return PolicyError(self.unusable)
        said = ["The policy of this server does not allow that.", *map(str, broken), instead]
        said.append("The person who runs the server sets the policy; no argument changes it.")
        return PolicyError(" ".join(part for part in said if part))

    def _name(self, body: KeySpec) -> list[Broken]:
        if body.name.startswith(self.name_prefix):
            return []
        return [Broken("name_prefix", f"the name must begin with {quoted(self.name_prefix)}.")]

    def _budget(self, body: KeySpec, used: int, units: Units) -> list[Broken]:
        found = []
        cap = None if self.max_budget_usd is None else units.from_usd(self.max_budget_usd)
        if body.unlimited_quota:
            if not self.allow_unlimited:
                found.append(Broken("allow_unlimited", "a key must have a budget; unlimited_quota is not allowed."))
            if cap is not None:
                text = f"a key may spend at most {units.usd(cap)} in all, and this one has no budget."
                found.append(Broken("max_budget_usd", text))
            if self.limits_sums:
                rule = next(limit.rule for limit in self.limits(units) if limit.of == "units")
                found.append(Broken(rule, "the sum of all budgets is limited, and this key has no budget."))
        elif cap is not None and used + body.remain_quota > cap:
            spent = f", of which {units.usd(used)} is spent" if used else ""
            text = (
                f"a key may spend at most {units.usd(cap)} in all{spent}, so remain_quota may be {max(cap - used, 0)} "
                f"at most; this one could spend {units.usd(used + body.remain_quota)}."
            )
            found.append(Broken("max_budget_usd", text))
        return found

    def _lifetime(self, body: KeySpec, created: int | None, now: float) -> list[Broken]:
        found = []
        if self.require_expiry and not ends(body):
            found.append(Broken("require_expiry", "a key must have an expired_time in the future."))
        if self.max_lifetime:
            latest = self.latest_end(created, now)
            if not ends(body) or body.expired_time > latest + CLOCKS_DIFFER:
                text = (
                    f"a key must end at most {self.max_lifetime} after its creation, at {when(latest)} (expired_time "
                    f"{latest}).{' That time is over: make a new key.' if latest <= now else ''}"
                )
                found.append(Broken("max_lifetime", text))
        return found

    def _models(self, body: KeySpec) -> list[Broken]:
        if not self.allowed_models:
            return []
        allowed = listed(self.allowed_models)
        if not body.model_limits_enabled:
            text = f"a key must be limited to models {allowed}; this one may call every model."
            return [Broken("allowed_models", text)]
        others = [model for model in models_of(body) if not matches(model, self.allowed_models)]
        return [Broken("allowed_models", f"only models {allowed} are allowed, not {listed(others)}.")] if others else []

    def _group(self, body: KeySpec) -> list[Broken]:
        if not self.allowed_groups or matches(body.group or NO_GROUP, self.allowed_groups):
            return []
        if self.allowed_groups == (NO_GROUP,):
            return [Broken("allowed_groups", f"a key must have no group; this one has {quoted(body.group)}.")]
        has = f", not {quoted(body.group)}" if body.group else "; this key names no group"
        text = f"only {groups_in_words(self.allowed_groups)} are allowed{has}."
        return [Broken("allowed_groups", text)]

    def _ips(self, body: KeySpec) -> list[Broken]:
        if not self.require_ips or restricts(body.allow_ips):
            return []
        text = "allow_ips must name the addresses that may use the key, in all no more than a /8 has (in IPv6 a /16)."
        return [Broken("require_ips", text)]


def ends(body: KeySpec) -> bool:
    """Whether the key expires at some time. Measured: a create takes 0 for never."""
    return body.expired_time > 0


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the shell patterns fits, case-sensitively on every system."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def groups_in_words(patterns: tuple[str, ...]) -> str:
    """The groups that keys may have: "groups vip, auto and keys without a group"."""
    named = listed(pattern for pattern in patterns if pattern != NO_GROUP)
    return f"groups {named} and keys without a group" if NO_GROUP in patterns else f"groups {named}"


def listed(words: Iterable[str]) -> str:
    """Words of others, fit to be shown in a sentence."""
    shown = [printable(word, 60) for word in words]
    return ", ".join(shown[:_MOST_LISTED]) + (", …" if len(shown) > _MOST_LISTED else "")
