"""When a key runs out: close where it is spent steadily, and nothing said where it is not."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.forecast import DAY, HOUR, LEAST, forecast

NOW = 1_800_000_000
LENGTHS = st.integers(LEAST, 14)
PACES = st.integers(1_000, 10_000_000)
STRETCHES = st.sampled_from([HOUR, 2 * HOUR, DAY])


@st.composite
def steady(draw: st.DrawFn, most: float) -> tuple[list[int], int]:
    """A trace around a pace, no stretch of it further away than a part of that."""
    pace = draw(PACES)
    parts = draw(st.lists(st.floats(-most, most), min_size=LEAST, max_size=14))
    return [round(pace * (1 + part)) for part in parts], pace


@given(steady(0.05), STRETCHES, st.floats(0.5, 30))
def test_a_steady_pace_is_told_and_within_15_per_cent(trace: tuple[list[int], int], stretch: int, whole: float) -> None:
    units, pace = trace
    left = round(pace * whole)
    found = forecast(units, stretch, left, NOW)
    assert found is not None
    true = left / pace * stretch
    assert abs(found.at - NOW - true) <= 0.15 * true + 1
    in_each = pace * (DAY if found.each == "day" else HOUR) / stretch
    assert abs(found.pace - in_each) <= 0.15 * in_each + 1


@given(steady(0.13), STRETCHES)
def test_what_is_told_of_a_less_steady_pace_is_within_15_per_cent_too(
    trace: tuple[list[int], int], stretch: int
) -> None:
    units, pace = trace
    found = forecast(units, stretch, 3 * pace, NOW)
    if found is not None:
        assert abs(found.at - NOW - 3 * stretch) <= 0.15 * 3 * stretch + 1


@given(st.lists(st.integers(0, 10_000_000), max_size=LEAST - 1), STRETCHES)
def test_nothing_is_told_of_fewer_data_than_it_needs(units: list[int], stretch: int) -> None:
    assert forecast(units, stretch, 5_000_000, NOW) is None


@given(PACES, LENGTHS, st.data())
def test_nothing_is_told_where_all_was_spent_in_a_burst(pace: int, length: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, length - 1))
    units = [pace // 100] * length
    units[at] = 10 * pace
    assert forecast(units, DAY, pace, NOW) is None


@given(PACES, LENGTHS, st.data())
def test_nothing_is_told_of_a_key_that_pauses(pace: int, length: int, data: st.DataObject) -> None:
    units = [pace] * length
    units[data.draw(st.integers(0, length - 1))] = 0
    assert forecast(units, DAY, pace, NOW) is None


@given(PACES, LENGTHS, st.floats(1.15, 3))
def test_nothing_is_told_of_a_pace_that_grows_or_falls(pace: int, length: int, growth: float) -> None:
    units = [round(pace * growth**n) for n in range(length)]
    assert forecast(units, DAY, units[-1], NOW) is None
    assert forecast(units[::-1], DAY, units[0], NOW) is None


@pytest.mark.parametrize("length", [4, 7])
def test_noise_is_hardly_ever_taken_for_a_pace(length: int) -> None:
    drawn = Random(27)  # noqa: S311 - made traces
    traces = [[round(1e6 * drawn.expovariate(1)) for _ in range(length)] for _ in range(5_000)]
    told = sum(forecast(trace, DAY, 1_000_000, NOW) is not None for trace in traces)
    assert told <= 0.005 * len(traces)


@pytest.mark.parametrize("left", [0, -5, 10**12])
def test_nothing_is_told_of_what_is_used_up_or_lasts_far_longer_than_was_looked_at(left: int) -> None:
    assert forecast([100, 100, 100, 100], DAY, left, NOW) is None


def test_a_known_case() -> None:
    found = forecast([200_000] * 7, DAY, 1_000_000, NOW)
    assert found is not None
    assert (found.at, found.pace, found.each) == (NOW + 5 * DAY, 200_000, "day")
