"""The policy in force: what it refuses, with what an agent should send instead."""

from __future__ import annotations

import json
from dataclasses import dataclass

from comet_mcp.clock import Clock
from comet_mcp.domain.change import KeyChange, KeyHistory
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.money import Units
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.rule import Violation
from comet_mcp.policy.windows import NOTHING, Spending


@dataclass(frozen=True, slots=True)
class PolicyEnforcer:
    """A policy with what it needs to judge at this moment. Every `require_` method raises PolicyError."""

    policy: Policy
    units: Units
    clock: Clock

    def check_new(self, spec: KeySpec, spending: Spending = NOTHING) -> list[Violation]:
        """The rules that a key made now from this body would break."""
        return self.policy.check(spec, self.clock.now(), self.units, spending=spending)

    def nearest_new(self, spec: KeySpec, spending: Spending = NOTHING) -> KeySpec | None:
        """The nearest body for a new key; None where none with a budget may be made now."""
        return self.policy.nearest_new(spec, self.clock.now(), self.units, spending)

    def require_own(self, key: Key) -> None:
        """Refuse to change, delete, rotate or save a key that only others may."""
        if broken := self.policy.check_own(key):
            raise self.policy.refusal(broken)

    def require_new(self, spec: KeySpec, spending: Spending, *, copied: bool = False) -> None:
        """Refuse a new key that would be outside the policy, or, after `spending`, one too many.

        A `copied` body is that of a key which is replaced: no argument of that call can change it.
        """
        if broken := self.check_new(spec, spending):
            instead = "" if self.policy.problems else self._instead(spec, spending, copied=copied)
            raise self.policy.refusal(broken, instead)

    def require_change(self, change: KeyChange, spending: Spending) -> None:
        """Refuse a change that would leave a key outside the policy, or, after `spending`, add too much budget.

        No other call is proposed: the sentence of each rule has the limit that holds for this key.
        """
        now = self.clock.now()
        if broken := self.policy.check_change(change, now, self.units, spending):
            raise self.policy.refusal(broken, self._outside(change.before, broken, now))

    def _instead(self, spec: KeySpec, spending: Spending, *, copied: bool) -> str:
        nearest = self.nearest_new(spec, spending)
        if nearest is None:
            return ""
        left = ", ".join(entry.rule for entry in self.check_new(nearest, spending))
        body = json.dumps(
            nearest.model_dump(exclude_none=True), separators=(",", ":")
        )  # ASCII: a hostile name can't break the line
        if copied:
            other = "another body" if left else f"the nearest body that is allowed: {body}"
            return (
                "rotate_api_key gives the new key the settings of the old one: change those with update_api_key first, "
                f"or call create_api_key with {other}."
            )
        if nearest == spec:
            return ""
        said = f"The nearest body keeps every rule but {left}" if left else "The nearest body that is allowed"
        return f"{said}: {body}."

    def _outside(self, key: Key, broken: list[Violation], now: float) -> str:
        """What may still be done with a key, where it is refused for what it is and not for what was asked."""
        already = {entry.rule for entry in self.policy.check(key.spec, now, self.units, KeyHistory.of(key))}
        if not already & {entry.rule for entry in broken}:
            return ""
        return (
            f"Key {key.id} is outside the policy as it is, so it may be narrowed, renamed, disabled and deleted, and "
            "neither widened nor enabled."
        )
