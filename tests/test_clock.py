from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from comet_mcp.clock import MACHINE_ZONE, Clock

ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"] if hasattr(time, "tzset") else [""]
"""Windows has but the zone that it is set to."""


@pytest.fixture(params=ZONES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine, moved to a zone where that can be done."""
    with monkeypatch.context() as moved:
        if request.param:
            moved.setenv("TZ", request.param)
            time.tzset()
        yield
    if request.param:
        time.tzset()


@pytest.mark.usefixtures("machine")
def test_the_machines_zone_knows_summer_time_and_each_moment_has_one_reading() -> None:
    begin = datetime(2026, 11, 18, tzinfo=UTC)
    for hours in range(0, 24 * 730, 1):
        moment = (begin + timedelta(hours=hours / 2)).timestamp()
        here = datetime.fromtimestamp(moment, MACHINE_ZONE)
        assert here.replace(tzinfo=None) == datetime.fromtimestamp(moment)  # noqa: DTZ006 - the machine's own
        assert here.timestamp() == moment
        assert here.tzname()


class _Machine:
    """A clock whose two sources are set by hand."""

    def __init__(self) -> None:
        self.wall = self.ticks = 1_800_000_000.0
        self.clock = Clock(lambda: self.wall, lambda: self.ticks)

    def let_pass(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    def hear(self, ahead: float) -> float:
        """Hear an answer whose date is so far ahead of this machine's clock. Returns how far `now` is then."""
        self.clock.hear(formatdate(self.wall + ahead, usegmt=True))
        return self.clock.now() - self.wall


@pytest.mark.parametrize("jump", [3600, 90_000, -90_000])
def test_a_jump_is_believed_once_nothing_else_was_said_for_a_minute(jump: int) -> None:
    machine = _Machine()
    assert machine.hear(25_200) == 25_200, "the first is believed, whatever the machine shows"
    for seconds in (0, 1, 58):
        machine.let_pass(seconds)
        assert machine.hear(25_200 + jump) == 25_200
    machine.let_pass(1)
    assert machine.hear(25_200 + jump) == 25_200 + jump


def test_wrong_answers_between_right_ones_never_move_the_clock() -> None:
    machine = _Machine()
    machine.hear(0)
    for _ in range(10):
        machine.let_pass(50)
        assert machine.hear(90_000) == 0
        machine.let_pass(50)
        assert machine.hear(0) == 0


def test_less_than_an_hour_is_believed_at_once() -> None:
    machine = _Machine()
    machine.hear(0)
    assert machine.hear(3_599) == 3_599


def test_a_machine_that_slept_or_whose_clock_was_set_makes_no_jump() -> None:
    machine = _Machine()
    machine.hear(0)
    machine.wall += 30_000  # asleep: the clock that never jumps stood still
    assert machine.hear(5) == 5
    machine.wall -= 30_000  # set by a person
    assert machine.hear(30_000) == 30_000
