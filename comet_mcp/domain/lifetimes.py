"""Spans such as "30d", "2 weeks" or "in 6 months", and the API's expired_time in words.

Days, weeks and the like count from now; a month or year is one of the calendar, in UTC. None may be longer than a
hundred years. A person's words for an end, of which a span is one, are in `lifetime_words`.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

CENTURY = 100 * 366 * 86_400
"""Seconds in a hundred years, the longest that a key may live: what ends later was meant otherwise."""

NEVER = -1
"""The API's expired_time of a key that never expires."""

BEYOND = 2**50
"""Stands for what ends after the year 9999."""

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last one datetime can show

_DURATION = re.compile(
    r"(?:in\s+)?(\d{1,6}|an?|one)\s*"
    r"(min(?:ute)?s?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?|mo(?:nths?)?|y(?:(?:ea)?rs?)?)"
    r"(?:\s+from\s+now)?"
)
_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def expired_time(span: str, now: float) -> int:
    """The end of a span that begins `now`, in Unix seconds. Raises ArgumentError."""
    end = after(span, now)
    if not end or not now < end <= now + CENTURY:
        raise _no_span(span)
    return end


def duration(words: str) -> int:
    """A span such as "24h" or "3 days", in seconds. Raises ArgumentError."""
    end = after(words, 0)
    if not end or end >= BEYOND:
        raise _no_span(words)
    return end


def _no_span(words: str) -> ArgumentError:
    return ArgumentError(f'{quoted(words)} is no span of time. Give one such as "24h", "3 days" or "30 minutes".')


def after(words: str, now: float) -> int | None:
    """The end of a span from `now`, in Unix seconds, whatever it is; None where the words are no span."""
    found = _DURATION.fullmatch(" ".join(words.split()).lower())
    if found is None:
        return None
    count = int(found[1]) if found[1].isdigit() else 1
    unit = found[2]
    if unit.startswith(("mo", "y")):
        return _months_after(now, count if unit.startswith("mo") else 12 * count)
    return int(now) + count * (60 if unit.startswith("mi") else _SECONDS[unit[0]])


def _months_after(now: float, months: int) -> int:
    """The same day of a later month, or the last one where that month is shorter."""
    start = datetime.fromtimestamp(now, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > 9999:
        return BEYOND
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


@lru_cache(maxsize=1024)  # lists say the same moments again and again
def when(seconds: int) -> str:
    """Unix seconds as an ISO date and time in UTC, "2027-09-03T12:00:00Z"."""
    if not 0 <= seconds <= _LAST_SECOND:
        return f"{seconds} (Unix seconds)"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def offset(moment: datetime) -> str:
    """How far the zone of a time is from UTC, as "UTC+09:00"."""
    return str(timezone(moment.utcoffset() or timedelta()))


def expiry(expired_time: int) -> str:
    """The API's expired_time in words: "never" for -1, else the date."""
    return "never" if expired_time == NEVER else when(expired_time)


def seconds_from(stamp: int, now: float) -> tuple[int, str] | None:
    """The Unix seconds that `stamp` means if it is in a smaller unit, and that unit; None if it is in none.

    A stamp is in a smaller unit when, read so, it lies within 30 years of `now`, and read as seconds far from it.
    """
    thirty_years = 30 * 365 * 86_400
    if abs(stamp - now) <= thirty_years * 10:
        return None
    for scale, unit in ((10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")):
        if abs(stamp // scale - now) <= thirty_years:
            return stamp // scale, unit
    return None
