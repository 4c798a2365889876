"""The account's models and groups, remembered for minutes, and its balance: to list them, and to warn of a body.

A warning, never a refusal: the list may be out of date, and what the API takes is the API's to say. Where the API
doesn't tell them, nothing is warned about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from heapq import nlargest
from typing import Any, Generic, TypeVar

import anyio

from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import CatalogModel
from comet_mcp.api.rate_limit import WRITE_CALLS
from comet_mcp.clock import Clock
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import Units
from comet_mcp.errors import APIError
from comet_mcp.text import quoted

_T = TypeVar("_T")

REMEMBERED_FOR = 300.0
"""Seconds until the API is asked again."""

MAX_WAIT = 3.0
"""Seconds that a warning is waited for."""

_RECENT = 60.0
"""Seconds for which creates rely on a balance that covered a budget."""

_MANY_CALLS = 4 * WRITE_CALLS
"""With a lower limit of calls, none is spent on a warning that a create can do without."""

MOST_NAMED = 5
"""Unknown models that are told by name, with the nearest there are."""

_MOST_COMPARED, _LONGEST_COMPARED = 2_000, 100
"""Names, and characters of one, that are looked through for those that resemble another: of each there are a third."""
_LIKELY = 20
"""Names that are compared letter by letter."""


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the account has: ids of models, groups, a balance in quota units. None where that is not known."""

    models: list[str] | None = None
    groups: list[str] | None = None
    balance: int | None = None


class _Remembered(Generic[_T]):
    """An answer of the API, asked for once by all who want it, and again when it is old."""

    def __init__(self, ask: Callable[[], Awaitable[_T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = anyio.Lock(fast_acquire=True)
        self._asked_at = float("-inf")
        self._value: _T

    async def get(self, max_age: float = REMEMBERED_FOR) -> _T:
        async with self._lock:
            if self._clock.monotonic() - self._asked_at >= max_age:
                self._value = await self._ask()
                self._asked_at = self._clock.monotonic()
            return self._value


class Catalog:
    """What the account may use."""

    def __init__(self, api: CometAPI, clock: Clock, units: Units) -> None:
        self._api = api
        self._units = units
        self._models = _Remembered(api.catalog, clock)
        self._groups = _Remembered(api.groups, clock)
        self._balance = _Remembered(self._ask_balance, clock)

    async def models(self) -> list[CatalogModel]:
        """Every model. Raises APIError."""
        return await self._models.get()

    async def odd(self, models: ModelList) -> frozenset[str]:
        """The entries of a list that look like no id of a model, and are one all the same, by what the API lists."""
        wrong = frozenset(entry for entry in models.wrong if entry and "," not in entry)
        if not wrong:
            return wrong
        facts = await self.facts(models=True)
        return wrong & set(facts.models or ())  # what can't be known is judged by its looks

    async def groups(self) -> list[str]:
        """Every group of the account. Raises APIError, RefusedError where this API doesn't tell them."""
        return list(await self._groups.get())

    async def group_ratio(self, group: str) -> float | None:
        """What a group pays of a price; None where that is not one number (measured: of `auto` it is a text).

        Raises:
            APIError: This API doesn't tell it.
        """
        found = (await self._groups.get()).get(group)
        ratio = found.get("ratio") if isinstance(found, dict) else None
        return ratio if isinstance(ratio, int | float) and not isinstance(ratio, bool) and ratio >= 0 else None

    async def facts(
        self, *, models: bool = False, groups: bool = False, balance: bool = False, max_age: float = 0
    ) -> AccountFacts:
        """What is asked for, all at once; what the API does not tell soon is not known.

        A balance may be `max_age` seconds old.
        """
        found: dict[str, Any] = {}

        async def learn(what: str, ask: Callable[[], Awaitable[object]]) -> None:
            with anyio.move_on_after(min(MAX_WAIT, self._api.seconds / 2)):
                try:
                    found[what] = await ask()
                except APIError:
                    return  # what can't be known is not warned about

        async with anyio.create_task_group() as asked:
            if models:
                asked.start_soon(learn, "models", self._ids)
            if groups:
                asked.start_soon(learn, "groups", self.groups)
            if balance:
                asked.start_soon(learn, "balance", partial(self._balance.get, max_age))
        return AccountFacts(**found)

    async def warnings(self, body: KeySpec) -> list[str]:
        """What a key of that body names and the account doesn't have, with the nearest names."""
        wanted = body.models.ids if body.model_limits_enabled else ()
        facts = await self.facts(models=bool(wanted), groups=bool(body.group))
        models, groups = facts.models or [], facts.groups or []
        found = _unknown_models(wanted, models)
        if groups and body.group not in groups:
            found.append(_unknown("group", body.group, groups))
        return found

    async def uncovered(self, body: KeySpec) -> list[str]:
        """That the account's balance does not cover a new key's budget, where it is so.

        Many creates share one call: a balance that covers the budget may be a minute old, one that does not is fresh.
        """
        if body.unlimited_quota or not body.remain_quota or 0 < self._api.limit.most < _MANY_CALLS:
            return []
        found: list[str] = []
        for max_age in (_RECENT, 0):
            facts = await self.facts(balance=True, max_age=max_age)
            found = beyond_balance(body.remain_quota, facts, self._units)
            if not found:
                break
        return found

    async def _ids(self) -> list[str]:
        return [model.id for model in await self.models()]

    async def _ask_balance(self) -> int | None:
        account = await self._api.account()
        return account.quota if "quota" in account.model_fields_set else None


def beyond_balance(budget: int, facts: AccountFacts, units: Units) -> list[str]:
    """That a budget, in quota units, is more than the account's balance, where it is so."""
    if facts.balance is None or budget <= facts.balance:
        return []
    return [f"The budget is more than the account's balance, {units.usd(facts.balance)}: it limits nothing."]


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Up to three known names that resemble `name`, the likeliest first.

    Comparing two names letter by letter takes the product of their lengths, so only those are that have the most
    letters in common. Too long a name resembles nothing.
    """
    if len(name) > _LONGEST_COMPARED:
        return []
    by_folded = {entry.casefold(): entry for entry in known[:_MOST_COMPARED] if len(entry) <= _LONGEST_COMPARED}
    matcher = SequenceMatcher(b=name.casefold())

    def in_common(other: str) -> float:
        matcher.set_seq1(other)
        return matcher.quick_ratio()

    likely = nlargest(_LIKELY, by_folded, key=in_common)
    return [by_folded[match] for match in get_close_matches(name.casefold(), likely, n=3, cutoff=0.5)]


def _unknown_models(wanted: Sequence[str], known: list[str]) -> list[str]:
    """A warning for each of the first models that the account does not have, and one for the rest of them."""
    if not known:
        return []
    there = set(known)
    unknown = [name for name in wanted if name not in there]
    more = len(unknown) - MOST_NAMED
    rest = [f"The account has none of {more} more models of the list either."] if more > 0 else []
    return [_unknown("model", name, known) for name in unknown[:MOST_NAMED]] + rest


def _unknown(what: str, name: str, known: list[str]) -> str:
    text = f"The account has no {what} {quoted(name)}: the key would not work with it."
    alike = nearest(name, known)
    return f"{text} Did you mean {' or '.join(quoted(entry) for entry in alike)}?" if alike else text
