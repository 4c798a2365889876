"""How a policy is written: one environment variable or one line of the config file's `[policy]` table a rule.

What can't be understood is never left out: the policy then has `problems`, and with any nothing may be written. The
environment wins over the file rule by rule, as for every other setting. Names that are no rule are found before, with
those that are no setting (`comet_mcp.settings.names`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from comet_mcp.policy.policy import Policy
from comet_mcp.policy.rule import TABLE, WrongValueError, filled
from comet_mcp.policy.rules import RULES


def read_policy(
    environ: Mapping[str, str],
    config: Mapping[str, Any],
    known: Iterable[str] = (),
    full_key: Callable[[str], str] = str,
) -> Policy:
    """The policy that the environment and the parsed config file say together.

    Args:
        environ: All variables.
        config: The whole config file.
        known: What is wrong with the policy already: the file can't be read, or a name in it is no rule.
        full_key: Where a rule of this key really stands in the config file, for messages.
    """
    problems = list(known)
    values: dict[str, Any] = {}
    found = config.get(TABLE)
    table = found if isinstance(found, dict) else {}
    for rule in RULES:
        source, text = rule.variable(), environ.get(rule.variable(), "")
        if not text and rule.name not in table:
            continue
        try:
            if not text:
                source = f"{full_key(rule.key())} in the config file"
                text = _as_text(table[rule.name])
            values[rule.name] = rule.parse(filled(text))
        except WrongValueError as wrong:
            problems.append(f"{source} {wrong}.")
    policy = Policy(**values)
    problems += [
        f"{on.name} is on, but there is no {on.needs} that it could mean."
        for on in policy.rules
        if on.needs and on.needs not in policy.values
    ]
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
