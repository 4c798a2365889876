"""How a policy is written: one environment variable or one line of the config file's `[policy]` table a rule.

What can't be understood is never left out: the policy then has `problems`, and with any nothing may be written. The
environment wins over the file rule by rule, as for every other setting. Names that are no rule are found before, with
those that are no setting (`comet_mcp.settings.names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from comet_mcp.errors import ArgumentError
from comet_mcp.lifetimes import duration
from comet_mcp.policy.policy import Policy

PREFIX = "COMETAPI_MCP_POLICY_"
TABLE = "policy"

_LONGEST = 100 * 366 * 86_400
_LONGEST_PREFIX = 30
_MOST_USD = Decimal(10**9)
_MOST_KEYS = 10**9


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the field of `Policy`, the form of its value, and what it means."""

    name: str
    form: Literal["usd", "lifetime", "flag", "patterns", "prefix", "count"]
    help: str
    default: str = ""

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def key(self) -> str:
        """The key in the config file, dotted."""
        return f"{TABLE}.{self.name}"


RULES = (
    Rule("max_budget_usd", "usd", "US dollars that one key may spend in all."),
    Rule("max_lifetime", "lifetime", "Longest time from a key's creation to its expiry, such as 90d or 6 months."),
    Rule("require_expiry", "flag", "1 refuses keys that never expire.", "0"),
    Rule("allow_unlimited", "flag", "0 refuses keys without a budget.", "1"),
    Rule("allowed_models", "patterns", "Models that keys may be limited to: patterns such as gpt-4.1*, with commas."),
    Rule("allowed_groups", "patterns", "Groups that keys may have: patterns, with commas; none is for no group."),
    Rule("require_ips", "flag", "1 refuses keys without a list of IP addresses.", "0"),
    Rule("name_prefix", "prefix", "How every key's name must begin."),
    Rule("only_own_prefix", "flag", "1: only keys with name_prefix may be changed, deleted, rotated or saved.", "0"),
    Rule("max_keys_per_hour", "count", "Keys that may be made per hour."),
    Rule("max_keys_per_day", "count", "Keys that may be made per day."),
    Rule("max_keys_total", "count", "Keys that may be made in all, those deleted since included."),
    Rule("max_sum_usd_per_hour", "usd", "US dollars of budget that may be given to keys per hour."),
    Rule("max_sum_usd_per_day", "usd", "US dollars of budget that may be given to keys per day."),
    Rule("max_sum_usd_total", "usd", "US dollars of budget that may be given to keys in all."),
)
_BY_NAME = {rule.name: rule for rule in RULES}


class WrongValueError(ValueError):
    """The value of a rule, or of another setting, is not what it has to be; the text says what would be right."""


def read_policy(environ: Mapping[str, str], config: Mapping[str, Any], known: Iterable[str] = ()) -> Policy:
    """The policy that the environment and the parsed config file say together.

    Args:
        environ: All variables.
        config: The whole config file.
        known: What is wrong with the policy already: the file can't be read, or a name in it is no rule.
    """
    problems = list(known)
    texts: dict[str, tuple[str, str]] = {}
    table = config.get(TABLE)
    for name, value in table.items() if isinstance(table, dict) else ():
        if name not in _BY_NAME:
            continue
        source = f"{TABLE}.{name} in the config file"
        try:
            texts[name] = (_as_text(value), source)
        except WrongValueError as wrong:
            problems.append(f"{source} {wrong}.")
    for rule in RULES:
        if text := environ.get(rule.variable, ""):
            texts[rule.name] = (text, rule.variable)
    values: dict[str, Any] = {}
    for name, (text, source) in texts.items():
        try:
            values[name] = _parsed(_BY_NAME[name], text)
        except WrongValueError as wrong:
            problems.append(f"{source} {wrong}.")
    if values.get("only_own_prefix") and "name_prefix" not in values:
        problems.append("only_own_prefix is on, but there is no name_prefix that it could mean.")
    return Policy(**values, problems=tuple(problems))


def _as_text(value: Any) -> str:
    """A value of the file in the form that it would have in the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    if value == []:
        raise WrongValueError("is empty; name what is allowed, or leave the line out")
    if isinstance(value, list) and all(isinstance(entry, str) and "," not in entry for entry in value):
        return ",".join(value)
    raise WrongValueError("must be a text, a number, true, false or a list of texts")


def _parsed(rule: Rule, text: str) -> Any:
    match rule.form:
        case "usd":
            return _usd(text)
        case "count":
            if not re.fullmatch(r"[0-9]{1,10}", text.strip()) or int(text) > _MOST_KEYS:
                raise WrongValueError("must be a whole number, such as 5")
            return int(text)
        case "flag":
            return flag(text)
        case "lifetime":
            return _lifetime(text)
        case "patterns":
            return _patterns(text)
        case "prefix":
            if not text.strip() or len(text) > _LONGEST_PREFIX or not text.isprintable():
                raise WrongValueError(f"must be a text of 1 to {_LONGEST_PREFIX} characters that print")
            return text


def _usd(text: str) -> float:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= _MOST_USD:
        raise WrongValueError("must be a number of US dollars, such as 5 or 0.50")
    return float(amount)


def flag(text: str) -> bool:
    """1 or 0, or a word for them. Raises WrongValueError."""
    if text.strip().lower() in ("1", "true", "yes", "on"):
        return True
    if text.strip().lower() in ("0", "false", "no", "off"):
        return False
    raise WrongValueError("must be 1 or 0")


def _lifetime(text: str) -> str:
    words = " ".join(text.split())
    try:
        seconds = duration(words)
    except ArgumentError:
        seconds = 0
    if not 0 < seconds <= _LONGEST:
        raise WrongValueError('must be a span of time of at most a hundred years, such as "90d" or "6 months"')
    return words


def _patterns(text: str) -> tuple[str, ...]:
    patterns = [entry.strip() for entry in text.split(",")]
    if not all(re.fullmatch(r"\S{1,200}", pattern) and pattern.isprintable() for pattern in patterns):
        raise WrongValueError("must be one or more patterns without spaces inside, separated by commas")
    return tuple(dict.fromkeys(patterns))
