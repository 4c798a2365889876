"""Spans of time that are over or go on, as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from comet_mcp.domain.span_words import LONGEST, span_of
from comet_mcp.domain.spans import Span, said
from comet_mcp.errors import ArgumentError
from tests.any_text import any_text

NOW = datetime(2026, 11, 27, 18, 30, tzinfo=UTC).timestamp()  # a Friday; in Tokyo Saturday, the 28th
TOKYO = ZoneInfo("Asia/Tokyo")


def shown(words: str, zone: tzinfo = UTC) -> tuple[str, str]:
    """The span and the one before, without the zone."""
    span = span_of(words, NOW, zone)
    both = (said(span.start, span.end, zone), said(span.before, span.start, zone))
    return both[0].partition(" UTC")[0], both[1].partition(" UTC")[0]


@pytest.mark.parametrize(
    ("words", "span", "before"),
    [
        ("today", "2026-11-27", "2026-11-26"),
        ("Yesterday", "2026-11-26", "2026-11-25"),
        ("last 7 days", "2026-11-21 to 2026-11-27", "2026-11-14 to 2026-11-20"),
        ("the past two weeks", "2026-11-14 to 2026-11-27", "2026-10-31 to 2026-11-13"),
        ("30d", "2026-10-29 to 2026-11-27", "2026-09-29 to 2026-10-28"),
        ("last 24 hours", "2026-11-26 18:30 to 2026-11-27 18:30", "2026-11-25 18:30 to 2026-11-26 18:30"),
        ("in the last hour", "2026-11-27 17:30 to 2026-11-27 18:30", "2026-11-27 16:30 to 2026-11-27 17:30"),
        ("this month", "2026-11-01 to 2026-11-30", "2026-10-01 to 2026-10-31"),
        ("in the last month", "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        ("past month", "2026-10-29 to 2026-11-27", "2026-09-29 to 2026-10-28"),
        ("last week", "2026-11-16 to 2026-11-22", "2026-11-09 to 2026-11-15"),
        ("last quarter", "2026-07-01 to 2026-09-30", "2026-04-01 to 2026-06-30"),
        ("November", "2026-11-01 to 2026-11-30", "2026-10-01 to 2026-10-31"),
        ("december", "2025-12-01 to 2025-12-31", "2025-11-01 to 2025-11-30"),
        ("Feb. 2026", "2026-02-01 to 2026-02-28", "2026-01-01 to 2026-01-31"),
        ("2026-10", "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        ("2026", "2026-01-01 to 2026-12-31", "2025-01-01 to 2025-12-31"),
        ("2026-11-03", "2026-11-03", "2026-11-02"),
        ("3 November", "2026-11-03", "2026-11-02"),
        ("December 24th", "2025-12-24", "2025-12-23"),
        ("on Monday", "2026-11-23", "2026-11-22"),
        ("Friday", "2026-11-27", "2026-11-26"),
        ("the 3rd", "2026-11-03", "2026-11-02"),
        ("2026-11-03 to 2026-11-20", "2026-11-03 to 2026-11-20", "2026-10-16 to 2026-11-02"),
        ("from 1 October until yesterday", "2026-10-01 to 2026-11-26", "2026-08-05 to 2026-09-30"),
        ("2026-11-03..2026-11-04", "2026-11-03 to 2026-11-04", "2026-11-01 to 2026-11-02"),
        ("since Monday", "2026-11-23 to 2026-11-27", "2026-11-18 to 2026-11-22"),
        ("先月", "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        ("直近30日間", "2026-10-29 to 2026-11-27", "2026-09-29 to 2026-10-28"),
        ("過去30日", "2026-10-29 to 2026-11-27", "2026-09-29 to 2026-10-28"),
        ("过去七天", "2026-11-21 to 2026-11-27", "2026-11-14 to 2026-11-20"),
        ("上个月", "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        ("2026年10月", "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        ("11月3日", "2026-11-03", "2026-11-02"),
        ("昨天", "2026-11-26", "2026-11-25"),
    ],
)
def test_a_span_is_what_a_person_means_and_has_one_before(words: str, span: str, before: str) -> None:
    assert shown(words) == (span, before)


def test_days_are_those_of_the_persons_zone() -> None:
    assert shown("today", TOKYO)[0] == "2026-11-28"
    span = span_of("today", NOW, TOKYO)
    assert span.start == datetime(2026, 11, 27, 15, tzinfo=UTC).timestamp()
    long_day = span_of("2026-11-01", NOW, ZoneInfo("America/New_York"))
    assert long_day.end - long_day.start == 25 * 3600


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "not|no span"),
        ("next week", "no span"),
        ("tomorrow", "no span"),
        ("lately", "no span"),
        ("5", "no span"),
        ("2026-02-30", "no span"),
        ("2026-11-20 to 2026-11-03", "no span"),
        ("2027-01", "not begun"),
        ("last 1000 days", "longer than a year"),
        ("2020 to 2026", "longer than a year"),
    ],
)
def test_what_is_no_span_is_refused_with_what_is_one(words: str, why: str) -> None:
    with pytest.raises(ArgumentError, match=why) as refused:
        span_of(words, NOW, UTC)
    assert "Today is Friday 2026-11-27" in str(refused.value)
    assert "last 7 days" in str(refused.value)


@given(any_text(max_size=30))
def test_any_text_is_a_span_or_is_refused(text: str) -> None:
    try:
        span = span_of(text, NOW, UTC)
    except ArgumentError:
        return
    assert span.before < span.start < span.end <= span.start + LONGEST
    assert span.start < NOW


def test_a_span_that_goes_on_is_compared_with_as_much_of_the_one_before_but_no_more_than_all() -> None:
    assert Span(1000, 2000, 0).so_far(1300) == 300
    assert Span(1000, 2000, 500).so_far(1900) == 1000
