"""What get_usage returns, and the words for spending that it has in common with the command for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from comet_mcp.domain.money import Units
from comet_mcp.domain.spans import said
from comet_mcp.domain.usage import Group, Sum
from comet_mcp.services.usage import Gap, Question, Usage
from comet_mcp.tools.result import Result

_HOUR = timedelta(hours=1)
_WHY = {
    "calls": "more would take calls of the API that are kept for making and changing keys",
    "time": "there was no time for more",
    "rate_limited": "the API took no more calls",
}


@dataclass(kw_only=True, eq=False, repr=False)
class UsageLine(Result):
    """What one key, model or day cost; `units` are quota units, `key` is the newest known name."""

    unpublished = frozenset({"key", "id", "model", "day", "units", "calls"})

    key: str | None = None
    id: int | None = None
    model: str | None = None
    day: str | None = None
    cost: str
    units: int
    calls: int

    @classmethod
    def of(cls, group: Group, found: Sum, names: dict[int, str], units: Units) -> UsageLine:
        """The line of a sum."""
        return cls(
            key=names.get(group.key_id) if group.key_id is not None else None,
            id=group.key_id,
            model=group.model,
            day=group.day.isoformat() if group.day else None,
            cost=units.cost(found.units),
            units=found.units,
            calls=found.calls,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class UsageReport(Result):
    """What was spent in a span, the dearest first. `rest` sums what `top` cut off, `previous` is the span before."""

    unpublished = frozenset({"span", "units", "calls", "rest", "previous", "notes"})

    span: str
    total: str
    units: int
    calls: int
    items: list[UsageLine]
    rest: str | None = None
    previous: str | None = None
    notes: list[str] | None = None

    @classmethod
    def of(cls, usage: Usage, question: Question, top: int, units: Units, zone: tzinfo) -> UsageReport:
        """The answer to a question, with so many lines."""
        spending = usage.read.spending
        ranked = spending.ranked()
        rest = Sum()
        for _, found in ranked[top:]:
            rest.add(found.units, found.calls)
        more = len(ranked) - top
        return cls(
            span=said(usage.start, max(usage.end, usage.start + 1), zone),
            total=units.cost(spending.total.units),
            units=spending.total.units,
            calls=spending.total.calls,
            items=[UsageLine.of(group, found, spending.names, units) for group, found in ranked[:top]],
            rest=f"{more} more: {units.cost(rest.units)} in {rest.calls} calls" if more > 0 else None,
            previous=previous(usage, question, units, zone),
            notes=notes(usage, question, units, zone) or None,
        )


def previous(usage: Usage, question: Question, units: Units, zone: tzinfo) -> str | None:
    """What the span before cost, and as much of it as is over of this one; None where that was not asked."""
    if usage.before is None:
        return None
    span, before = question.span, usage.before
    is_other = before.so_far not in (None, before.units)
    so_far = f", {units.cost(before.so_far or 0)} of it by the same time" if is_other else ""
    return f"{units.cost(before.units)} ({said(span.before, span.start, zone)}){so_far}"


def notes(usage: Usage, question: Question, units: Units, zone: tzinfo) -> list[str]:
    """What has to be known of an answer: what is missing, what does not fit, what is rounded."""
    spending = usage.read.spending
    found = [_missing(gap, usage, units, zone) for gap in usage.read.gaps]
    if not found and usage.difference:
        more = "more" if usage.difference > 0 else "less"
        found.append(
            f"The API's own sum of its log is {units.exact(usage.logged)} for this span before refunds, "
            f"{units.exact(abs(usage.difference))} {more} than what is summed here."
        )
    if usage.read.is_hourly and "day" in spending.by and _begins_within_an_hour(usage.start, zone):
        found.append("The API sums by whole hours from UTC, so a day here begins up to an hour after midnight.")
    if not spending.total.calls and not usage.read.gaps and question.key_id is None:
        found.append(
            "The log has no model call in this span. Some operators keep no log; list_api_keys shows what each key "
            "spent in all."
        )
    return found


def _missing(gap: Gap, usage: Usage, units: Units, zone: tzinfo) -> str:
    why = _WHY.get(gap.why, f"the API failed ({gap.why})")
    return (
        f"Calls from {said(gap.start, gap.end + 1, zone)} are not in these sums: {why}. Read were "
        f"{units.exact(usage.read.spending.logged)} of {units.exact(usage.logged)}. Ask again in three minutes, or for "
        "a shorter span."
    )


def _begins_within_an_hour(start: int, zone: tzinfo) -> bool:
    offset = datetime.fromtimestamp(start, zone).utcoffset() or timedelta()
    return bool(offset % _HOUR)
