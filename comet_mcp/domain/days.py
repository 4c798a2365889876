"""A day in a person's words, in English, Japanese and Chinese: "20 December", "Friday", 来年3月末.

Each row of the table is a form and what it means. A form with several readings gives all of them. "Until December" can
mean its first day or its last one; "the end of December" is its last.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TypeAlias

_Meaning: TypeAlias = Callable[["re.Match[str]", date], Iterator[date]]

_DAY = timedelta(days=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = {name: number for names in ("mtwtfss", "月火水木金土日", "123456日") for number, name in enumerate(names)}
_WEEKDAYS |= {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))} | {"天": 6}

_YEAR = r"(?:,? (?P<year>[0-9]{4})|,? (?:of )?(?P<which>this|next) year)?"
_YEAR_CJK = r"(?:(?P<year>[0-9]{4})年の?|(?P<which>今|本|来|來|明|翌|再来|后|後)年の?)?"
MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NUMBER = r"(?P<day>[0-9]{1,2})"
_ORDINAL = rf"(?:the )?{_NUMBER}(?:st|nd|rd|th)?"
_WEEKDAY = r"(?P<weekday>(?:mon|tues?|wed(?:nes)?|thu(?:r|rs)?|fri|sat(?:ur)?|sun)(?:day)?)"
_PERIODS = (
    r"(?:(?P<which>this|the|next) )?(?P<unit>week|month|quarter|year)",
    MONTH + _YEAR,
    r"(?P<year>[0-9]{4})",
)
_PERIODS_CJK = (
    r"(?P<which>今|本|[这這][个個]?|来|來|下[个個]?|翌|明)?(?P<unit>[週周月年])",
    _YEAR_CJK + r"(?P<month>[0-9]{1,2})月",
    r"(?P<year>[0-9]{4})年",
)


def days_of(words: str, today: date) -> list[date]:
    """The days from today on, or else in the past, that the words can mean; none where they are not understood.

    Args:
        words: In lower case, with ASCII digits (`numerals.with_digits`).
        today: The person's.
    """
    for pattern, meaning in _FORMS:
        if found := pattern.fullmatch(words):
            try:
                days = sorted(set(meaning(found, today)))
            except (ValueError, OverflowError):
                return []  # the calendar has no such day
            return [day for day in days if day >= today] or days[-1:]
    return []


def _in_days(count: int) -> _Meaning:
    def meaning(_: re.Match[str], today: date) -> Iterator[date]:
        yield today + count * _DAY

    return meaning


def _coming(weekday: str, start: date) -> date:
    """The first such day of the week from `start` on."""
    number = _WEEKDAYS[weekday if weekday in _WEEKDAYS else weekday[:3]]
    return start + (number - start.weekday()) % 7 * _DAY


def _weekday(found: re.Match[str], today: date) -> Iterator[date]:
    """The first one there is; said on such a day, also that of next week."""
    coming = _coming(found["weekday"], today)
    yield coming
    if coming == today:
        yield coming + 7 * _DAY


def _next_weekday(found: re.Match[str], today: date) -> Iterator[date]:
    """Some mean the first one there is, some that of next week."""
    yield _coming(found["weekday"], today + _DAY)
    yield _coming(found["weekday"], _week(today, 1)[0])


def _weekday_of_week(found: re.Match[str], today: date) -> Iterator[date]:
    yield _coming(found["weekday"], _week(today, _offset(found["which"]))[0])


def _day_of_month(found: re.Match[str], today: date) -> Iterator[date]:
    month, day, named = month_number(found["month"]), int(found["day"]), _year(found, today)
    yield date(named, month, day) if named else _next_day(month, day, today)


def _next_day(month: int, day: int, today: date) -> date:
    """The first such day from today on; a 29 February may be eight years away."""
    leap = date(2000, month, day)
    years = range(today.year, today.year + 9)
    fit = (date(year, month, day) for year in years if leap.day <= monthrange(year, month)[1])
    return next(found for found in fit if found >= today)


def _bare_day(found: re.Match[str], today: date) -> Iterator[date]:
    """The next day with that number, in this month or in the first one that has it."""
    day = int(found["day"])
    months = (month_days(today.year, today.month + ahead) for ahead in range(4))
    days = (first.replace(day=day) for first, last in months if 0 < day <= last.day)
    yield from [found for found in days if found >= today][:1]


def _days_or_day(found: re.Match[str], today: date) -> Iterator[date]:
    """30日 is 30 days, or the 30th."""
    yield today + int(found["day"]) * _DAY
    yield from _bare_day(found, today)


def _figures(found: re.Match[str], today: date) -> Iterator[date]:
    """03/09/2027 is in September or in March."""
    del today
    year, first, second = int(found["year"]), int(found["first"]), int(found["second"])
    for month, day in {(second, first), (first, second)}:
        if month <= 12:
            yield date(year, month, day)


def _in_order(found: re.Match[str], today: date) -> Iterator[date]:
    del today
    yield date(int(found["year"]), int(found["month"]), int(found["day"]))


def _end(found: re.Match[str], today: date) -> Iterator[date]:
    yield _period(found, today)[1]


def _until(found: re.Match[str], today: date) -> Iterator[date]:
    """Up to a period, or all of it too."""
    if found.groupdict().get("unit") and found["which"] in (None, "the"):
        return  # "month" alone is no end
    first, last = _period(found, today)
    yield first - _DAY
    yield last


def _period(found: re.Match[str], today: date) -> tuple[date, date]:
    """The first and the last day of the week, month, quarter or year that is named."""
    named = found.groupdict()
    if unit := named.get("unit"):
        return unit_days(unit, _offset(named["which"] or ""), today)
    if not named.get("month"):
        return date(int(named["year"]), 1, 1), date(int(named["year"]), 12, 31)
    month, year = month_number(named["month"]), _year(found, today)
    return month_days(year or today.year + (month < today.month), month)


def unit_days(unit: str, ahead: int, today: date) -> tuple[date, date]:
    """The first and the last day of this week, month, quarter or year, or of one so many ahead; -1 for the last one."""
    if unit in ("week", "週", "周"):
        return _week(today, ahead)
    if unit == "quarter":
        first = month_days(today.year, today.month - (today.month - 1) % 3 + 3 * ahead)[0]
        return first, month_days(first.year, first.month + 2)[1]
    if unit in ("month", "月"):
        return month_days(today.year, today.month + ahead)
    return date(today.year + ahead, 1, 1), date(today.year + ahead, 12, 31)


def _week(today: date, ahead: int) -> tuple[date, date]:
    """Monday to Sunday."""
    monday = today - today.weekday() * _DAY + 7 * ahead * _DAY
    return monday, monday + 6 * _DAY


def month_days(year: int, month: int) -> tuple[date, date]:
    """A month, which may be given as the thirteenth one of the year before."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def month_number(word: str) -> int:
    """1 to 12 for a name or a number. Raises ValueError."""
    number = int(word) if word.isdigit() else _MONTHS.index(word[:3]) + 1
    if not 1 <= number <= 12:
        raise ValueError(word)
    return number


def _year(found: re.Match[str], today: date) -> int | None:
    """The year that is named, if one is."""
    if found["year"]:
        return int(found["year"])
    return today.year + _offset(found["which"]) if found["which"] else None


def _offset(which: str) -> int:
    """0 for this one, 1 for the next, 2 for the one after."""
    if which in ("再来", "后", "後"):
        return 2
    return int(which[:1] in ("n", "来", "來", "下", "翌", "明"))


def _table() -> Iterator[tuple[str, _Meaning]]:
    yield r"today|tonight|this evening|end of (?:today|(?:the )?day)|今日中?|本日中?|今夜|今晚|今天", _in_days(0)
    yield r"tomorrow(?: night| evening)?|明日|明天|明晚|明日の夜", _in_days(1)
    yield r"(?:the )?day after tomorrow|明後日|あさって|后天|後天", _in_days(2)
    yield rf"(?:this |coming )?{_WEEKDAY}", _weekday
    yield rf"next {_WEEKDAY}", _next_weekday
    yield r"次の(?P<weekday>[月火水木金土日])曜日?", _next_weekday
    yield r"(?P<weekday>[月火水木金土日])曜日?", _weekday
    yield r"(?P<which>今|来)週の?(?P<weekday>[月火水木金土日])曜日?", _weekday_of_week
    yield r"(?:[周週]|星期|礼拜|禮拜)(?P<weekday>[1-6日天])", _weekday
    yield r"(?P<which>本|[这這][个個]?|下[个個]?)(?:[周週]|星期|礼拜|禮拜)(?P<weekday>[1-6日天])", _weekday_of_week
    yield rf"{_ORDINAL} (?:of )?{MONTH}{_YEAR}", _day_of_month
    yield rf"{MONTH} {_ORDINAL}{_YEAR}", _day_of_month
    yield rf"{_YEAR_CJK}(?P<month>[0-9]{{1,2}})月{_NUMBER}[日号號]", _day_of_month
    yield rf"(?:the )?{_NUMBER}(?:st|nd|rd|th|号|號)", _bare_day
    yield rf"{_NUMBER}日", _days_or_day
    yield r"(?P<first>[0-9]{1,2})([/-])(?P<second>[0-9]{1,2})\2(?P<year>[0-9]{4})", _figures
    yield rf"{_NUMBER}\.(?P<month>[0-9]{{1,2}})\.(?P<year>[0-9]{{4}})", _in_order
    yield r"(?P<year>[0-9]{4})([/.-])(?P<month>[0-9]{1,2})\2(?P<day>[0-9]{1,2})", _in_order
    for period in _PERIODS:
        yield rf"(?:the )?end of (?:the )?{period}", _end
    for period in _PERIODS_CJK:
        yield rf"{period}の?(?:末日?|底|終わり|中)", _end
    for period in (*_PERIODS, *_PERIODS_CJK):
        yield period, _until


_FORMS = tuple((re.compile(pattern), meaning) for pattern, meaning in _table())
