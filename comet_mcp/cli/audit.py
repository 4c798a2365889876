"""`cometapi-mcp audit`: the audit trail as a table or as JSON lines, its verification, and its pruning."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, get_args

import anyio
import click

from comet_mcp import settings as configuration
from comet_mcp.audit import chain
from comet_mcp.cli.audit_views import Chosen, say, show_calls
from comet_mcp.cli.terminal import Group, examples
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.lifetimes import duration
from comet_mcp.errors import ArgumentError
from comet_mcp.journal.base import Rows
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.settings import ToolName
from comet_mcp.text import printable, quoted

_ALL = "9999"  # later than every row's time
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


@click.group(
    "audit",
    cls=Group,
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
    chosen = Chosen(since, tool, key, as_json)
    if context.invoked_subcommand is None:
        return _on_trail(lambda _, trail, zone: show_calls(trail.audit, chosen, zone))
    if chosen != Chosen(None, None, None, as_json=False):
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
    return _on_trail(lambda _, trail, __: _verify(trail, head), missing=1)


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
    return _on_trail(lambda journal, trail, _: _prune(journal, trail, None if everything else before))


def _on_trail(work: Callable[[SQLiteJournal, Rows, tzinfo], int | None], *, missing: int = 0) -> int:
    """What `work` returns for the trail of this user and their zone; `missing` where there is none.

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
        return work(journal, anyio.run(journal.run, chain.reading()), settings.timezone) or 0
    finally:
        journal.close()


def _prune(journal: SQLiteJournal, trail: Rows, before: str | None) -> int:
    """Drop the rows from before a time, None for every row."""
    if fault := chain.verify(trail).fault:
        say(
            f"The audit trail is not whole. {fault} Nothing was dropped, for what is left would not show that. To "
            "begin anew, move the journal away while no server runs, and keep it."
        )
        return 1
    dropped = anyio.run(journal.run, chain.pruning(before or _ALL, SYSTEM))
    journal.compact()
    click.echo(f"{dropped} rows{f' from before {before}' if before else ''} were dropped.")
    return 0


def _verify(trail: Rows, head: str | None) -> int:
    verified = chain.verify(trail)
    if verified.fault:
        say(f"The audit trail is not whole. {verified.fault}")
        return 1
    if verified.before:
        say(f"The rows that are left are whole, those that were dropped were not. {' '.join(verified.before)}")
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
