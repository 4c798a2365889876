from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.days import days_of
from comet_mcp.domain.lifetime_words import TASK, end_in_zone, end_of
from comet_mcp.domain.lifetimes import CENTURY
from comet_mcp.domain.numerals import with_digits
from comet_mcp.errors import ArgumentError
from tests.any_text import any_text

TOKYO, BERLIN, LOS_ANGELES = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")
NOW = datetime(2026, 11, 18, 11, 6, 40, 750_000, tzinfo=UTC).timestamp()  # a Wednesday, 20:06 in Tokyo
DAY = 86_400


def end(words: str, now: float = NOW, zone: tzinfo = TOKYO) -> int:
    return end_of(words, now, zone).expired_time


def refusal(words: str, now: float = NOW, zone: tzinfo = TOKYO) -> str:
    with pytest.raises(ArgumentError) as refused:
        end_of(words, now, zone)
    return str(refused.value)


def midnight_after(day: date, zone: tzinfo = TOKYO) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) + DAY


SPANS = [
    (2 * 3600, "2h", "2 hours", "in 2 hours", "two hours", "a couple of hours", "2時間", "２時間", "两小时", "2个小时"),
    (30 * 60, "30 minutes", "half an hour", "thirty mins", "30分", "30分钟", "半時間", "半小时"),
    (DAY, "a day", "1d", "24h", "1日間", "一天"),
    (DAY // 2, "half a day", "半日", "半天"),
    (30 * DAY, "30 days", "30d", "for 30 days", "for the next thirty days", "valid for 30 days", "30 Days."),
    (30 * DAY, "30日間", "三十天", "３０日間", "30天后", "30日間以内"),
    (14 * DAY, "2 weeks", "a fortnight", "a couple of weeks", "2週間", "两周", "两个星期"),
    (100 * DAY, "a hundred days", "100 days", "百日間", "一百天"),
]


@pytest.mark.parametrize(("seconds", "words"), [(row[0], words) for row in SPANS for words in row[1:]])
def test_a_span_counts_from_now_in_every_zone(seconds: int, words: str) -> None:
    assert {end(words, zone=zone) for zone in (UTC, TOKYO, LOS_ANGELES)} == {int(NOW) + seconds}


@pytest.mark.parametrize("words", ["6 months", "half a year", "six months", "半年", "6か月", "六个月", "6ヶ月間"])
def test_months_are_those_of_the_calendar(words: str) -> None:
    assert end(words) == int(datetime(2027, 5, 18, 11, 6, 40, tzinfo=UTC).timestamp())


DAYS = [
    ((2026, 11, 18), "today", "tonight", "end of day", "until midnight", "24:00", "今日", "今天", "今晚", "本日中"),
    ((2026, 11, 19), "tomorrow", "until tomorrow night", "明日", "明天", "明日まで"),
    ((2026, 11, 20), "until Friday", "Fri", "by friday", "this Friday", "金曜日", "金曜まで", "周五", "星期五"),
    ((2026, 11, 20), "day after tomorrow", "the day after tomorrow", "明後日", "后天", "20th", "the 20th", "20号"),
    ((2026, 11, 22), "end of the week", "end of this week", "今週末", "Sunday"),
    ((2026, 11, 24), "Tuesday", "tues", "下周二", "来週火曜"),
    ((2026, 11, 30), "end of the month", "end of month", "until the end of November", "月末", "本月底", "30日まで"),
    ((2026, 12, 20), "20 December", "20th of December", "Dec 20", "December 20th", "until 20 dec.", "12月20日"),
    ((2026, 12, 20), "十二月二十日", "１２月２０日まで", "2026年12月20日", "今年12月20日", "20.12.2026", "20/12/2026"),
    ((2026, 12, 31), "end of the year", "end of 2026", "31 December", "年末", "年底", "end of this quarter"),
    (
        (2027, 3, 31),
        "end of March",
        "end of next quarter",
        "end of march next year",
        "来年3月末",
        "明年3月底",
        "来年三月末まで",
    ),
    (
        (2027, 9, 3),
        "2027-09-03",
        "until 2027-09-03",
        "2027-09-03T24:00",
        "2027-09-03 24:00",
        "3 Sep 2027",
        "September 3, 2027",
        "2027/9/3",
        "3.9.2027",
        "20270903",
    ),
    ((2027, 12, 31), "end of next year", "the end of next year", "end of 2027", "来年末", "明年底", "2027年末"),
    ((2028, 2, 29), "29 February", "Feb 29", "2月29日", "end of February 2028"),
]


@pytest.mark.parametrize("zone", [UTC, TOKYO, BERLIN, LOS_ANGELES], ids=str)
@pytest.mark.parametrize(("day", "words"), [(row[0], words) for row in DAYS for words in row[1:]])
def test_a_day_is_included_in_the_persons_zone(day: tuple[int, int, int], words: str, zone: tzinfo) -> None:
    assert end(words, zone=zone) == midnight_after(date(*day), zone)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ((2026, 11, 18, 22), "tonight at 10pm"),
        ((2026, 11, 18, 22), "tonight 10:00"),
        ((2026, 11, 18, 22), "今晚10点"),
        ((2026, 11, 19, 0), "tonight at 12am"),
        ((2026, 11, 19, 1), "tonight at 1am"),
        ((2026, 11, 19, 0, 30), "tonight at 00:30"),
        ((2026, 11, 19, 1), "今夜1時"),
        ((2026, 11, 19, 22), "tomorrow night at 10pm"),
        ((2026, 11, 20, 0), "tomorrow night at 12am"),
        ((2026, 11, 20, 1), "tomorrow night at 1am"),
        ((2026, 11, 20, 1), "1am tomorrow night"),
        ((2026, 11, 19, 1), "tomorrow at 1am"),
        ((2026, 11, 18, 22, 30), "22:30"),
        ((2026, 11, 19, 17), "5pm"),
        ((2026, 11, 19, 17), "tomorrow 5 p.m."),
        ((2026, 11, 19, 18), "午後6時"),
        ((2026, 11, 19, 12), "noon"),
        ((2026, 11, 19, 0, 30), "12:30am"),
        ((2026, 11, 20, 18, 30), "Friday, 18:30"),
        ((2026, 11, 25, 9), "Wednesday 9am"),
        ((2026, 11, 20, 18, 30), "at 6:30 pm on Friday"),
        ((2026, 11, 20, 18, 30), "金曜日18時30分"),
        ((2027, 9, 3, 12), "2027-09-03T12:00"),
        ((2027, 9, 3, 12), "2027-09-03 12:00"),
    ],
)
def test_a_time_without_a_zone_is_the_persons(moment: tuple[int, ...], words: str) -> None:
    assert end(words) == int(datetime(*moment, tzinfo=TOKYO).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("words", ["2027-09-03T12:00Z", "2027-09-03 12:00 UTC", "2027-09-03T14:00+02:00"])
def test_a_time_with_a_zone_is_in_that_zone(words: str) -> None:
    assert end(words) == int(datetime(2027, 9, 3, 12, tzinfo=UTC).timestamp())


@given(
    st.datetimes(datetime(2027, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_any_iso_time_with_an_offset_is_that_moment(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone, microsecond=0)
    for text in (aware.isoformat(), aware.isoformat(sep=" "), f"  until {aware.isoformat()}  "):
        assert end(text) == int(aware.timestamp())


@given(st.dates(date(2026, 11, 19), date(2099, 1, 1)), st.sampled_from([UTC, TOKYO, BERLIN, LOS_ANGELES]))
def test_every_way_to_write_a_day_means_that_day(day: date, zone: tzinfo) -> None:
    expected = end(day.isoformat(), zone=zone)
    assert datetime.fromtimestamp(expected - 1, zone).date() == day
    for form in ("%d %B %Y", "%B %d, %Y", "until %d %b %Y", "%d.%m.%Y", "%Y/%m/%d", "%Y年%m月%d日", "%d of %B %Y"):
        assert end(day.strftime(form), zone=zone) == expected


@given(st.dates(date(2026, 1, 1), date(2090, 12, 31)), st.dates(date(2028, 1, 1), date(2028, 12, 31)))
def test_a_day_without_a_year_is_the_next_there_is(today: date, wanted: date) -> None:
    (found,) = days_of(wanted.strftime("%d %b").lower(), today)
    assert (found.month, found.day) == (wanted.month, wanted.day)
    assert today <= found <= today + timedelta(days=366 * 8 if wanted == date(2028, 2, 29) else 366)


@pytest.mark.parametrize(
    ("now", "zone", "words", "then"),
    [
        # summer time begins and ends
        ((2027, 3, 27, 12), BERLIN, "tomorrow", (2027, 3, 28, 22)),
        ((2027, 3, 27, 12), BERLIN, "today", (2027, 3, 27, 23)),
        ((2026, 10, 24, 12), BERLIN, "tomorrow", (2026, 10, 25, 23)),
        ((2026, 10, 24, 12), BERLIN, "24h", (2026, 10, 25, 12)),
        # there is no midnight in Santiago when summer time begins, and two in Havana when it ends
        ((2026, 9, 5, 12), ZoneInfo("America/Santiago"), "today", (2026, 9, 6, 4)),
        ((2026, 10, 31, 12), ZoneInfo("America/Havana"), "today", (2026, 11, 1, 4)),
        # a year's and a month's last day, which is another one elsewhere
        ((2026, 12, 31, 14), TOKYO, "tonight", (2026, 12, 31, 15)),
        ((2026, 12, 31, 16), TOKYO, "tonight", (2027, 1, 1, 15)),
        ((2026, 12, 31, 16), TOKYO, "end of the year", (2027, 12, 31, 15)),
        ((2026, 12, 31, 16), UTC, "end of the year", (2027, 1, 1)),
        ((2026, 12, 31, 16), UTC, "1 January", (2027, 1, 2)),
        ((2026, 12, 31, 16), TOKYO, "1 January", (2027, 1, 1, 15)),
        ((2027, 1, 31, 12), UTC, "end of next month", (2027, 3, 1)),
        ((2028, 1, 31, 12), UTC, "end of next month", (2028, 3, 1)),
        ((2028, 1, 31, 12), UTC, "1 month", (2028, 2, 29, 12)),
        ((2028, 2, 29, 12), UTC, "29 February", (2028, 3, 1)),
        ((2028, 3, 1, 12), UTC, "29 February", (2032, 3, 1)),
        ((2097, 1, 1, 12), UTC, "29 February", (2104, 3, 1)),
        ((2027, 1, 31, 12), UTC, "31st", (2027, 2, 1)),
        ((2027, 2, 1, 12), UTC, "31st", (2027, 4, 1)),
        ((2026, 12, 20, 12), UTC, "20 December", (2026, 12, 21)),
        ((2026, 12, 21, 12), UTC, "20 December", (2027, 12, 21)),
        ((2026, 12, 21, 12), UTC, "end of next quarter", (2027, 4, 1)),
    ],
)
def test_the_calendar_of_the_zone_decides(
    now: tuple[int, ...], zone: tzinfo, words: str, then: tuple[int, ...]
) -> None:
    begun = datetime(*now, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]
    assert end(words, begun, zone) == int(datetime(*then, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("words", "one", "other"),
    [
        ("next Friday", "Friday 2026-11-20", "Friday 2026-11-27"),
        ("次の金曜", "Friday 2026-11-20", "Friday 2026-11-27"),
        ("Wednesday", "Wednesday 2026-11-18", "Wednesday 2026-11-25"),
        ("03/09/2027", "Tuesday 2027-03-09", "Friday 2027-09-03"),
        ("until December", "Monday 2026-11-30", "Thursday 2026-12-31"),
        ("来月", "Monday 2026-11-30", "Thursday 2026-12-31"),
        ("until next year", "Thursday 2026-12-31", "Friday 2027-12-31"),
        ("30日", "Monday 2026-11-30", "Friday 2026-12-18"),
    ],
)
def test_what_has_two_readings_is_asked_about_with_both(words: str, one: str, other: str) -> None:
    said = refusal(words)
    assert f"can mean {one} 24:00 UTC+09:00 or {other} 24:00 UTC+09:00: ask which" in said


@pytest.mark.parametrize("words", ["next Friday", "Friday", "31/12/2026", "04/04/2027", "until this month"])
def test_what_has_one_reading_that_is_not_over_is_taken(words: str) -> None:
    sunday = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
    assert end(words, sunday) > sunday


@pytest.mark.parametrize(
    "words",
    ["never", "Never", " NEVER ", "forever", "no expiry", "no  expiry", "unlimited", "-1", "never expires", "無期限"],
)
def test_never_is_minus_one(words: str) -> None:
    assert end(words) == -1


@pytest.mark.parametrize(
    "words",
    [
        *("just for this task", "for this task only", "this session", "only for this session", "once", "temporary"),
        *("for one job", "for the current conversation", "今回だけ", "このタスクのみ", "这次任务"),
        *("for this job", "during this task", "for this CI run", "for the duration of this build"),
        *("このタスクだけ", "このジョブの間だけ"),
    ],
)
def test_for_the_task_at_hand_is_two_hours_and_said(words: str) -> None:
    found = end_of(words, NOW, TOKYO)
    assert found.expired_time == int(NOW) + TASK
    assert "ends in 2 hours" in found.warning
    assert "cometapi-mcp run --lease" in found.warning, "a key that ends with its program is better"


NONSENSE = [
    *["", " ", "soon", "30", "d", "30 dd", "30 moons", "30m", "1.5 days", "-3 days", "1e3 d", "1 day 2 hours", "30d?"],
    *["2027-13-01", "2027-02-30", "2027-09-03T25:00", "1820000000", "1234567 days", "in", "from now", "30 d\x00"],
    *[
        "\ud800",
        "0x1e d",
        "½ day",
        "² days",
        "31 April",
        "30 February",
        "0th",
        "32nd",
        "13月",
        "0月3日",
        "25:00",
        "13pm",
    ],
    *[
        "0:00 pm",
        "by Christmas",
        "month",
        "week",
        "end of",
        "until",
        "friday 20 december",
        "banana republic",
        "三",
        "日",
    ],
]


@pytest.mark.parametrize("words", NONSENSE, ids=ascii)
def test_what_is_no_end_is_refused_with_the_day_it_is_and_the_forms_there_are(words: str) -> None:
    said = refusal(words)
    assert "is not understood. Today is Wednesday 2026-11-18 (UTC+09:00). Give " in said
    assert '"until Friday"' in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "words",
    [
        *("0 days", "0h", "2026-11-17", "2026-11-18T11:06:40Z", "2026-11-18T20:06:40", "1970-01-01", "0001-01-01"),
        *("20 Dec 2020", "end of 2025", "today 9:00", "0001-01-01T00:00"),
    ],
)
def test_an_end_that_is_not_in_the_future_is_refused(words: str) -> None:
    assert f'lifetime "{words}" ends in the past. Today is Wednesday 2026-11-18' in refusal(words)


@pytest.mark.parametrize(
    "words",
    [
        *("1000 years", "999999 years", "101 years", "999999 weeks", "2200-01-01", "9999-12-30", "9999-12-31"),
        *("end of 9999", "31 December 9999", "9999-12-31T23:59"),
    ],
)
def test_a_lifetime_beyond_a_century_is_refused_in_the_words_of_a_lifetime(words: str) -> None:
    said = refusal(words)
    assert f'lifetime "{words}" ends more than a hundred years from now' in said
    assert "expired_time" not in said


@pytest.mark.parametrize("words", ["100 years", "1200 months"])
def test_a_century_of_the_calendar_is_taken(words: str) -> None:
    assert end(words) == int(datetime(2126, 11, 18, 11, 6, 40, tzinfo=UTC).timestamp())


_PIECES = st.sampled_from(
    [
        *(
            "next",
            "end of",
            "the",
            "until",
            "friday",
            "may",
            "30",
            "31",
            "2027",
            "december",
            "tonight",
            "at",
            "week",
            "a",
        ),
        *(
            "日",
            "月",
            "年",
            "末",
            "来",
            "十",
            "周",
            "まで",
            "半",
            "２",
            "\u3000",
            "pm",
            ":",
            "5",
            "/",
            "-",
            ".",
            "0",
            "half",
        ),
    ]
)


@given(
    st.one_of(
        any_text(max_size=60), st.lists(_PIECES, max_size=6).map(" ".join), st.lists(_PIECES, max_size=6).map("".join)
    ),
    st.floats(0, 4e9),
)
def test_any_words_give_a_time_or_a_refusal(words: str, now: float) -> None:
    try:
        found = end(words, now)
    except ArgumentError:
        return
    assert found == -1 or now < found <= now + CENTURY


@pytest.mark.parametrize(
    ("moment", "zone", "shown"),
    [
        ((2026, 12, 20, 15), TOKYO, "Sunday 2026-12-20 24:00 UTC+09:00 (2026-12-20T15:00:00Z)"),
        ((2026, 12, 20, 15, 1), TOKYO, "Monday 2026-12-21 00:01 UTC+09:00 (2026-12-20T15:01:00Z)"),
        ((2026, 11, 18, 13, 6, 40), UTC, "Wednesday 2026-11-18 13:06:40 UTC (2026-11-18T13:06:40Z)"),
        ((2026, 9, 6, 4), ZoneInfo("America/Santiago"), "Saturday 2026-09-05 24:00 UTC-04:00 (2026-09-06T04:00:00Z)"),
    ],
)
def test_an_end_is_shown_in_the_zone_and_in_utc(moment: tuple[int, ...], zone: tzinfo, shown: str) -> None:
    assert end_in_zone(int(datetime(*moment, tzinfo=UTC).timestamp()), zone) == shown  # type: ignore[arg-type,misc]
    assert end_in_zone(-1, zone) == "never"


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("二〇二七年", "2027年"),
        ("百二十", "120"),
        ("三千", "3000"),
        ("二十五日", "25日"),
        ("十二月", "12月"),
        ("３０ｄ", "30d"),
        ("Twenty DAYS", "20 days"),
        ("bone", "bone"),
    ],
)
def test_numbers_are_read_in_full_width_kanji_and_english(text: str, digits: str) -> None:
    assert with_digits(text) == digits


def test_in_the_small_hours_a_night_is_the_one_that_is_or_the_next() -> None:
    early = datetime(2026, 11, 18, 0, 30, tzinfo=TOKYO).timestamp()
    said = refusal("tonight at 1am", early)
    assert "can mean Wednesday 2026-11-18 01:00 UTC+09:00 or Thursday 2026-11-19 01:00 UTC+09:00: ask which" in said
    late = datetime(2026, 11, 18, 2, tzinfo=TOKYO).timestamp()
    assert end("tonight at 1am", late) == int(datetime(2026, 11, 19, 1, tzinfo=TOKYO).timestamp())
