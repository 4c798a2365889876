"""Time, and the only reader of it: the API's time of day, a clock that never jumps, and waiting.

The API decides when a key ends and when a row was made, so `now` is its time as soon as the Date header of an answer
of its own was heard: "2h" is two hours by the clock that ends the key, whatever this machine shows. Tests put another
clock in, and need no real seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime

import anyio

_NONE = 2.0
"""A difference of so few seconds is none: the header has whole seconds, and was on its way."""

_WORTH_TELLING = 60.0

_JUMP = 3600.0
"""So many seconds from what was heard before, a time is a jump: one wrong answer must move no window, no lifetime."""

_SAID_FOR = 60.0
"""Seconds for which nothing but the same may have been said until a jump is believed."""


class Clock:
    """The time of one server.

    Args:
        wall: What this machine's clock shows, in Unix seconds.
        monotonic: Seconds that never jump; the event loop's, where a test has one of its own.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._date: float | None = None
        self._heard_at = 0.0
        self._jump: tuple[float, float] | None = None
        """A time that is not believed yet, and when it was said first."""
        self._difference = 0.0
        self._told = False

    def now(self) -> float:
        """Unix seconds: the API's where it was heard, else this machine's."""
        return self._wall() + self._difference

    def of_machine(self) -> float:
        """Unix seconds by this machine's clock, which all its servers have, before they have heard the API's too."""
        return self._wall()

    def monotonic(self) -> float:
        """Seconds since some moment, for what takes how long."""
        return self._monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work for that long."""
        await anyio.sleep(seconds)

    def block(self, seconds: float) -> None:
        """The same for work on a thread of its own."""
        time.sleep(seconds)

    def hear(self, date: str | None) -> None:
        """Note the Date header of an answer of the API's own, just come. One that nobody can read is not heard."""
        try:
            shown = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        if self._date is not None and not self._is_believed(shown, self._date):
            return
        self._jump = None
        self._date, self._heard_at = shown, self._monotonic()
        difference = shown - self._wall()
        # the header's second may be nearly over; what is within that, and the way of the answer, is no difference
        self._difference = difference if abs(difference) >= _NONE else 0.0

    def _is_believed(self, shown: float, before: float) -> bool:
        """Whether a time follows from the one `before`, or is a jump that has been said long enough.

        A machine that slept, or whose clock was set, makes no jump: one of its two clocks has gone on as the API's.
        """
        now = self._monotonic()
        expected = (before + now - self._heard_at, self.now())
        if any(abs(shown - time_) < _JUMP for time_ in expected):
            return True
        if self._jump is None or abs(shown - self._jump[0] - (now - self._jump[1])) >= _JUMP:
            self._jump = shown, now
        return now - self._jump[1] >= _SAID_FOR

    @property
    def was_heard(self) -> bool:
        """Whether the API's time is known."""
        return self._date is not None

    def api_reached(self) -> int | None:
        """A time in Unix seconds that the clock of the Date headers has surely reached; None while never heard."""
        return None if self._date is None else math.floor(self._date + self._monotonic() - self._heard_at)

    def report(self) -> str | None:
        """Once: that this machine's clock is more than a minute away from the API's, as a sentence for a person."""
        if self._told or abs(self._difference) <= _WORTH_TELLING:
            return None
        self._told = True
        way = "behind" if self._difference > 0 else "ahead of"
        return (
            f"This machine's clock is {abs(self._difference) / 60:.0f} minutes {way} the API's. Lifetimes count by the "
            "API's clock; set this machine's."
        )


SYSTEM = Clock()
"""This machine's time, for what has no server around it."""


class _MachineZone(tzinfo):
    """The zone of this machine, with its changes between winter and summer.

    The standard library has a machine's zone only for naive times, and `astimezone` gives no more than an offset.
    """

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        there = moment.replace(tzinfo=UTC).astimezone()
        naive = there.replace(tzinfo=None)
        is_second = naive.astimezone().utcoffset() != there.utcoffset()  # an hour that is there twice
        return naive.replace(tzinfo=self, fold=int(is_second))


MACHINE_ZONE: tzinfo = _MachineZone()
"""Where a person is whose machine this is."""
