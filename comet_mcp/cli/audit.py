"""`cometapi-mcp audit`: the audit trail as a table or as JSON lines, its verification, and its pruning."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import anyio
import click

from comet_mcp import settings as configuration
from comet_mcp.audit import chain
from comet_mcp.audit.calls import UNDER_WAY_FOR, calls
from comet_mcp.audit.redaction import measure
from comet_mcp.cli.terminal import columns_of, examples
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.lifetimes import duration
from comet_mcp.errors import ArgumentError
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

_WHEN = "WHEN"


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A date, a time or an age, in the form that entries have."""
    if text is None:
        return None
    try:
        moment = _date(text) or datetime.fromtimestamp(SYSTEM.now(), UTC) - timedelta(seconds=duration(text))
    except (ArgumentError, OverflowError):
        raise click.BadParameter(
            f"{quoted(text)} is no time. Give a date (2027-01-31), a time (2027-01-31T12:00Z) or an age (7d); UTC.",
            context,
            parameter,
        ) from None
    return chain.stamp(moment)


def _head(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A hash as `verify` prints it."""
    if text is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        said = f"{quoted(text)} is no head: one has 64 hexadecimal digits, as verify prints it."
        raise click.BadParameter(said, context, parameter)
    return None if text is None else text.strip().lower()


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which calls are shown, and how."""

    since: str | None
    tool: str | None
    key: int | None
    as_json: bool


@click.group(
    "audit",
    invoke_without_command=True,
    epilog=examples(
        "cometapi-mcp audit --since 7d",
        "cometapi-mcp audit --key 12 --json",
        "cometapi-mcp audit verify",
        "cometapi-mcp audit prune --before 365d",
    ),
)
@click.option("--since", callback=_moment, metavar=_WHEN, help="Calls begun since a date, a time or an age (7d).")
@click.option("--tool", type=click.Choice(get_args(ToolName)), metavar="NAME", help="Calls of one tool.")
@click.option("--key", type=int, metavar="ID", help="Calls about one key, or that made it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@click.pass_context
def command(context: click.Context, since: str | None, tool: str | None, key: int | None, *, as_json: bool) -> int:
    """Show what the servers of this user changed.

    Each writing call, the arguments that it was given, the key's name, its client and how it ended. The table names the
    rules by which the policy refused a call; --json has the policy's words.

    Each row of the trail carries the hash of the one before. "verify" finds what was altered or cut out. Such hashes
    tell of accidents and careless hands, not of somebody who rewrites the whole file: against that, keep the hash that
    "verify" prints somewhere else, and give it back later with --head.
    """
    chosen = _Chosen(since, tool, key, as_json)
    if context.invoked_subcommand is None:
        return _on_trail(lambda _, trail: _show(trail.audit, chosen))
    if chosen != _Chosen(None, None, None, as_json=False):
        raise click.UsageError(
            f"--since, --tool, --key and --json choose what is shown; {context.invoked_subcommand} takes none of them.",
            context,
        )
    return 0


@command.command("verify", short_help="Name the first altered or missing row.")
@click.option("--head", callback=_head, metavar="HASH", help="A hash kept elsewhere, which some row must still have.")
def verify(head: str | None) -> int:
    """Name the first row that was altered or is missing.

    Exit status: 0 the trail is whole, and with --head proven to be the one that had that hash; 1 it is not whole, not
    that one, or can't be read; 2 a wrong command; 3 it is whole, but old rows were dropped and no row that is left has
    the hash of --head, so that it can't be proven to be that one.
    """
    return _on_trail(lambda _, trail: _verify(trail, head), missing=1)


@command.command("prune", short_help="Drop old rows.")
@click.option("--before", callback=_moment, metavar=_WHEN, help="A date, a time or an age (365d).")
@click.option("--all", "everything", is_flag=True, help="Drop every row.")
@click.pass_context
def prune(context: click.Context, before: str | None, *, everything: bool) -> int:
    """Drop old rows; the rest can still be verified."""
    if before is None and not everything:
        raise click.UsageError(
            "prune drops rows for good: say which with --before WHEN, or --all for every row.", context
        )
    is_future = before is not None and before > chain.now(SYSTEM)
    if is_future and not everything:
        raise click.UsageError(
            f"--before {before} is in the future: that would drop every row. Say --all to do that.", context
        )
    if everything and before is not None and not is_future:
        raise click.UsageError("--all drops every row, and --before only the older ones. Give one of them.", context)
    return _on_trail(lambda journal, trail: _prune(journal, trail, None if everything else before))


def _on_trail(work: Callable[[SQLiteJournal, Rows], int | None], *, missing: int = 0) -> int:
    """What `work` returns for the trail of this user; `missing` where there is none.

    Raises:
        CometError: The journal can't be read.
    """
    settings = configuration.load()
    wrong = [problem for problem in settings.problems if re.search(_WHERE, problem)]
    if wrong:
        click.echo(f"cometapi-mcp audit: {' '.join(wrong)}", err=True)
        return 2
    if not settings.state.exists():
        click.echo(f"There is no audit trail: {printable(str(settings.state), 300)} does not exist.", err=True)
        return missing
    journal = SQLiteJournal(settings.state)
    try:
        return work(journal, anyio.run(journal.run, chain.reading())) or 0
    finally:
        journal.close()


def _prune(journal: SQLiteJournal, trail: Rows, before: str | None) -> int:
    """Drop the rows from before a time, None for every row."""
    if fault := chain.verify(trail).fault:
        _print(
            f"The audit trail is not whole. {fault} Nothing was dropped, for what is left would not show that. To "
            "begin anew, move the journal away while no server runs, and keep it."
        )
        return 1
    dropped = anyio.run(journal.run, chain.pruning(before or _ALL, SYSTEM))
    journal.compact()
    click.echo(f"{dropped} rows{f' from before {before}' if before else ''} were dropped.")
    return 0


def _show(rows: list[AuditRow], wanted: _Chosen) -> None:
    running_since = chain.stamp(datetime.fromtimestamp(SYSTEM.now(), UTC) - timedelta(seconds=UNDER_WAY_FOR))
    chosen = [
        call
        for call in calls(rows, running_since)
        if (wanted.since is None or str(call.get("begun") or call.get("ended") or "") >= wanted.since)
        and (wanted.tool is None or call["tool"] == wanted.tool)
        and (wanted.key is None or wanted.key in call["key_ids"])
    ]
    if wanted.as_json:
        for call in chosen:
            _print(json.dumps(call, ensure_ascii=False))
        return
    for line in columns_of([_COLUMNS, *map(_cells, chosen)]):
        _print(line)


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
    click.echo(_written(line))


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
        click.echo(f"Rows up to {dropped[-1].get('through')} were dropped: what they said can't be verified any more.")
    if row is not None:
        click.echo(f"Every row that is left up to {row} is as it was when that head was kept.")
    click.echo(f"The audit trail is whole: {verified.rows} rows, head {verified.head}")
    return 0


def _unproven(trail: Rows, head: str, dropped: list[dict[str, Any]]) -> int:
    """Say what follows from a head that no row of a whole trail has."""
    why = f"The audit trail is whole in itself, but no row of it has the hash {printable(head)}"
    if not dropped:
        click.echo(f"{why}: it was rewritten or replaced after that hash was kept.")
        return _BROKEN
    noted = "A note says that a row with that hash was dropped" if chain.holds(trail, head) else "Old rows were dropped"
    click.echo(
        f"{why}. {noted}. Anybody who can write the file could have noted that, so it can't be proven that this is "
        "the trail it was. Keep the head anew after each pruning."
    )
    return _UNPROVEN


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
