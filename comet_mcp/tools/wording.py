"""What a person is asked before something is changed: what will happen, what it may cost, what it replaces.

What a person would newly allow is shown whole: the gate refuses a question that is too long, it is never cut. What is
so already, or is taken away, may be shortened, with the number of what is not shown.

The state of a question is what has to be the same when the answer comes. What a key has spent is not in it, only what
it was given in all: a key in use spends while the person reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from comet_mcp.confirmation.gate import LONGEST_QUESTION
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.lifetimes import NEVER, when
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import Units
from comet_mcp.text import quoted

SOME = 10
"""Entries of a list that is shortened."""


_WARNINGS = 5
"""The warnings that are shown; the most important ones come first."""


def key(row: Key) -> str:
    """A key in a question."""
    return f"the API key {quoted(row.name)} (id {row.id})"


def budget(body: KeySpec, units: Units, before: str = "up to ") -> str:
    """What a key may spend."""
    whole = "the account's whole balance (no budget)"
    return whole if body.unlimited_quota else before + units.exact(body.remain_quota)


def end(expired_time: int) -> str:
    """When a key ends, to go on a sentence: "expires at ..."."""
    return "never expires" if expired_time == NEVER else f"expires at {when(expired_time)}"


def whole_key(body: KeySpec, units: Units, most: int | None) -> list[str]:
    """All that a key may do after a change; at most so many entries of a list, None for all of them."""
    return [f"It may then spend {budget(body, units)}, and {end(body.expired_time)}.", *scope(body, most)]


def scope(body: KeySpec, most: int | None = None) -> list[str]:
    """Models, addresses and group, at most so many entries of a list; None for all of them."""
    parts = [models(body, most), addresses(body.addresses, most)]
    return [*parts, f"Group {whole(body.group)}."] if body.group else parts


def models(body: KeySpec, most: int | None) -> str:
    """The models that a key may call, at most so many of a list."""
    if not body.model_limits_enabled:
        return "Models: every model."
    models = body.models.ids
    return f"Models ({len(models)}): {listed(models, most)}." if models else "Models: none."


def addresses(addresses: AddressList, most: int | None) -> str:
    """From where a key may be used, at most so many entries of a list; the widest come first."""
    entries = addresses.widest_first()
    if not entries:
        return "From every address."
    if not addresses.restricts:  # the rest of the list then adds next to nothing
        return f"From every address or nearly every one, by a list of {len(entries)}: {listed(entries, SOME)}."
    return f"Only from {f'{len(entries)} entries: ' if len(entries) > 1 else ''}{listed(entries, most)}."


def entries(name: str, text: str) -> Sequence[str]:
    """The entries of a list of the API, each once; of addresses the widest range first."""
    return AddressList.parse(text).widest_first() if name == "allow_ips" else ModelList.parse(text).ids


def listed(entries: Sequence[str], most: int | None = None) -> str:
    """Entries of a list, at most so many, with the number of the others."""
    shown = entries[:most]
    more = f" and {len(entries) - len(shown)} more" if len(shown) < len(entries) else ""
    return ", ".join(map(entry, shown)) + more


def entry(text: str) -> str:
    """A model or an address as it is; anything that could pass for a part of the sentence between quotes."""
    return text if re.fullmatch(r"[A-Za-z0-9._:/@+-]+", text) else whole(text)


def warned(warnings: list[str]) -> list[str]:
    """The warnings, but not so many that the question becomes too long: they only explain what is shown."""
    left = len(warnings) - _WARNINGS
    more = [f"There {'is' if left == 1 else 'are'} {left} more warning{'s' * (left > 1)}."] if left > 0 else []
    return [*warnings[:_WARNINGS], *more]


def whole(text: str) -> str:
    """Quoted and never cut: what is longer than a question may be makes the question too long."""
    return quoted(text, LONGEST_QUESTION)


def state_of(row: Key) -> list[object]:
    """All of a key but its spending."""
    body = row.spec.model_dump(exclude={"remain_quota", "allow_ips"})
    given = 0 if row.unlimited_quota else row.remain_quota + row.used_quota
    return [row.id, row.created_time, row.status, given, row.allow_ips or "", body]
