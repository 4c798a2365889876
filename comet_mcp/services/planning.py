"""What is missing or doubtful in a request for a key, as questions for the person, and what was understood.

All of it is said at once, each doubtful name with the nearest ones, so that one answer is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo

from comet_mcp.api.catalog import MOST_NAMED, AccountFacts, beyond_balance, nearest
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import Units
from comet_mcp.domain.names import KnownNames
from comet_mcp.domain.validation import MAX_NAME, check_name, check_size, fitting_name
from comet_mcp.errors import ArgumentError
from comet_mcp.services.quota import Quota
from comet_mcp.text import quoted


@dataclass(slots=True)
class Draft:
    """A key that is being planned: its models and group as the account has them, and what has to be said."""

    models: tuple[str, ...] = ()
    group: str = ""
    understood: list[str] = field(default_factory=list)
    ask: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """What is refused inside is one more thing to ask about."""
        try:
            yield
        except ArgumentError as wrong:
            self.ask.append(wrong.args[0])


def understand_name(draft: Draft, name: str) -> str:
    """The name that a key can have: of one that is too long its beginning, which is told."""
    fits = name if len(name.encode(errors="surrogatepass")) <= MAX_NAME else fitting_name(name)
    with draft.asking():
        check_name(fits)
    if fits != name:
        draft.understood.append(f"The name is too long for the API, {MAX_NAME} bytes of UTF-8: {quoted(fits)} fits.")
    return fits


def understand_names(draft: Draft, models: Sequence[str], group: str, facts: AccountFacts) -> None:
    """Note which models and group are meant. Raises ArgumentError for what is no model's name, if none are known."""
    written = ModelList.of(entry for text in models for entry in text.split(","))
    check_size("models", written.ids, written.text)
    ids = [name for name in facts.models or [] if ModelList.parse(name).ids == (name,)]  # a list can have no other
    if not ids and written.wrong:
        raise ArgumentError(
            f"models has the entry {quoted(written.wrong[0])}, which is no model id, and the account could not be "
            "asked which one is meant. Give a list with one id each."
        )
    draft.models = ModelList.of(_taken(draft, "model", written.ids, ids)).ids
    draft.group = next(iter(_taken(draft, "group", [group] if group else [], facts.groups)), "")


def compare_balance(draft: Draft, budget: int, facts: AccountFacts, units: Units) -> None:
    """Note whether the account's balance covers the budget, in quota units; 0 for none."""
    if not budget:
        return
    if facts.balance is None:
        draft.warnings.append("The API did not tell the account's balance, so it may not cover the budget.")
        return
    draft.checked.append("the account's balance")
    draft.warnings += beyond_balance(budget, facts, units)


def _taken(draft: Draft, what: str, written: Sequence[str], known: list[str] | None) -> list[str]:
    """The account's names for what was written, those that are clear; `draft` gets what is to be said."""
    if not written:
        return []
    if not known:
        draft.warnings.append(f"The API did not tell the account's {what}s, so what was written is taken as it is.")
        return list(written)
    draft.checked.append(f"the account's {what}s")
    names, taken, doubtful = KnownNames(known), [], []
    for entry in written:
        found = names.matching(entry)
        if len(found) != 1:
            doubtful.append((entry, found))
            continue
        taken += found
        if found[0] != entry:
            draft.understood.append(f"{quoted(entry)} is the {what} {quoted(found[0])}.")
    draft.ask += [_which(what, entry, found, known) for entry, found in doubtful[:MOST_NAMED]]
    if more := doubtful[MOST_NAMED:]:
        draft.ask.append(f"{len(more)} more {what}s are not clear either.")
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
