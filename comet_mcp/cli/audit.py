"""`cometapi-mcp audit`: the audit trail as a table or as JSON lines, its verification, and its pruning."""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import anyio

from comet_mcp import settings as configuration
from comet_mcp.audit import chain
from comet_mcp.audit.calls import UNDER_WAY_FOR, calls
from comet_mcp.audit.redaction import measure
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.lifetimes import duration
from comet_mcp.errors import ArgumentError, CometError
from comet_mcp.journal.base import AuditRow, Rows
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.policy.rules import RULES
from comet_mcp.settings import ToolName
from comet_mcp.text import escaped, printable, quoted

_COLUMNS = ("time", "tool", "key", "name", "outcome", "confirmed", "policy", "client", "arguments")
_ALL = "9999"  # later than every row's time
_SHOWN = 100
_NARROW = 40
"""Columns that a name, a client or the rules of a verdict may take: one long one would move all others apart."""
_BROKEN, _UNPROVEN = 1, 3
_WHERE = "COMETAPI_MCP_STATE|COMETAPI_MCP_CONFIG|^The config file"  # what leaves open which journal is meant

DESCRIPTION = """\
Show what the servers of this user changed: each writing call, the arguments that it was given, the key's name, its
client and how it ended. The table names the rules by which the policy refused a call; --json has the policy's words.

Each row of the trail carries the hash of the one before. "verify" finds what was altered or cut out. Such hashes tell
of accidents and careless hands, not of somebody who rewrites the whole file: against that, keep the hash that "verify"
prints somewhere else, and give it back later with --head.

Exit status of "verify": 0 the trail is whole, and with --head proven to be the one that had that hash; 1 it is not
whole, not that one, or can't be read; 2 a wrong command; 3 it is whole, but old rows were dropped and no row that is
left has the hash of --head, so that it can't be proven to be that one.
"""


def main(arguments: list[str]) -> int:
    """Do what is asked. Returns the exit status.

    1 where the chain is broken, there is none to verify, or the journal can't be read; 2 for a wrong command; 3 where
    the chain is whole, and whether it is the one of which --head was kept can't be told.
    """
    options = _options(arguments)
    settings = configuration.load()
    wrong = [problem for problem in settings.problems if re.search(_WHERE, problem)]
    if wrong:
        print(f"cometapi-mcp audit: {' '.join(wrong)}", file=sys.stderr)
        return 2
    if not settings.state.exists():
        print(f"There is no audit trail: {printable(str(settings.state), 300)} does not exist.", file=sys.stderr)
        return 1 if options.command == "verify" else 0
    journal = SQLiteJournal(settings.state)
    try:
        trail = anyio.run(journal.run, chain.reading())
        if options.command == "verify":
            return _verify(trail, options.head)
        if options.command == "prune":
            return _prune(journal, trail, options)
        _show(trail.audit, options)
    except CometError as error:
        print(f"cometapi-mcp audit: {error}", file=sys.stderr)
        return 1
    finally:
        journal.close()
    return 0


def _prune(journal: SQLiteJournal, trail: Rows, options: argparse.Namespace) -> int:
    before = _ALL if options.all else options.before
    if fault := chain.verify(trail).fault:
        _print(
            f"The audit trail is not whole. {fault} Nothing was dropped, for what is left would not show that. To "
            "begin anew, move the journal away while no server runs, and keep it."
        )
        return 1
    dropped = anyio.run(journal.run, chain.pruning(before, SYSTEM))
    journal.compact()
    print(f"{dropped} rows{'' if options.all else f' from before {before}'} were dropped.")
    return 0


def _show(rows: list[AuditRow], options: argparse.Namespace) -> None:
    running_since = chain.stamp(datetime.fromtimestamp(SYSTEM.now(), UTC) - timedelta(seconds=UNDER_WAY_FOR))
    chosen = [
        call
        for call in calls(rows, running_since)
        if (options.since is None or str(call.get("begun") or call.get("ended") or "") >= options.since)
        and (options.tool is None or call["tool"] == options.tool)
        and (options.key is None or options.key in call["key_ids"])
    ]
    if options.json:
        for call in chosen:
            _print(json.dumps(call, ensure_ascii=False))
        return
    lines = [_COLUMNS, *map(_cells, chosen)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(_COLUMNS) - 1)]
    for line in lines:
        padded = [cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=False)]
        _print("  ".join([*padded, line[-1]]).rstrip())


def _cells(call: dict[str, Any]) -> tuple[str, ...]:
    given = call.get("arguments") or {}
    # each value is cut by itself: a long one must not hide the argument after it
    words = [f"{name}={_value(name, value)}" for name, value in given.items()]
    cells = (
        f"{time[:19]}Z" if (time := call.get("begun") or call.get("ended")) else "?",
        call["tool"] or "?",
        ", ".join(map(str, call["key_ids"])) or "-",
        quoted(str(call["key_name"]), _NARROW) if call.get("key_name") else "-",
        _outcome(call),
        call.get("confirmation") or "-",
        printable(_rules(str(call.get("policy") or "-")), _NARROW),
        printable(call.get("client") or "-", _NARROW),
    )
    return tuple(_written(cell) for cell in (*(printable(str(cell)) for cell in cells), " ".join(words)))


def _value(name: str, value: Any) -> str:
    """An argument's value; of a long list of addresses the widest come first, for they must not be what is cut off."""
    if name == "allow_ips" and isinstance(value, str) and len(value) > _SHOWN and "\n" in value:
        value = measure(AddressList.parse(value))
    return printable(json.dumps(value, ensure_ascii=False), _SHOWN)


def _outcome(call: dict[str, Any]) -> str:
    """How it ended, and how often where equal refusals have one row."""
    if call["state"] != "ended":
        return str(call["state"].replace("_", " "))
    return f"{call['outcome']} ({call['count']} times)" if call.get("count", 1) > 1 else str(call["outcome"])


def _rules(verdict: str) -> str:
    """The names of the rules that a verdict of the policy is about; --json has the whole of it."""
    return ", ".join(rule.name for rule in RULES if f"{rule.name}: " in verdict) or printable(verdict, _SHOWN)


def _written(text: str) -> str:
    """The text as the terminal, or the file behind standard output, can take it."""
    return escaped(text, sys.stdout.encoding or "utf-8")


def _print(line: str) -> None:
    print(_written(line))


def _width(text: str) -> int:
    """The columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _verify(trail: Rows, head: str | None) -> int:
    verified = chain.verify(trail)
    if verified.fault:
        _print(f"The audit trail is not whole. {verified.fault}")
        return 1
    if verified.before:
        _print(f"The rows that are left are whole, those that were dropped were not. {' '.join(verified.before)}")
        return 1
    dropped = chain.prunings(trail)
    row = chain.proven_by(trail, head) if head else None
    if head and row is None:
        return _unproven(trail, head, dropped)
    if dropped:
        print(f"Rows up to {dropped[-1].get('through')} were dropped: what they said can't be verified any more.")
    if row is not None:
        print(f"Every row that is left up to {row} is as it was when that head was kept.")
    print(f"The audit trail is whole: {verified.rows} rows, head {verified.head}")
    return 0


def _unproven(trail: Rows, head: str, dropped: list[dict[str, Any]]) -> int:
    """Say what follows from a head that no row of a whole trail has."""
    why = f"The audit trail is whole in itself, but no row of it has the hash {printable(head)}"
    if not dropped:
        print(f"{why}: it was rewritten or replaced after that hash was kept.")
        return _BROKEN
    noted = "A note says that a row with that hash was dropped" if chain.holds(trail, head) else "Old rows were dropped"
    print(
        f"{why}. {noted}. Anybody who can write the file could have noted that, so it can't be proven that this is "
        "the trail it was. Keep the head anew after each pruning."
    )
    return _UNPROVEN


def _head(text: str) -> str:
    """A hash as `verify` prints it."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        raise argparse.ArgumentTypeError(
            f"{printable(text, 80)!a} is no head: one has 64 hexadecimal digits, as verify prints it."
        )
    return text.strip().lower()


def _moment(text: str) -> str:
    """A date, a time or an age, in the form that entries have."""
    try:
        moment = _date(text) or datetime.fromtimestamp(SYSTEM.now(), UTC) - timedelta(seconds=duration(text))
    except (ArgumentError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{printable(text)!a} is no time. Give a date (2027-01-31), a time (2027-01-31T12:00Z) or an age (7d); UTC."
        ) from None
    return chain.stamp(moment)


def _date(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _options(arguments: list[str]) -> argparse.Namespace:
    """What is asked for; leaves with status 2 and a sentence where that is not clear."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command and (options.since or options.tool or options.key is not None or options.json):
        parser.error(f"--since, --tool, --key and --json choose what is shown; {options.command} takes none of them.")
    if options.command != "prune":
        return options
    if options.before is None and not options.all:
        parser.error("prune drops rows for good: say which with --before WHEN, or --all for every row.")
    is_future = options.before is not None and options.before > chain.now(SYSTEM)
    if is_future and not options.all:
        parser.error(f"--before {options.before} is in the future: that would drop every row. Say --all to do that.")
    if options.all and options.before is not None and not is_future:
        parser.error("--all drops every row, and --before only the older ones. Give one of them.")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cometapi-mcp audit",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    when = "WHEN"
    parser.add_argument("--since", type=_moment, metavar=when, help="calls begun since a date, a time or an age (7d)")
    parser.add_argument("--tool", choices=get_args(ToolName), metavar="NAME", help="calls of one tool")
    parser.add_argument("--key", type=int, metavar="ID", help="calls about one key, or that made it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    commands = parser.add_subparsers(dest="command", metavar="{verify,prune}")
    verify = commands.add_parser("verify", help="name the first row that was altered or is missing")
    verify.add_argument(
        "--head", type=_head, metavar="HASH", help="a hash kept elsewhere, which some row must still have"
    )
    prune = commands.add_parser("prune", help="drop old rows; the rest can still be verified")
    prune.add_argument("--before", type=_moment, metavar=when, help="a date, a time or an age (365d)")
    prune.add_argument("--all", action="store_true", help="drop every row")
    return parser
