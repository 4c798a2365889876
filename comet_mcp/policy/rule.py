"""What every rule of the policy is, and the forms in which the value of one is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from comet_mcp.domain.change import NEW, KeyHistory
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.lifetimes import CENTURY, duration
from comet_mcp.domain.money import MAX_QUOTA, Units, usd_amount
from comet_mcp.errors import ArgumentError
from comet_mcp.policy.windows import NOTHING, Spending
from comet_mcp.text import is_placeholder, printable

PREFIX = "COMETAPI_MCP_POLICY_"
TABLE = "policy"

_V = TypeVar("_V")
Found: TypeAlias = tuple[str, dict[str, Any]] | None
"""The `limit` and `instead` of a violation; None where there is none."""
_MOST_KEYS = 10**9
_LONGEST_PREFIX = 30
_MOST_LISTED = 20
_MOST_PATTERNS = 1_000


class WrongValueError(ValueError):
    """The value of a rule, or of another setting, is not what it has to be; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Case:
    """A key as a call would leave it, and what is needed to judge it.

    Args:
        spec: Its nine fields.
        now: Unix seconds.
        units: What a quota unit is worth.
        history: What has happened to the key so far.
        spending: What was given out before; only a key that is yet to be made is judged against it.
    """

    spec: KeySpec
    now: float
    units: Units
    history: KeyHistory = NEW
    spending: Spending = NOTHING


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a key breaks. `limit` says in a sentence what is allowed, and what is wrong.

    `instead` has the fields of a new key as they would have to be, none where nobody can guess them.
    """

    rule: str
    limit: str
    instead: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.rule}: {self.limit}"


@dataclass(frozen=True)
class Rule(Generic[_V]):
    """A rule that is set, with its value. One that is not set, which is the default, is not in the policy at all.

    The first line of its docstring is what the tables of settings say of it.
    """

    value: _V

    name: ClassVar[str]
    """As it is written in the config file."""
    said: ClassVar[str]
    """What it demands, in a few words, with {} for the value."""
    default: ClassVar[str] = ""
    """The value that means the same as none."""
    needs: ClassVar[str] = ""
    """The rule without which it would mean nothing."""

    @staticmethod
    def parse(text: str) -> Any:
        """The value from how it is written. Raises WrongValueError."""
        raise NotImplementedError

    @classmethod
    def is_set(cls, value: object) -> bool:
        """Whether the value demands anything."""
        return value not in (None, "", ()) and not (cls.default and value == cls.parse(cls.default))

    @classmethod
    def help(cls) -> str:
        """What it means, for people."""
        return (cls.__doc__ or "").partition("\n")[0]

    @classmethod
    def variable(cls) -> str:
        """The environment variable."""
        return PREFIX + cls.name.upper()

    @classmethod
    def key(cls) -> str:
        """The key in the config file, dotted."""
        return f"{TABLE}.{cls.name}"

    def check(self, case: Case) -> Violation | None:
        """What is wrong with the key; None where it keeps the rule."""
        found = self._judge(case)
        return None if found is None else Violation(self.name, *found)

    def check_own(self, key: Key, values: Mapping[str, Any]) -> Violation | None:
        """Why a key that exists may not be touched at all. `values` are those of all rules that are set."""
        text = self._disown(key, values)
        return None if text is None else Violation(self.name, text)

    def words(self, units: Units) -> str:
        """What the rule demands, in a few words."""
        return self.said.format(self._shown(units))

    # What a rule says for itself; it has to say one of the first two.

    def _judge(self, case: Case) -> Found:
        """What is wrong with a key, and what it should have instead."""

    def _disown(self, key: Key, values: Mapping[str, Any]) -> str | None:
        """The `limit` of the violation that it is to touch the key; None where there is none."""

    def _shown(self, _: Units) -> str:
        """The value as it stands in a sentence."""
        return str(self.value)


def filled(text: str) -> str:
    """The text, if it is no placeholder. Raises WrongValueError, as all of these do."""
    if is_placeholder(text):
        raise WrongValueError("holds a placeholder that was not filled in; put the value itself in its place")
    return text


def flag(text: str) -> bool:
    """1 or 0, or a word for them."""
    if text.strip().lower() in ("1", "true", "yes", "on"):
        return True
    if text.strip().lower() in ("0", "false", "no", "off"):
        return False
    raise WrongValueError("must be 1 or 0")


def usd(text: str) -> float:
    """US dollars."""
    amount = usd_amount(text)
    if amount is None:
        raise WrongValueError("must be a number of US dollars, such as 5 or 0.50")
    return amount


def count(text: str) -> int:
    """A number of keys."""
    if not re.fullmatch(r"[0-9]{1,10}", text.strip()) or int(text) > _MOST_KEYS:
        raise WrongValueError("must be a whole number, such as 5")
    return int(text)


def lifetime(text: str) -> str:
    """A span of time in human words. It stays in words: how long a month is depends on when it begins."""
    words = " ".join(text.split())
    try:
        seconds = duration(words)
    except ArgumentError:
        seconds = 0
    if not 0 < seconds <= CENTURY:
        raise WrongValueError('must be a span of time of at most a hundred years, such as "90d" or "6 months"')
    return words


def patterns(text: str) -> tuple[str, ...]:
    """Shell patterns, separated by commas."""
    entries = [entry.strip() for entry in text.split(",")]
    if not all(re.fullmatch(r"\S{1,200}", entry) and entry.isprintable() for entry in entries):
        raise WrongValueError("must be one or more patterns without spaces inside, separated by commas")
    if len(entries) > _MOST_PATTERNS:
        raise WrongValueError(f"must have at most {_MOST_PATTERNS} patterns")
    return tuple(dict.fromkeys(entries))


def prefix(text: str) -> str:
    """The beginning of a name."""
    if not text.strip() or len(text) > _LONGEST_PREFIX or not text.isprintable():
        raise WrongValueError(f"must be a text of 1 to {_LONGEST_PREFIX} characters that print")
    return text


def matches(text: str, wanted: Iterable[str]) -> bool:
    """Whether one of the shell patterns fits, case-sensitively on every system, or is the text itself."""
    literal, patterns = _compiled(tuple(wanted))
    return text in literal or patterns.match(text) is not None


@lru_cache(maxsize=8)
def _compiled(wanted: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str]]:
    """The texts themselves, and one expression for them as patterns: each of a key's models is held against all."""
    return frozenset(wanted), re.compile("|".join(map(translate, wanted)) or "(?!)")


def names_in(wanted: Iterable[str]) -> list[str]:
    """The patterns that fit one text only, which they are."""
    return [pattern for pattern in wanted if not set(pattern) & set("*?[")]


def listed(words: Iterable[str]) -> str:
    """Words of others, fit to be shown in a sentence."""
    shown = [printable(word, 60) for word in islice(words, _MOST_LISTED + 1)]
    return ", ".join(shown[:_MOST_LISTED]) + (", …" if len(shown) > _MOST_LISTED else "")


def budget_up_to(most: int, spec: KeySpec) -> dict[str, Any]:
    """The fields of a key with a budget of at most so many quota units; all of them where it had none."""
    most = max(min(most, MAX_QUOTA), 0)
    wanted = spec.remain_quota or (most if spec.unlimited_quota else 0)
    return {"unlimited_quota": False, "remain_quota": min(wanted, most)}


class FlagRule(Rule[bool]):
    """A rule that is on or off."""

    default = "0"
    parse = staticmethod(flag)


class PatternsRule(Rule[tuple[str, ...]]):
    """A rule with shell patterns, of which what is judged has to match one."""

    parse = staticmethod(patterns)

    def _shown(self, _: Units) -> str:
        return listed(self.value)


class UsdRule(Rule[float]):
    """A rule with an amount of US dollars."""

    parse = staticmethod(usd)

    def most(self, units: Units) -> int:
        """The amount in quota units."""
        return units.from_usd(self.value)

    def _shown(self, units: Units) -> str:
        return units.exact(self.most(units))
