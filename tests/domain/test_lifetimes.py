from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.lifetimes import duration, expired_time, expiry, seconds_from, when
from comet_mcp.errors import ArgumentError

NOW = 1_795_000_000.75  # 2026-11-18T11:06:40Z
SECONDS = {
    60: ("min", "mins", "minute", "minutes"),
    3_600: ("h", "hr", "hrs", "hour", "hours"),
    86_400: ("d", "day", "days"),
    7 * 86_400: ("w", "week", "weeks"),
}
_UNIT = st.sampled_from([(unit, seconds) for seconds, units in SECONDS.items() for unit in units])


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@given(st.integers(1, 5_000), _UNIT, st.sampled_from(["", " ", "  ", "\t"]), st.sampled_from(["", "in ", "IN  "]))
def test_any_count_of_any_unit_is_that_long_from_now(count: int, unit: tuple[str, int], space: str, first: str) -> None:
    word, seconds = unit
    for words in (
        f"{first}{count}{space}{word}",
        f" {first}{count}{space}{word.upper()} ",
        f"{count}{space}{word} from now",
    ):
        assert expired_time(words, NOW) == int(NOW) + count * seconds
    assert duration(f"{first}{count}{space}{word}") == count * seconds


@pytest.mark.parametrize("one", ["a", "an", "one", "1"])
def test_one_may_be_a_word(one: str) -> None:
    assert expired_time(f"{one} week", NOW) == int(NOW) + 7 * 86_400


@pytest.mark.parametrize(
    ("now", "words", "then"),
    [
        ((2026, 1, 31), "1 month", (2026, 2, 28)),
        ((2028, 1, 31), "1 month", (2028, 2, 29)),
        ((2026, 1, 31), "2 months", (2026, 3, 31)),
        ((2026, 12, 31), "2mo", (2027, 2, 28)),
        ((2026, 12, 1), "1 month", (2027, 1, 1)),
        ((2028, 2, 29), "1 year", (2029, 2, 28)),
        ((2028, 2, 29), "4 years", (2032, 2, 29)),
        ((2026, 8, 31), "18 months", (2028, 2, 29)),
        ((2026, 5, 15), "a year", (2027, 5, 15)),
    ],
)
def test_months_and_years_are_those_of_the_calendar_and_end_with_a_shorter_month(
    now: tuple[int, ...], words: str, then: tuple[int, ...]
) -> None:
    assert expired_time(words, at(*now, 23, 59, 59)) == at(*then, 23, 59, 59)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2900, 1, 1)), st.integers(1, 1_200))  # noqa: DTZ001 - made aware
def test_any_count_of_months_is_that_many_months_on(now: datetime, count: int) -> None:
    start = now.replace(tzinfo=UTC, microsecond=0)
    end = datetime.fromtimestamp(expired_time(f"{count} months", start.timestamp()), UTC)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == count
    assert end.time() == start.time()
    assert end.day == start.day or (end.day < start.day and (end + timedelta(days=1)).day == 1)


@pytest.mark.parametrize("span", ["", "never", "0 days", "soon", "2027-09-03", "-1", "101 years", "9999 years"])
def test_what_is_no_span_of_at_most_a_century_has_no_end(span: str) -> None:
    with pytest.raises(ArgumentError, match="24h"):
        expired_time(span, NOW)


@pytest.mark.parametrize("words", ["", "never", "0h", "2027-09-03", "soon", "-1 day", "999999 years"])
def test_what_is_no_span_is_refused(words: str) -> None:
    with pytest.raises(ArgumentError, match="24h"):
        duration(words)


def test_times_are_shown_in_utc_always_with_their_seconds() -> None:
    assert when(1_820_000_000) == "2027-09-03T19:33:20Z"
    assert when(1_820_000_040 - 40 - 20) == "2027-09-03T19:33:00Z"
    assert expiry(-1) == "never"


@pytest.mark.parametrize("seconds", [-2, 10**12, 10**18])
def test_a_time_that_no_calendar_shows_is_given_as_its_number(seconds: int) -> None:
    assert when(seconds) == f"{seconds} (Unix seconds)"


@given(st.integers(min_value=1_700_000_000, max_value=2_600_000_000))
def test_seconds_are_never_taken_for_a_smaller_unit(stamp: int) -> None:
    assert seconds_from(stamp, 1_795_000_000) is None
    assert seconds_from(stamp * 1000, 1_795_000_000) == (stamp, "milliseconds")
