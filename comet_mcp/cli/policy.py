"""`cometapi-mcp policy`: the policy in force, in plain words, and whether a body of create_api_key is inside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import time

from pydantic_core import from_json

from comet_mcp import settings as configuration
from comet_mcp.api.wire import TokenBody
from comet_mcp.errors import ArgumentError
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.reading import RULES
from comet_mcp.policy.words import words
from comet_mcp.protocol.arguments import arguments_model, parse_arguments
from comet_mcp.rules import check_new_key
from comet_mcp.settings import Settings
from comet_mcp.text import printable, quoted
from comet_mcp.tools.keys import create_api_key
from comet_mcp.units import Units

HELP = """\
usage: cometapi-mcp policy [check FILE]

Print what the policy allows agents to do, in plain words; exit status 1 where it can't be used.

  check FILE   judge the JSON body of a create_api_key call, - for standard input: exit status 0 where it is allowed,
               1 where it is refused, with the nearest body that is allowed, 2 where it can't be read or is no such body

options:
  --help       print this

The settings are those of the server; README.md lists them.
"""
_ALLOWED, _REFUSED, _UNUSABLE = 0, 1, 2


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit status."""
    match arguments:
        case []:
            return _show(configuration.load())
        case ["check", file]:
            return _check(configuration.load(), file)
    asked = arguments in (["--help"], ["-h"])
    print(HELP, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def _show(settings: Settings) -> int:
    policy, units = settings.policy, settings.units
    if policy.problems:
        print("The policy can't be used, so the server refuses to make, change, delete, rotate or save any key:")
        for problem in policy.problems:
            print(f"- {problem}")
        return _REFUSED
    said = words(policy, units)
    for rule, text in said:
        print(f"- {text} ({rule})")
    if not said:
        print("No rule is set: agents may make, change, delete, rotate and save any key of the account.")
    print(f"Not set: {', '.join(_unset(policy, units))}." if len(said) < len(RULES) else "Every rule is set.")
    return _ALLOWED


def _unset(policy: Policy, units: Units) -> list[str]:
    is_set = {rule for rule, _ in words(policy, units)}
    return [rule.name for rule in RULES if rule.name not in is_set]


def _check(settings: Settings, file: str) -> int:
    try:
        body = _body(file, settings.units)
    except (ArgumentError, OSError, ValueError) as error:
        said = error.args[0] if isinstance(error, ArgumentError) else _unreadable(error)
        print(f"cometapi-mcp policy: {quoted(file, 300)}: {said}", file=sys.stderr)
        return _UNUSABLE
    guard = Guard(settings.policy, settings.units)
    broken = guard.check_new(body)
    if not broken:
        limited = bool(settings.policy.limits(settings.units))
        print(f"Allowed{', as far as the counts and sums of the policy are not used up' if limited else ''}.")
        return _ALLOWED
    print("Refused:")
    for entry in broken:
        print(f"- {printable(str(entry), 1000)}")
    nearest = None if settings.policy.problems else guard.nearest_new(body)
    if nearest is not None:
        left = ", ".join(dict.fromkeys(entry.rule for entry in guard.check_new(nearest)))
        print(f"The nearest body keeps every rule but {left}:" if left else "The nearest body that is allowed:")
        print(json.dumps(nearest.model_dump(), indent=2))
    return _REFUSED


def _body(file: str, units: Units) -> TokenBody:
    """The body in the file as the server would send it. Raises OSError, ValueError or ArgumentError."""
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    given = from_json(text)
    if not isinstance(given, dict):
        raise ArgumentError("it must be a JSON object, the arguments of create_api_key.")
    fields = parse_arguments(arguments_model(create_api_key), given)
    return check_new_key(TokenBody(**fields), time(), units)[0]


def _unreadable(error: OSError | ValueError) -> str:
    """What is wrong, without a part of the file: it could hold a secret."""
    return f"it can't be read: {error.strerror}." if isinstance(error, OSError) else "it is not valid JSON."
