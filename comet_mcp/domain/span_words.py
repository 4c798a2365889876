"""A span of time that is over or goes on, in a person's words: "last 7 days", "this month", "November", "yesterday".

Days are the person's, and begin at midnight in their zone. "Last 7 days" are today and the six before it, "last 24
hours" end now. A month or a day without a year is the latest one that has begun. Each span has one before it to be
compared with: the month before, the seven days before.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

from comet_mcp.domain.days import MONTH, days_of, month_days, month_number, unit_days
from comet_mcp.domain.lifetime_words import as_span
from comet_mcp.domain.numerals import with_digits
from comet_mcp.domain.spans import Span, midnight
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

LONGEST = 366 * 86_400
"""Seconds; the sums of a longer span would take more calls of the API than there are."""

_GIVE = (
    'Give "today", "yesterday", "last 7 days", "last 24 hours", "this month", "last month", "November", "2026-11", or '
    '"2026-11-03 to 2026-11-20".'
)
_DAY = timedelta(days=1)
_FRAME = re.compile(r"^(?:in|on|during|for|over|of|within|from|the)(?: |$)|[.!?。]$|(?:の間|分|の)$")
_UNITS = r"(?P<unit>week|month|quarter|year)"
_CJK_UNITS = "週周月年"
_WHICH = re.compile(
    rf"(?:(?P<which>this|the|current|last|previous) )?{_UNITS}(?: (?:so far|to date))?"
    rf"|(?P<cjk>今|本|[这這][个個]?|先|上[个個]?|去)(?P<cjk_unit>[{_CJK_UNITS}])"
)
_BEFORE = ("last", "previous", "先", "上", "上个", "上個", "去")
_COUNTED = re.compile(r"(?:last |past |previous )?(?P<count>[0-9]{1,4}) ?(?P<unit>h|hour|d|day|w|week|month)s?")
_LATEST = re.compile(r"^(?:過去|直近|最近|过去)の?")
_LATEST_DAYS = re.compile(_LATEST.pattern + r"(?P<count>[0-9]{1,4})日$")
_PAST = {
    "past week": "7 days",
    "past month": "30 days",
    "past day": "24 hours",
    "past hour": "1 hour",
    "last hour": "1 hour",
}
_MONTHS = (
    re.compile(rf"{MONTH}(?:,? (?:of )?(?P<year>[0-9]{{4}}))?"),
    re.compile(r"(?:(?P<year>[0-9]{4})年の?)?(?P<month>[0-9]{1,2})月"),
    re.compile(r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})"),
)
_YEAR = re.compile(r"(?P<year>20[0-9]{2})年?")
_AGO = {"today": 0, "今日": 0, "本日": 0, "今天": 0, "yesterday": 1, "昨日": 1, "昨天": 1, "day before yesterday": 2}
_COMING = re.compile(r"\b(?:next|this|coming|tomorrow|after|tonight|end)\b|[来來明翌后後次末底中]")
_TO = re.compile(r" ?(?:\.\.|〜|~|から|到|至) ?| (?:to|until|till|through|-|–) ")
_SINCE = re.compile(r"since (?P<day>.+)|(?P<cjk>.+)(?:から|以来|以後|以后)")


def span_of(text: str, now: float, zone: tzinfo) -> Span:
    """The span that the words mean.

    Args:
        text: A person's words.
        now: Unix seconds.
        zone: The person's.

    Raises:
        ArgumentError: They are not understood, or mean a span that has not begun or is longer than a year.
    """
    words = _plain(text)
    today = datetime.fromtimestamp(now, zone).date()
    try:
        found = _hours(words, now) or _days(words, today, zone)
    except (ValueError, OverflowError):
        found = None  # the calendar has no such day
    wrong = ""
    if found is None or found.end <= found.start:
        wrong = "is no span of time that is understood"
    elif found.start >= now:
        wrong = "has not begun yet"
    elif found.end - found.start > LONGEST:
        wrong = "is longer than a year"
    if found is None or wrong:
        raise ArgumentError(f"span {quoted(text)} {wrong}. Today is {today:%A %Y-%m-%d}. {_GIVE}")
    return found


def _plain(text: str) -> str:
    words = " ".join(with_digits(text).split())
    framed = ""
    while words != framed:
        framed, words = words, _FRAME.sub("", words).strip()
    return words


def _hours(words: str, now: float) -> Span | None:
    """A number of hours that end now."""
    found = _counted_words(words)
    if found is None or not found["unit"].startswith("h"):
        return None
    seconds, end = 3600 * int(found["count"]), int(now)
    return Span(end - seconds, end, end - 2 * seconds)


def _counted_words(words: str) -> re.Match[str] | None:
    """A number of hours, days, weeks or months; 60日 is a day of a month unless it is said to be the last ones."""
    count = _LATEST_DAYS.sub(r"\g<count> days", _PAST.get(words, words))
    return _COUNTED.fullmatch(as_span(_LATEST.sub("", count)))


def _days(words: str, today: date, zone: tzinfo) -> Span | None:
    """Whole days, of which the last may not be over."""
    days = _counted(words, today) or _period(words, today) or _range(words, today)
    if days is None:
        return None
    first, last, before = days
    return Span(midnight(first, zone), midnight(last + _DAY, zone), midnight(before, zone))


_Days = tuple[date, date, date]
"""The first and the last day of a span, and the first one of the span before."""


def _counted(words: str, today: date) -> _Days | None:
    """So many days, weeks or months, with today."""
    found = _counted_words(words)
    if found is None:
        return None
    count = int(found["count"])
    if found["unit"] == "month":
        start, last = month_days(today.year, today.month - count)
        first = start.replace(day=min(today.day, last.day)) + _DAY
        return first, today, first - (today + _DAY - first)
    length = timedelta(days=count * (7 if found["unit"].startswith("w") else 1))
    first = today + _DAY - length
    return first, today, first - length


def _period(words: str, today: date) -> _Days | None:
    """A week, month, quarter or year of the calendar, or a day."""
    if found := _WHICH.fullmatch(words):
        unit, ahead = found["unit"] or found["cjk_unit"], -((found["which"] or found["cjk"]) in _BEFORE)
        return *unit_days(unit, ahead, today), unit_days(unit, ahead - 1, today)[0]
    for form in _MONTHS:
        if found := form.fullmatch(words):
            month = month_number(found["month"])
            year = int(found["year"] or today.year - (month > today.month))
            return *month_days(year, month), month_days(year, month - 1)[0]
    if found := _YEAR.fullmatch(words):
        year = int(found["year"])
        return date(year, 1, 1), date(year, 12, 31), date(year - 1, 1, 1)
    day = _day(words, today)
    return (day, day, day - _DAY) if day else None


def _range(words: str, today: date) -> _Days | None:
    """From one day or period to another, or to today."""
    since = _SINCE.fullmatch(words)
    parts = [since["day"] or since["cjk"]] if since else _TO.split(words)
    if len(parts) > 2 or not (since or len(parts) == 2):
        return None
    ends = [_period(_plain(part), today) for part in parts]
    if ends[0] is None or ends[-1] is None:
        return None
    first, last = ends[0][0], today if since else ends[-1][1]
    return first, last, first - (last + _DAY - first)


def _day(words: str, today: date) -> date | None:
    """The latest such day; one that is to come only where its year is named."""
    if (ago := _AGO.get(words)) is not None:
        return today - ago * _DAY
    try:
        return date.fromisoformat(words)
    except ValueError:
        pass  # a day in words
    if _COMING.search(words):
        return None
    # asked a week, a month or a year ago, the next such day is the latest one
    for days in (6, 30, 364):
        past = [day for day in days_of(words, today - days * _DAY) if day <= today]
        if past:
            return past[-1]
    return None
