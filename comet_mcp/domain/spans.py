"""A span of time that is over or goes on, and how it is shown. A person's words for one are in `span_words`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo

from comet_mcp.domain.lifetimes import offset


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until `end`, which is no part of it and may be to come; in Unix seconds.

    `before` is where the span begins that it is compared with, and that ends where this one begins.
    """

    start: int
    end: int
    before: int

    def so_far(self, now: int) -> int:
        """The end of that part of the span before that is as long as what of this one is over; its own end at most."""
        return min(self.before + max(now - self.start, 0), self.start)


def said(start: int, end: int, zone: tzinfo) -> str:
    """A span in words: days where it begins and ends with one, else times too. `end` is no part of it."""
    first, after = (datetime.fromtimestamp(seconds, zone) for seconds in (start, end))
    last = datetime.fromtimestamp(end - 1, zone)
    begins = f"{first:%Y-%m-%d}" if first.time() == time() else f"{first:%Y-%m-%d %H:%M}"
    if after.time() != time():
        ends = f"{after:%Y-%m-%d %H:%M}"
    elif last.date() == first.date() and first.time() == time():
        return f"{begins} {offset(first)}"
    else:
        ends = f"{last:%Y-%m-%d}" if first.time() == time() else f"{last:%Y-%m-%d} 24:00"
    return f"{begins} to {ends} {offset(last)}"


def midnight(day: date, zone: tzinfo) -> int:
    """When a day begins, in Unix seconds."""
    return int(datetime.combine(day, time(), zone).timestamp())
