"""`cometapi-mcp policy`: what agents may do, in plain words, and whether a body of create_api_key is inside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import anyio
import click
from pydantic_core import from_json

from comet_mcp import settings as configuration
from comet_mcp.cli.people import why as told
from comet_mcp.cli.terminal import examples, tell
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

_ALLOWED, _REFUSED, _UNUSABLE, _UNCOUNTED = 0, 1, 2, 3
_NO_FILE = (
    "It needs a file with the JSON arguments of create_api_key, such as cometapi-mcp policy "
    "check key.json. With - in its place it reads them from standard input."
)
VERBS = {
    "create_api_key": "make",
    "update_api_key": "change",
    "delete_api_key": "delete",
    "tidy_api_keys": "delete",
    "rotate_api_key": "rotate",
    "save_api_key": "save",
}
"""What each writing tool does to a key."""


@click.group(
    "policy",
    invoke_without_command=True,
    epilog=examples("cometapi-mcp policy --all", "cometapi-mcp policy check key.json"),
)
@click.option("--all", "everything", is_flag=True, help="Name the rules of the policy that are not set, too.")
@click.pass_context
def command(context: click.Context, *, everything: bool) -> int:
    """Print what agents may do, in plain words.

    Exit status 1 where a setting is missing or wrong, so that they may do nothing. The settings are those that the
    server would have if it were started here; README.md lists them. Variables that stand only in the MCP client's
    config are not seen.
    """
    if context.invoked_subcommand is None:
        return _show(configuration.load(), everything=everything)
    if everything:
        raise click.UsageError(f"--all goes without {context.invoked_subcommand}.", context)
    return 0


@command.command("check", short_help="Judge the body of a new key.")
@click.argument("file", required=False)
@click.pass_context
def check(context: click.Context, file: str | None) -> int:
    """Judge the JSON body of a create_api_key call in FILE, - for standard input.

    Exit status: 0 where it is allowed; 1 where it is refused, with the nearest body that is allowed; 2 where it can't
    be read or is no such body, or where the journal with the counts and sums so far can't be read; 3 where every other
    rule allows it, and whose counts and sums are meant is not known.
    """
    if file is None:
        raise click.UsageError(_NO_FILE, context)
    return _check(configuration.load(), file)


def _show(settings: Settings, *, everything: bool) -> int:
    if _say_wrong(settings):
        return _REFUSED
    for line in said_of(settings):
        tell(line)
    if everything:
        named = {rule for rule, _ in settings.policy.words(settings.units)}
        unset = ", ".join(rule.name for rule in RULES if rule.name not in named)
        tell(f"Not set: {unset}." if unset else "Every rule is set.")
    if settings.access_token is not None:
        return _ALLOWED
    tell(
        "No access token is set here, and without one the server refuses every call: run `cometapi-mcp login`, or set "
        "COMETAPI_ACCESS_TOKEN, unless the MCP client's config has it."
    )
    return _REFUSED


def said_of(settings: Settings) -> Iterator[str]:
    """What agents may do under these settings, in lines for a person."""
    unasked, asked = _writing(settings)
    if settings.read_only:
        yield "Read-only: agents can change nothing (mcp.read_only)."
    elif not unasked and not asked:
        yield "Agents can change nothing: every tool that does is left out (mcp.disable_tools)."
    if asked:
        yield _confirmed(settings)
    if settings.env_dirs and "save" in (*unasked, *asked):
        folders = ", ".join(quoted(str(folder), 300) for folder in settings.env_dirs)
        yield f"Key values may be put into dotenv files in and below {folders} (mcp.env_dirs)."
    if settings.places:
        places = ", ".join(quoted(place, 300) for place in settings.places)
        yield f"A rotation may put the new value into places elsewhere that had the old one: {places} (mcp.places)."
    if settings.disable_tools:
        left_out = [name for name in get_args(ToolName) if name in settings.disable_tools]
        yield f"Tools left out: {', '.join(left_out)} (mcp.disable_tools)."
    said = settings.policy.words(settings.units)
    yield from (f"- {text} ({rule})" for rule, text in said)
    if not said and (unasked or asked):
        yield f"No rule is set: {_anything(unasked, asked)} any key of the account."


def _say_wrong(settings: Settings) -> bool:
    """Print what is wrong with the settings or the policy. Returns whether anything is."""
    mistakes, of_policy = settings.mistakes, settings.policy.problems
    if mistakes:
        tell("A setting is wrong, so the server refuses every call:")
    elif of_policy:
        tell("The policy can't be used, so the server refuses to make, change, delete, rotate or save any key:")
    for problem in dict.fromkeys((*mistakes, *of_policy)):
        tell(f"- {problem}")
    return bool(mistakes or of_policy)


def _writing(settings: Settings) -> tuple[list[str], list[str]]:
    """What agents may do to keys without asking, and what a person has to agree to, as verbs."""
    unasked: list[str] = []
    asked: list[str] = []
    for tool in TOOLS:
        if tool.writes and not left_out_by(tool, settings):
            asks = settings.confirm == "writes" or (settings.confirm == "destructive" and tool.destructive)
            (asked if asks else unasked).append(VERBS[tool.name])
    return list(dict.fromkeys(unasked)), list(dict.fromkeys(asked))


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
        tell(f"cometapi-mcp policy: {where}: {said}", aside=True)
        return _UNUSABLE
    if _say_wrong(settings):
        return _REFUSED
    unasked, asked = _writing(settings)
    if "make" not in (*unasked, *asked):
        left_out = "mcp.read_only" if settings.read_only else "mcp.disable_tools"
        tell(f"Refused: the server has no tool that makes a key ({left_out}).")
        return _REFUSED
    limited = bool(settings.policy.limits(settings.units))
    try:
        counted = anyio.run(_spending, settings) if limited and settings.access_token else None
    except CometError as error:
        tell(f"cometapi-mcp policy: {told(error)}", aside=True)
        return _UNUSABLE
    broken = _judge(settings, body, counted, asks="make" in asked, is_uncounted=limited and counted is None)
    if counted is not None:
        keys = "1 key was made" if counted.keys == 1 else f"{counted.keys} keys were made"
        tell(f"Counted so far: {keys} and {settings.units.exact(counted.units)} of budget given, in all.")
    elif limited:
        why = (
            "the journal knows no account by this access token yet"
            if settings.access_token
            else "without an access token (COMETAPI_ACCESS_TOKEN) it is not known whose counts in the journal are meant"
        )
        tell(f"The counts and sums of the policy were judged as if no key had been made yet: {why}.")
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
        tell(f"{said}, once a person has confirmed it (mcp.confirm)." if asks else f"{said}.")
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
    tell("Refused:")
    for entry in broken:
        tell(f"- {printable(str(entry), 1000)}")
    nearest = enforcer.nearest_new(body, spending)
    if nearest is None:
        return
    left = list(dict.fromkeys(entry.rule for entry in enforcer.check_new(nearest, spending)))
    if left and all(entry.rule in left for entry in broken):
        return
    tell(f"The nearest body keeps every rule but {', '.join(left)}:" if left else "The nearest body that is allowed:")
    click.echo(json.dumps(nearest.model_dump(), indent=2))


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
