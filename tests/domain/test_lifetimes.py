from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.lifetimes import CENTURY, duration, expired_time, expiry, seconds_from, when
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


@given(
    st.datetimes(datetime(2027, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_any_iso_time_with_an_offset_is_that_moment(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone, microsecond=0)
    for text in (aware.isoformat(), aware.isoformat(sep=" "), f"  {aware.isoformat()}  "):
        assert expired_time(text, NOW) == int(aware.timestamp())


def test_a_time_without_a_zone_is_utc_and_a_date_is_the_end_of_that_day() -> None:
    assert expired_time("2027-09-03T12:00", NOW) == at(2027, 9, 3, 12)
    assert expired_time("2027-09-03T12:00Z", NOW) == at(2027, 9, 3, 12)
    assert expired_time("2027-09-03 12:00:30", NOW) == at(2027, 9, 3, 12, 0, 30)
    assert expired_time("2027-09-03", NOW) == at(2027, 9, 4)
    assert expired_time("2027-12-31", NOW) == at(2028, 1, 1)


def test_today_is_still_in_the_future() -> None:
    assert expired_time("2026-11-18", NOW) == at(2026, 11, 19)


@pytest.mark.parametrize("date", ["20270903", "2027-W35-5"])
def test_a_date_in_another_iso_form_is_the_end_of_that_day_too_or_refused(date: str) -> None:
    try:
        assert expired_time(date, NOW) == at(2027, 9, 4)
    except ArgumentError as error:
        assert "is not understood" in str(error)


@pytest.mark.parametrize(
    "words", ["never", "Never", " NEVER ", "forever", "no expiry", "no  expiry", "unlimited", "-1"]
)
def test_never_is_minus_one(words: str) -> None:
    assert expired_time(words, NOW) == -1


NONSENSE = [
    *["", " ", "soon", "tomorrow", "30", "d", "30 dd", "30 moons", "30m", "1.5 days", "-3 days", "three days", "1e3 d"],
    *[
        "1 day 2 hours",
        "30d!",
        "2027-13-01",
        "2027-02-30",
        "2027-09-03T25:00",
        "03/09/2027",
        "3 Sep 2027",
        "1820000000",
    ],
    *[
        "1234567 days",
        "in",
        "from now",
        "30 d\x00",
        "\ud800",
        "0x1e d",
        "½ day",
        "² days",
    ],
]


@pytest.mark.parametrize("words", NONSENSE, ids=ascii)
def test_what_is_no_lifetime_is_refused_with_the_forms_there_are(words: str) -> None:
    with pytest.raises(ArgumentError, match="is not understood") as refused:
        expired_time(words, NOW)
    assert '"2 weeks"' in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "words",
    ["0 days", "0h", "2026-11-17", "2026-11-18T11:06:39Z", "2026-11-18T13:06:40+02:00", "1970-01-01", "0001-01-01"],
)
def test_an_end_that_is_not_in_the_future_is_refused(words: str) -> None:
    with pytest.raises(ArgumentError, match="ends in the past"):
        expired_time(words, NOW)


@pytest.mark.parametrize(
    "words", ["1000 years", "999999 years", "101 years", "999999 weeks", "2200-01-01", "9999-12-30", "9999-12-31"]
)
def test_a_lifetime_beyond_a_century_is_refused_in_the_words_of_a_lifetime(words: str) -> None:
    with pytest.raises(ArgumentError, match=f'lifetime "{words}" ends more than a hundred years') as refused:
        expired_time(words, NOW)
    assert '"2 weeks"' in str(refused.value)
    assert "expired_time" not in str(refused.value)


@pytest.mark.parametrize("words", ["100 years", "1200 months"])
def test_a_century_of_the_calendar_is_taken(words: str) -> None:
    assert expired_time(words, NOW) == at(2126, 11, 18, 11, 6, 40)


@given(st.text(max_size=60))
def test_any_words_give_a_time_or_a_refusal(words: str) -> None:
    try:
        end = expired_time(words, NOW)
    except ArgumentError:
        return
    assert end == -1 or NOW < end <= NOW + CENTURY


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
