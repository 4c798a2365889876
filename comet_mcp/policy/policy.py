"""What agents may do with the account's keys, as the person who runs the server has set it.

A `Policy` is frozen and pure. It judges the key that a call would leave behind, never the call: whichever tools are
called, in whatever order and by however many servers, each key that is written is one that was judged whole. So

- a change is judged whatever the key's status, and once more when the key is enabled;
- a budget counts with what the key has spent, and a lifetime from its creation: small steps are no way around either;
- a key that breaks a rule already, because it is older than the rule or somebody else's, may be narrowed, renamed,
  disabled and deleted, but neither enabled nor given any more access.

Counts and sums are not in a key: they are judged against what the journal counted (`comet_mcp.policy.windows`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from comet_mcp.domain.change import NEW, KeyChange, KeyHistory, expands_access
from comet_mcp.domain.key import Key, KeySpec, Status
from comet_mcp.domain.money import Units
from comet_mcp.errors import PolicyError
from comet_mcp.policy.rule import Case, Rule, Violation
from comet_mcp.policy.rules import RULES, MaxBudget, MaxLifetime
from comet_mcp.policy.sums import MaxKeys, MaxSum
from comet_mcp.policy.windows import NOTHING, Limit, Spending


@dataclass(frozen=True, slots=True, init=False)
class Policy:
    """The rules in force. With none, which is the default, everything is allowed.

    Args:
        problems: What is wrong with the policy as it is written, in sentences. With any, nothing may be written.
        values: The value of each rule by its name, such as `max_budget_usd=5`.
    """

    rules: tuple[Rule[Any], ...]
    problems: tuple[str, ...]

    def __init__(self, *, problems: tuple[str, ...] = (), **values: Any) -> None:
        if unknown := values.keys() - {rule.name for rule in RULES}:
            raise TypeError(f"no such rule: {unknown}")
        rules = tuple(rule(values[rule.name]) for rule in RULES if rule.is_set(values.get(rule.name)))
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "problems", problems)

    @property
    def values(self) -> dict[str, Any]:
        """The value of each rule that is set, by its name."""
        return {rule.name: rule.value for rule in self.rules}

    def check(
        self, spec: KeySpec, now: float, units: Units, history: KeyHistory = NEW, spending: Spending = NOTHING
    ) -> list[Violation]:
        """The rules that a key with these nine fields would break. The arguments are those of `Case`."""
        if self.problems:
            return [Violation("policy", self.unusable)]
        return self._broken(Case(spec, now, units, history, spending))

    def check_change(
        self, change: KeyChange, now: float, units: Units, spending: Spending = NOTHING
    ) -> list[Violation]:
        """The rules for which a change of an existing key is refused; none where it is allowed.

        A rule that the key breaks already is no ground to refuse a change that expands nothing and enables nothing.

        Args:
            change: What is asked for.
            now: Unix seconds.
            units: What a quota unit is worth.
            spending: What was given out before; what the change adds is judged against it.
        """
        if self.problems:
            return [Violation("policy", self.unusable)]
        before, history = change.before, KeyHistory.of(change.before)
        found = self._broken(Case(change.wanted, now, units, history))
        if found and change.status != Status.ENABLED and not expands_access(before, change.wanted):
            already = {broken.rule for broken in self._broken(Case(before.spec, now, units, history))}
            found = [broken for broken in found if broken.rule not in already]
        return self.check_own(before) + found + self.check_sums(spending, 0, change.added, now, units)

    def check_own(self, key: Key) -> list[Violation]:
        """The rules for which an existing key may not be changed, deleted, rotated or saved at all."""
        if self.problems:
            return [Violation("policy", self.unusable)]
        return [broken for rule in self.rules if (broken := rule.check_own(key, self.values))]

    def check_sums(self, spending: Spending, keys: int, added: int, now: float, units: Units) -> list[Violation]:
        """The limits on counts and sums that `keys` more keys, and `added` more quota units, would exceed."""
        return [
            Violation(limit.rule, text)
            for limit in self.limits(units)
            if (text := limit.exceeded(spending, keys if limit.of == "keys" else added, now, units))
        ]

    def nearest_new(self, spec: KeySpec, now: float, units: Units, spending: Spending = NOTHING) -> KeySpec | None:
        """The body that is most like this one and keeps every rule; None where no key with a budget may be made now.

        What nobody can guess is left as it is: addresses, and models or a group where only patterns are allowed.
        """
        case = Case(spec, now, units, NEW, spending)
        for rule in self.rules:
            if broken := rule.check(case):
                case = replace(case, spec=case.spec.model_copy(update=broken.instead))
        found = case.spec
        wanted = int(bool(spec.remain_quota or spec.unlimited_quota))
        asked = 0 if found.unlimited_quota else found.remain_quota or wanted
        return None if self.check_sums(spending, 1, asked, now, units) else found

    def words(self, units: Units) -> list[tuple[str, str]]:
        """Each rule that is set, with what it demands in a few words, for people and for language models."""
        return [(rule.name, rule.words(units)) for rule in self.rules]

    def limits(self, units: Units) -> list[Limit]:
        """The limits on counts and sums that are set."""
        return [rule.limit(units) for rule in self.rules if isinstance(rule, MaxKeys | MaxSum)]

    @property
    def limits_sums(self) -> bool:
        """Whether the sum of the budgets that are given is limited."""
        return any(isinstance(rule, MaxSum) for rule in self.rules)

    @property
    def limits_budgets(self) -> bool:
        """Whether a key's budget is limited, by itself or in a sum."""
        return any(isinstance(rule, MaxBudget | MaxSum) for rule in self.rules)

    def latest_end(self, created: int | None, now: float) -> int | None:
        """The last expiry that `max_lifetime` allows, in Unix seconds; None where it is not set.

        `created` is the time of the key's creation, None for a key that is yet to be made.
        """
        return next((rule.latest_end(created, now) for rule in self.rules if isinstance(rule, MaxLifetime)), None)

    def most_budget(self, now: float, units: Units, spending: Spending) -> int | None:
        """The largest budget that a new key may get now, in quota units; None where none is limited."""
        own = [rule.most(units) for rule in self.rules if isinstance(rule, MaxBudget)]
        left = [limit.most - limit.spent(spending, now) for limit in self.limits(units) if limit.of == "units"]
        return max(min([*own, *left]), 0) if own or left else None

    @property
    def unusable(self) -> str:
        """What every writing call answers while the policy has problems."""
        return (
            "The policy of this server can't be used, so no key is made, changed, deleted, rotated or saved. "
            f"{' '.join(self.problems)} Ask the person who runs the server to correct that and to restart the client."
        )

    def refusal(self, broken: list[Violation], instead: str = "") -> PolicyError:
        """The error that names each broken rule and its limit, at least one, and says what to send `instead`."""
        if self.problems:
            return PolicyError(self.unusable)
        said = ["The policy of this server does not allow that.", *map(str, broken), instead]
        said.append("The person who runs the server sets the policy; no argument changes it.")
        return PolicyError(" ".join(part for part in said if part))

    def _broken(self, case: Case) -> list[Violation]:
        return [broken for rule in self.rules if (broken := rule.check(case))]
