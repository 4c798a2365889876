"""Times as tools tell them, in UTC, for a person: in their zone, and as they are from now."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def seconds_of(time: str) -> float:
    """The Unix seconds of a time as tools tell it, "2027-09-03T12:00:00Z". Raises ValueError."""
    return datetime.fromisoformat(time).timestamp()


def local(seconds: float, zone: tzinfo) -> str:
    """A time in the person's zone, "2026-12-27 10:00"; beyond the year 9999 it is said to be so."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).astimezone(zone):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return "after the year 9999"


_SPANS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3600, "hour"), (60, "minute"))


def from_now(seconds: float, now: float) -> str:
    """How far a time is, in one unit rounded down: "in 29 days", "2 hours ago", "now"."""
    away = abs(seconds - now)
    for size, unit in _SPANS:
        if away >= size:
            count = int(away // size)
            span = f"{count} {unit}{'s' * (count > 1)}"
            return f"in {span}" if seconds > now else f"{span} ago"
    return "now"
