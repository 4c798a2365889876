"""`cometapi-mcp policy`: what agents may do, in plain words, and whether a body of create_api_key is inside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import get_args

import anyio
from pydantic_core import from_json

from comet_mcp import settings as configuration
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.money import Units
from comet_mcp.domain.validation import check_new_key
from comet_mcp.errors import ArgumentError, CometError
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.policy.enforcer import PolicyEnforcer
from comet_mcp.policy.rule import Violation
from comet_mcp.policy.rules import RULES
from comet_mcp.policy.windows import NOTHING, Spending
from comet_mcp.server import TOOLS, left_out_by
from comet_mcp.services.identity import digest_of_token
from comet_mcp.settings import Settings, ToolName
from comet_mcp.text import printable, quoted
from comet_mcp.tools.arguments import arguments_model, parse_arguments
from comet_mcp.tools.create_api_key import create_api_key

HELP = """\
usage: cometapi-mcp policy [--all | check FILE]

Print what agents may do, in plain words; exit status 1 where a setting is wrong, so that they may do nothing.

  check FILE   judge the JSON body of a create_api_key call, - for standard input: exit status 0 where it is allowed,
               1 where it is refused, with the nearest body that is allowed, 2 where it can't be read or is no such
               body, or where the journal with the counts and sums so far can't be read, 3 where every other rule
               allows it, and whose counts and sums are meant is not known

options:
  --all        name the rules of the policy that are not set, too
  --help       print this

The settings are those that the server would have if it were started here; README.md lists them. Variables that stand
only in the MCP client's config are not seen.
"""
_ALLOWED, _REFUSED, _UNUSABLE, _UNCOUNTED = 0, 1, 2, 3
_NO_FILE = (
    "cometapi-mcp policy: check needs a file with the JSON arguments of create_api_key, such as cometapi-mcp policy "
    "check key.json. With - in its place it reads them from standard input."
)
VERBS = {
    "create_api_key": "make",
    "update_api_key": "change",
    "delete_api_key": "delete",
    "rotate_api_key": "rotate",
    "save_api_key": "save",
}
"""What each writing tool does to a key."""


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit status."""
    match arguments:
        case [] | ["--all"]:
            return _show(configuration.load(), everything=bool(arguments))
        case ["check", file]:
            return _check(configuration.load(), file)
        case ["check"]:
            print(_NO_FILE, file=sys.stderr)
            return _UNUSABLE
    if unknown := [word for word in arguments if word not in ("--help", "-h")]:
        print(f"cometapi-mcp policy: it does not take {' '.join(map(quoted, unknown))}.\n", file=sys.stderr)
    asked = arguments in (["--help"], ["-h"])
    print(HELP, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def _show(settings: Settings, *, everything: bool) -> int:
    if _say_wrong(settings):
        return _REFUSED
    unasked, asked = _writing(settings)
    if settings.read_only:
        print("Read-only: agents can change nothing (mcp.read_only).")
    elif not unasked and not asked:
        print("Agents can change nothing: every tool that does is left out (mcp.disable_tools).")
    if asked:
        print(_confirmed(settings))
    _say_folders_and_tools(settings, saves="save" in (*unasked, *asked))
    said = settings.policy.words(settings.units)
    for rule, text in said:
        print(f"- {text} ({rule})")
    if not said and (unasked or asked):
        print(f"No rule is set: {_anything(unasked, asked)} any key of the account.")
    if everything:
        named = {rule for rule, _ in said}
        unset = ", ".join(rule.name for rule in RULES if rule.name not in named)
        print(f"Not set: {unset}." if unset else "Every rule is set.")
    if settings.access_token is None:
        print(
            "No access token is set here, and without one the server refuses every call: set COMETAPI_ACCESS_TOKEN, or "
            f"access_token in {quoted(str(settings.config), 300)}, unless the MCP client's config has it."
        )
    return _ALLOWED


def _say_folders_and_tools(settings: Settings, *, saves: bool) -> None:
    if settings.env_dirs and saves:
        folders = ", ".join(quoted(str(folder), 300) for folder in settings.env_dirs)
        print(f"Key values may be put into dotenv files in and below {folders} (mcp.env_dirs).")
    if settings.disable_tools:
        left_out = [name for name in get_args(ToolName) if name in settings.disable_tools]
        print(f"Tools left out: {', '.join(left_out)} (mcp.disable_tools).")


def _say_wrong(settings: Settings) -> bool:
    """Print what is wrong with the settings or the policy. Returns whether anything is."""
    mistakes, of_policy = settings.mistakes, settings.policy.problems
    if mistakes:
        print("A setting is wrong, so the server refuses every call:")
    elif of_policy:
        print("The policy can't be used, so the server refuses to make, change, delete, rotate or save any key:")
    for problem in dict.fromkeys((*mistakes, *of_policy)):
        print(f"- {problem}")
    return bool(mistakes or of_policy)


def _writing(settings: Settings) -> tuple[list[str], list[str]]:
    """What agents may do to keys without asking, and what a person has to agree to, as verbs."""
    unasked: list[str] = []
    asked: list[str] = []
    for tool in TOOLS:
        if tool.writes and not left_out_by(tool, settings):
            asks = settings.confirm == "writes" or (settings.confirm == "destructive" and tool.destructive)
            (asked if asks else unasked).append(VERBS[tool.name])
    return unasked, asked


def _confirmed(settings: Settings) -> str:
    what = "every write" if settings.confirm == "writes" else "each change, deletion and rotation of a key"
    unable = "is refused" if settings.confirm_fallback == "refuse" else "needs no answer (mcp.confirm_fallback = allow)"
    return f"A person confirms {what} (mcp.confirm = {settings.confirm}); a client that can't ask {unable}."


def _anything(unasked: list[str], asked: list[str]) -> str:
    if not unasked:
        return f"with a person's yes agents may {_listed(asked)}"
    also = f", and with a person's yes {_listed(asked)}," if asked else ""
    return f"agents may {_listed(unasked)}{also}"


def _listed(verbs: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(verbs[:-1]), verbs[-1]]))


def _check(settings: Settings, file: str) -> int:
    try:
        body = _body(file, settings.units)
    except (ArgumentError, OSError, ValueError) as error:
        said = error.args[0] if isinstance(error, ArgumentError) else _unreadable(error)
        where = "standard input" if file == "-" else quoted(file, 300)
        print(f"cometapi-mcp policy: {where}: {said}", file=sys.stderr)
        return _UNUSABLE
    if _say_wrong(settings):
        return _REFUSED
    unasked, asked = _writing(settings)
    if "make" not in (*unasked, *asked):
        left_out = "mcp.read_only" if settings.read_only else "mcp.disable_tools"
        print(f"Refused: the server has no tool that makes a key ({left_out}).")
        return _REFUSED
    limited = bool(settings.policy.limits(settings.units))
    try:
        counted = anyio.run(_spending, settings) if limited and settings.access_token else None
    except CometError as error:
        print(f"cometapi-mcp policy: {error}", file=sys.stderr)
        return _UNUSABLE
    broken = _judge(settings, body, counted, asks="make" in asked, is_uncounted=limited and counted is None)
    if counted is not None:
        keys = "1 key was made" if counted.keys == 1 else f"{counted.keys} keys were made"
        print(f"Counted so far: {keys} and {settings.units.exact(counted.units)} of budget given, in all.")
    elif limited:
        why = (
            "the journal knows no account by this access token yet"
            if settings.access_token
            else "without an access token (COMETAPI_ACCESS_TOKEN) it is not known whose counts in the journal are meant"
        )
        print(f"The counts and sums of the policy were judged as if no key had been made yet: {why}.")
        return _REFUSED if broken else _UNCOUNTED
    return _REFUSED if broken else _ALLOWED


def _judge(settings: Settings, body: KeySpec, counted: Spending | None, *, asks: bool, is_uncounted: bool) -> bool:
    """Print whether a body is allowed after what was counted so far. Returns whether it is refused."""
    spending = counted or NOTHING
    enforcer = PolicyEnforcer(settings.policy, settings.units, SYSTEM)
    broken = enforcer.check_new(body, spending)
    if broken:
        _say_refused(enforcer, body, spending, broken)
    else:
        said = "Allowed, but for counts and sums" if is_uncounted else "Allowed"
        print(f"{said}, once a person has confirmed it (mcp.confirm)." if asks else f"{said}.")
    return bool(broken)


async def _spending(settings: Settings) -> Spending | None:
    """What the journal counted for the account, None where it does not know it. Raises JournalError."""
    journal = SQLiteJournal(settings.state)
    if not await journal.exists():
        return NOTHING
    known = Step(
        Reads(accounts=True, alias=digest_of_token(settings)), lambda rows: Decision(rows.known_as), durable=False
    )

    def decide(rows: Rows) -> Decision[Spending]:
        return Decision(rows.spending)

    try:
        account = await journal.run(known)
        if account is None:
            return None
        return await journal.run(Step(Reads(account, spending=True), decide, durable=False))
    finally:
        journal.close()


def _say_refused(enforcer: PolicyEnforcer, body: KeySpec, spending: Spending, broken: list[Violation]) -> None:
    print("Refused:")
    for entry in broken:
        print(f"- {printable(str(entry), 1000)}")
    nearest = enforcer.nearest_new(body, spending)
    if nearest is None:
        return
    left = list(dict.fromkeys(entry.rule for entry in enforcer.check_new(nearest, spending)))
    if left and all(entry.rule in left for entry in broken):
        return
    print(f"The nearest body keeps every rule but {', '.join(left)}:" if left else "The nearest body that is allowed:")
    print(json.dumps(nearest.model_dump(), indent=2))


def _body(file: str, units: Units) -> KeySpec:
    """The body in the file as the server would send it. Raises OSError, ValueError or ArgumentError."""
    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    given = from_json(text)
    if not isinstance(given, dict):
        raise ArgumentError("it must be a JSON object, the arguments of create_api_key.")
    fields = parse_arguments(arguments_model(create_api_key), given)
    return check_new_key(KeySpec(**fields), SYSTEM.now(), units)[0]


def _unreadable(error: OSError | ValueError) -> str:
    """What is wrong, without a part of the file: it could hold a secret."""
    return f"it can't be read: {error.strerror}." if isinstance(error, OSError) else "it is not valid JSON."
