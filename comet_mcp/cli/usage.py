"""`cometapi-mcp usage`: what was spent, as bars by day and tables by key and model, or as JSON or CSV."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import anyio
import click

from comet_mcp.cli.finding import find_row
from comet_mcp.cli.options import profile_option
from comet_mcp.cli.people import for_people, usable_settings
from comet_mcp.cli.tables import Column, show_table
from comet_mcp.cli.terminal import examples, progress, tell
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.span_words import span_of
from comet_mcp.domain.spans import said
from comet_mcp.domain.usage import Dimension, Group, Spending, Sum, dimensions
from comet_mcp.services.usage import Question, Usage
from comet_mcp.settings import Settings
from comet_mcp.text import printable
from comet_mcp.tools.usage_views import notes, previous

_WITHIN = 120.0
"""Seconds for all questions: a person in a terminal has more time than a client."""
_MOST_BARS = 62
"""Days of which each has a bar; of a longer span it is each month."""
_WIDEST_BAR = 40
_BESIDE_BAR = 30
"""Columns for a day and its cost."""
_NAME = 50
"""Characters of a name or a model in a table."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was asked, and what came."""

    question: Question
    usage: Usage


@click.command(
    "usage",
    epilog=examples(
        "cometapi-mcp usage",
        'cometapi-mcp usage --span "last 7 days" --by key,day',
        "cometapi-mcp usage --span October --csv > october.csv",
    ),
)
@click.option("--span", default="this month", show_default=True, help='Such as "last 7 days", November, 2026-11-03.')
@click.option("--by", "by", metavar="WHAT", help="Only this table: key, model, day, or two such as key,day.")
@click.option("--key", "key", metavar="NAME-or-ID", help="Only what this key spent.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Lines of a table.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, costs in US dollars and quota units.")
@click.option("--csv", "as_csv", is_flag=True, help="One table as CSV; without --by it is by day.")
@profile_option
def command(span: str, by: str | None, key: str | None, top: int, *, as_json: bool, as_csv: bool) -> int:
    """Show what was spent in a span of time, and in the one before.

    It is read from the account's log where that is short, else from the API's own sums. What could not be read is told
    on stderr, and the exit status is then 1.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms: give one of them.")
    settings = usable_settings()
    asked = [dimensions(by)] if by else [dimensions("day")]
    if not by and not as_csv:
        asked.append(dimensions("key,model"))
    with progress("Reading the log"):
        answers = anyio.run(_read, settings, span, key, asked)
    if as_csv:
        click.echo(_csv(answers[0].usage.read.spending, settings), nl=False)
    elif as_json:
        click.echo(json.dumps(_as_json(answers, settings), ensure_ascii=False, indent=2))
    else:
        _draw(answers, settings, top)
    told = [note for answer in answers for note in _notes(answer, settings)]
    for note in dict.fromkeys(told):
        tell(f"cometapi-mcp usage: {note}", aside=True)
    return int(any(answer.usage.read.gaps for answer in answers))


async def _read(settings: Settings, span: str, key: str | None, asked: list[tuple[Dimension, ...]]) -> list[_Answer]:
    app = Services.of(settings)
    try:
        deadline = Deadline(app.clock, _WITHIN)
        await app.hear_clock(deadline)
        wanted = span_of(span, app.clock.now(), settings.timezone)
        key_id = None
        if key is not None:
            row, told = await find_row(app, key)
            key_id = row.id
            if told:
                tell(f"cometapi-mcp usage: {told}", aside=True)
        questions = [Question(wanted, by, key_id) for by in asked]
        return [_Answer(question, await app.usage.read(question, deadline)) for question in questions]
    finally:
        await app.aclose()


def _notes(answer: _Answer, settings: Settings) -> list[str]:
    found = notes(answer.usage, answer.question, settings.units, settings.timezone)
    return [for_people(note) for note in found]


def _draw(answers: list[_Answer], settings: Settings, top: int) -> None:
    """The total, bars for days, and a table for everything else."""
    usage, units, zone = answers[0].usage, settings.units, settings.timezone
    total = usage.read.spending.total
    click.echo(
        f"{said(usage.start, max(usage.end, usage.start + 1), zone)}: {units.cost(total.units)} in {total.calls} calls"
    )
    if before := previous(usage, answers[0].question, units, zone):
        click.echo(f"Before: {before}")
    for answer in answers:
        spending = answer.usage.read.spending
        if not spending.groups:
            continue
        if spending.by == ("day",):
            click.echo()
            _draw_days(answer, settings)
        elif len(answers) > 1:
            for one in spending.by:
                click.echo()
                _draw_table(spending.only_by(one), settings, top)
        else:
            click.echo()
            _draw_table(spending, settings, top)


def _draw_days(answer: _Answer, settings: Settings) -> None:
    bars = dict(_bars(answer, settings))
    most = max((found.units for found in bars.values()), default=0)
    widest = max(min(_WIDEST_BAR, shutil.get_terminal_size().columns - _BESIDE_BAR), 5)
    full = "█" if (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf") else "#"
    rows = []
    for day, found in bars.items():
        length = -(-max(found.units, 0) * widest // most) if most > 0 else 0
        rows.append((day, settings.units.cost(found.units), full * length))
    show_table((Column("Day"), Column("Cost", right=True), Column("")), rows)


def _bars(answer: _Answer, settings: Settings) -> Iterator[tuple[str, Sum]]:
    """Every day of the span with what it cost, those without a call too; of a long span every month."""
    usage, zone = answer.usage, settings.timezone
    first, last = (datetime.fromtimestamp(at, zone).date() for at in (usage.start, max(usage.end - 1, usage.start)))
    by_day = {group.day: found for group, found in usage.read.spending.groups.items()}
    months: dict[str, Sum] = {}
    day: date = first
    while day <= last:
        found = by_day.get(day, Sum())
        if (last - first).days < _MOST_BARS:
            yield f"{day:%a %Y-%m-%d}", found
        else:
            months.setdefault(f"{day:%Y-%m}", Sum()).add(found.units, found.calls)
        day += timedelta(days=1)
    yield from months.items()


def _draw_table(spending: Spending, settings: Settings, top: int) -> None:
    ranked = spending.ranked()
    columns = [Column(one.capitalize(), may_shrink=one != "day") for one in spending.by]
    columns += [Column("Cost", right=True), Column("Part", right=True), Column("Calls", right=True)]
    rows = [(*_words(group, spending), *_figures(found, spending, settings)) for group, found in ranked[:top]]
    if rest := ranked[top:]:
        left = Sum()
        for _, found in rest:
            left.add(found.units, found.calls)
        blank = [""] * (len(spending.by) - 1)
        rows.append((f"{len(rest)} more", *blank, *_figures(left, spending, settings)))
    show_table(columns, rows)


def _figures(found: Sum, spending: Spending, settings: Settings) -> tuple[str, str, str]:
    part = f"{100 * found.units / spending.total.units:.0f}%" if spending.total.units > 0 else "-"
    return settings.units.cost(found.units), part, f"{found.calls}"


def _words(group: Group, spending: Spending) -> list[str]:
    """Whose sum it is, a word for each thing that is told apart."""
    name = spending.names.get(group.key_id or 0, "")
    words = {
        "key": f"{printable(name, _NAME)} (id {group.key_id})" if name else f"id {group.key_id}",
        "model": printable(group.model or "", _NAME) or "-",
        "day": f"{group.day}",
    }
    return ["others" if group == Group() else words[one] for one in spending.by]


def _as_json(answers: list[_Answer], settings: Settings) -> dict[str, Any]:
    usage, zone = answers[0].usage, settings.timezone
    spendings = [answer.usage.read.spending for answer in answers]
    if len(answers) > 1:
        spendings = [spendings[0], *(spendings[1].only_by(one) for one in spendings[1].by)]
    before = usage.before
    return {
        "span": said(usage.start, max(usage.end, usage.start + 1), zone),
        "start": usage.start,
        "end": usage.end,
        **_cost(usage.read.spending.total, settings),
        "before": {"units": before.units, "units_so_far": before.so_far} if before else None,
        **{f"by_{'_'.join(spending.by)}": _lines(spending, settings) for spending in spendings},
        "notes": list(dict.fromkeys(note for answer in answers for note in _notes(answer, settings))),
    }


def _lines(spending: Spending, settings: Settings) -> list[dict[str, Any]]:
    return [_line(group, spending) | _cost(found, settings) for group, found in spending.ranked()]


def _line(group: Group, spending: Spending) -> dict[str, Any]:
    fields = {
        "key_id": group.key_id,
        "key": spending.names.get(group.key_id or 0),
        "model": group.model,
        "day": group.day.isoformat() if group.day else None,
    }
    wanted = {"key": ("key_id", "key"), "model": ("model",), "day": ("day",)}
    return {name: fields[name] for one in spending.by for name in wanted[one]}


def _cost(found: Sum, settings: Settings) -> dict[str, Any]:
    cost = Decimal(found.units) / settings.units.per_usd
    return {"cost_usd": float(cost), "units": found.units, "calls": found.calls}


def _csv(spending: Spending, settings: Settings) -> str:
    lines = _lines(spending, settings)
    if spending.by == ("day",):
        lines.sort(key=lambda line: str(line["day"]))
    out = StringIO()
    table = csv.DictWriter(out, [*_line(Group(), spending), *_cost(Sum(), settings)], lineterminator="\n")
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A value for a spreadsheet, which would take a name that begins like a formula for one."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
