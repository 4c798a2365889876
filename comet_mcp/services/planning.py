"""What is missing or doubtful in a wish for a key, as questions for the person, and what was understood.

All of it is said at once, each doubtful name with the nearest ones, so that one answer is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from comet_mcp.api.catalog import MOST_NAMED, AccountFacts, beyond_balance, nearest
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import Units
from comet_mcp.domain.names import KnownNames
from comet_mcp.domain.validation import check_size
from comet_mcp.errors import ArgumentError
from comet_mcp.services.quota import Quota
from comet_mcp.text import quoted


@dataclass(slots=True)
class Scope:
    """The models and the group of a key as the account has them, and what has to be said about that."""

    models: tuple[str, ...] = ()
    group: str = ""
    understood: list[str] = field(default_factory=list)
    ask: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def understood_scope(models: Sequence[str], group: str, facts: AccountFacts) -> Scope:
    """What is meant by these names. Raises ArgumentError for what can be no model's, if the account's are not known."""
    scope = Scope()
    written = ModelList.of(entry for text in models for entry in text.split(","))
    check_size("models", written.ids, written.text)
    scope.models = ModelList.of(_taken(scope, "model", written.ids, facts.models)).ids
    scope.group = next(iter(_taken(scope, "group", [group] if group else [], facts.groups)), "")
    if not facts.models and written.wrong:
        raise ArgumentError(
            f"models has the entry {quoted(written.wrong[0])}, which is no model id, and the account could not be "
            "asked which one is meant. Give a list with one id each."
        )
    return scope


def compare_balance(scope: Scope, budget: int, facts: AccountFacts, units: Units) -> None:
    """Note whether the account's balance covers the budget, in quota units; 0 for none."""
    if not budget:
        return
    if facts.balance is None:
        scope.warnings.append("The API did not tell the account's balance, so it may not cover the budget.")
        return
    scope.checked.append("the account's balance")
    scope.warnings += beyond_balance(budget, facts, units)


def _taken(scope: Scope, what: str, written: Sequence[str], known: list[str] | None) -> list[str]:
    """The account's names for what was written, those that are clear; `scope` gets what is to be said."""
    if not written:
        return []
    if not known:
        scope.warnings.append(f"The API did not tell the account's {what}s, so what was written is taken as it is.")
        return list(written)
    scope.checked.append(f"the account's {what}s")
    names, taken, doubtful = KnownNames(known), [], []
    for entry in written:
        found = names.matching(entry)
        if len(found) != 1:
            doubtful.append((entry, found))
            continue
        taken += found
        if found[0] != entry:
            scope.understood.append(f"{quoted(entry)} is the {what} {quoted(found[0])}.")
    scope.ask += [_which(what, entry, found, known) for entry, found in doubtful[:MOST_NAMED]]
    if more := doubtful[MOST_NAMED:]:
        scope.ask.append(f"{len(more)} more {what}s are not clear either.")
    return taken


def _which(what: str, written: str, found: list[str], known: list[str]) -> str:
    """The question for the one that is meant."""
    if found:
        return f"Which {what} is meant by {quoted(written)}: {_either(found)}?"
    none = f"The account has no {what} {quoted(written)}."
    if alike := nearest(written, known):
        return f"{none} Is {_either(alike)} meant?"
    return (
        f"{none} Which one is meant? There {'is' if len(known) == 1 else 'are'} {', '.join(map(quoted, known[:3]))}"
        + (f" and {len(known) - 3} more, see list_models." if len(known) > 3 and what == "model" else ".")
    )


def _either(names: list[str]) -> str:
    return " or ".join(map(quoted, names[:3]))


async def missing(quota: Quota, zone: tzinfo, now: float, *, lifetime: bool, budget: bool) -> list[str]:
    """Questions for a lifetime or a budget that was not given, with the limit that the policy sets."""
    from comet_mcp.domain.lifetime_words import end_in_zone  # noqa: PLC0415 - 50 ms, which no other tool needs

    policy, units, asked = quota.enforcer.policy, quota.enforcer.units, []
    if lifetime:
        latest = policy.latest_end(None, now)
        most = "" if latest is None else f" This server allows at most {end_in_zone(latest, zone)}."
        asked.append(f"How long shall the key live, such as 30 days or until Friday?{most}")
    if budget:
        allowed = await quota.most_budget()
        most = "" if allowed is None else f" This server allows at most {units.exact(allowed)} now."
        asked.append(f"How many US dollars may the key spend?{most}")
    return asked
