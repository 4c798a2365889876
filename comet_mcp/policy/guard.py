"""The policy in force: what it refuses, with what an agent should send instead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import time
from typing import Any

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.policy.limits import Spending
from comet_mcp.policy.nearest import nearest_change, nearest_new
from comet_mcp.policy.policy import NOTHING, Broken, Past, Policy
from comet_mcp.policy.widening import Change
from comet_mcp.units import Units


@dataclass(frozen=True, slots=True)
class Guard:
    """A policy with what it needs to judge at this moment. Every `require_` method raises PolicyError."""

    policy: Policy
    units: Units

    def check_new(self, body: KeySpec, spending: Spending = NOTHING) -> list[Broken]:
        """The rules that a key made now from this body would break."""
        return self.policy.check(body, time(), self.units, spending=spending)

    def require_own(self, row: Key) -> None:
        """Refuse to change, delete, rotate or save a key that only others may."""
        if broken := self.policy.check_own(row):
            raise self.policy.refusal(broken)

    def require_new(self, body: KeySpec, spending: Spending, *, copied: bool = False) -> None:
        """Refuse a new key that would be outside the policy, or, after `spending`, one too many.

        A `copied` body is that of a key which is replaced: no argument of that call can change it.
        """
        if broken := self.check_new(body, spending):
            instead = "" if self.policy.problems else self._instead(body, spending, copied=copied)
            raise self.policy.refusal(broken, instead)

    def require_change(self, change: Change, spending: Spending) -> None:
        """Refuse a change that would leave a key outside the policy, or, after `spending`, add too much budget."""
        policy, now = self.policy, time()
        broken = policy.check_change(change.before, change.wanted, change.status, now, self.units, spending=spending)
        if not broken:
            return
        if policy.problems:
            raise policy.refusal(broken)
        if arguments := nearest_change(policy, change, spending, now, self.units):
            raise policy.refusal(broken, f"The nearest call that is allowed: update_api_key {_as_json(arguments)}.")
        raise policy.refusal(broken, self._outside(change.before, broken, now))

    def nearest_new(self, body: KeySpec, spending: Spending = NOTHING) -> KeySpec | None:
        """The nearest body for a new key; None where none with a budget may be made now."""
        return nearest_new(self.policy, body, spending, time(), self.units)

    def _instead(self, body: KeySpec, spending: Spending, *, copied: bool) -> str:
        nearest = self.nearest_new(body, spending)
        if nearest is None:
            return ""
        left = ", ".join(dict.fromkeys(entry.rule for entry in self.check_new(nearest, spending)))
        if copied:
            other = "another body" if left else f"the nearest body that is allowed: {_as_json(nearest.model_dump())}"
            return (
                "rotate_api_key gives the new key the settings of the old one: change those with update_api_key first, "
                f"or call create_api_key with {other}."
            )
        if nearest == body:
            return ""
        said = f"The nearest body keeps every rule but {left}" if left else "The nearest body that is allowed"
        return f"{said}: {_as_json(nearest.model_dump())}."

    def _outside(self, row: Key, broken: list[Broken], now: float) -> str:
        """What may still be done with a key, where it is refused for what it is and not for what was asked."""
        already = {entry.rule for entry in self.policy.check(row.spec, now, self.units, Past.of(row))}
        if not already & {entry.rule for entry in broken}:
            return ""
        return (
            f"Key {row.id} is outside the policy as it is, so it may be narrowed, renamed, disabled and deleted, and "
            "neither widened nor enabled."
        )


def _as_json(arguments: dict[str, Any]) -> str:
    """Compact JSON in ASCII: a hostile name can neither break the line nor the encoding."""
    return json.dumps(arguments, separators=(",", ":"))
