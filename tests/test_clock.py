from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from comet_mcp.clock import MACHINE_ZONE

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
