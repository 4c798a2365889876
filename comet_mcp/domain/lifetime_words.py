"""When a key shall end, in a person's words, as the API's expired_time.

Spans ("2 weeks", 三十天), days ("20 December", "until Friday", 12月20日), periods ("end of next year",
来年3月末), times of day, ISO dates and times, "never", and "just for this task". A span counts from now. A day is
included, in the person's zone. What has several readings is not guessed: all are named.

The grammar is our own, as tables. Of the libraries (measured) dateparser 1.5 reads 12月20日 as a day of 2112 and
03/09/2027 in the American way, and knows neither "until Friday" nor 三十天, for 0.3 s at its first use; parsedatetime
2.6 has no Japanese or Chinese; recognizers-text 1.0.2a2 can't be imported beside today's emoji.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from comet_mcp.domain.days import days_of
from comet_mcp.domain.lifetimes import BEYOND, CENTURY, NEVER, after, offset, when
from comet_mcp.domain.numerals import with_digits
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

TASK = 2 * 3600
"""Seconds for which a key lives that is only for the task at hand."""

_TASK_SAID = (
    "No time was given but the task at hand, so the key ends in 2 hours. Give another end if it takes longer. For one "
    "program `cometapi-mcp run --lease 15m --budget 0.50 -- PROGRAM` is better: that key ends with it."
)
_GIVE = (
    'Give "30 days", "2h", "20 December", "until Friday", "end of next month", a date such as "2027-09-03", a time '
    'such as "2027-09-03T12:00Z", or "never".'
)

_FRAME = re.compile(
    r"^(?:until|till|til|through|up to|by|for|within|in|on|at|the|next(?= [0-9])|expires|ends|valid|到|至|直到)"
    r"(?: |(?<![a-z]))|(?:まで|迄|为止|為止|[.!。])$"
)
"""A word that says no more than that an end is meant."""
_NEVER = re.compile(
    r"never|forever|unlimited|no (?:expiry|expiration|end)|(?:never|does not|doesn't) expires?|-1"
    r"|無期限|无期限|永久|永不?过期|不过期"
)
_TASK = re.compile(
    r"(?:(?:just|only) )*(?:for |during )?(?:(?:the )?duration of )?"
    r"(?:this|(?:the )?current|today's|a single|1) (?:1 |ci )?"
    r"(?:task|session|job|run|build|chat|conversation)(?: only)?|once|1-off|temporary|temporarily"
    r"|(?:この|今回の?|[这這][个個]?|本次|[这這]次)(?:タスク|作業|ジョブ|セッション|任务|任務|会话|會話|工作)?"
    r"(?:の間)?(?:だけ|のみ|限り)?"
)
_SPELLINGS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"([0-9]{1,2})日(?:まで|迄|为止|為止)$", r"\1号"),
        (r"\b(?:noon|midday)\b|正午", "12:00"),
        (r"^(?:until |till |by |at )?(?:midnight|24:00)$", "today"),
        (r"[ ,]*\b(?:at )?(?:midnight|24:00)$|(?<=[0-9])t24:00$", ""),
        (r"(?:午前|上午|早上)([0-9]{1,2})[時时点點](?!間)(?:([0-9]{1,2})分)?", r" \1:\2 am"),
        (r"(?:午後|下午|晚上)([0-9]{1,2})[時时点點](?!間)(?:([0-9]{1,2})分)?", r" \1:\2 pm"),
        (r"([0-9]{1,2})[時时点點](?!間)(?:([0-9]{1,2})分)?", r" \1:\2"),
        (r"(?<=[0-9]:)(?=\D|$)", "00"),
        (r"(?<=[0-9])( ?[ap])\.m\.", r"\1m"),
    )
)
"""Other ways to write a time of day, and the 30th as against 30 days, in the one that the tables know."""
_SPANS = tuple(
    (re.compile(rf"(?:{pattern})(?: ?(?:[後后內内]|以[内內]|之[内內后後]))?"), words)
    for pattern, words in (
        (r"(?:a )?couple (?:of )?(hours|days|weeks|months|years)", r"2 \1"),
        (r"half an? hour|半時間|半[个個]?(?:小时|小時|钟头|鐘頭)", "30 minutes"),
        (r"half a day|半日|半天", "12 hours"),
        (r"half a year|半年", "6 months"),
        (r"half a month|半[个個]?月", "15 days"),
        (r"(?:a|1) quarter", "3 months"),
        (r"(?:a|1) fortnight", "2 weeks"),
        (r"([0-9]{1,6}) ?(?:分間?|分钟|分鐘)", r"\1 minutes"),
        (r"([0-9]{1,6}) ?(?:時間|[个個]?(?:小时|小時|钟头|鐘頭))", r"\1 hours"),
        (r"([0-9]{1,6}) ?(?:日間|天)", r"\1 days"),
        (r"([0-9]{1,6}) ?(?:[週周]間?|[个個]?(?:星期|礼拜|禮拜))", r"\1 weeks"),
        (r"([0-9]{1,6}) ?[かヶカケヵ箇个個]月間?", r"\1 months"),
        (r"([0-9]{1,3}) ?年間?", r"\1 years"),
    )
)
"""Spans that are not a number and a unit in English, in that form."""
_TIME = r"(?:at )?(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))?(?: ?(?P<half>[ap])m)?"
_CLOCKS = (re.compile(rf"(?:(?P<day>.+?),? )?{_TIME}"), re.compile(rf"{_TIME},? (?:on )?(?P<day>.+)"))
_EVENINGS = ("tonight", "this evening", "tomorrow night", "tomorrow evening", "今夜", "今晚", "明晚", "明日の夜")

_MORNING = time(6)
"""1 am of a night is before it, on the day after."""


@dataclass(frozen=True, slots=True)
class End:
    """When a key ends, and what has to be said of how that was understood."""

    expired_time: int
    warning: str = ""


def end_of(lifetime: str, now: float, zone: tzinfo, name: str = "lifetime") -> End:
    """The end that the words mean.

    Args:
        lifetime: A person's words.
        now: Unix seconds.
        zone: The person's.
        name: The argument that they stand in.

    Raises:
        ArgumentError: They are not understood, can mean several ends, or mean one that is over or in a century.
    """
    words = _plain(lifetime)
    if _NEVER.fullmatch(words):
        return End(NEVER)
    if _TASK.fullmatch(words):
        return End(int(now) + TASK, _TASK_SAID)
    ends = _ends(words, now, zone)
    coming = [end for end in ends if end > now]
    wrong = "ends in the past" if ends and not coming else _wrong(coming, now, zone)
    if wrong:
        today = datetime.fromtimestamp(now, zone)
        shown = f"Today is {today:%A %Y-%m-%d} ({offset(today)})"
        raise ArgumentError(f"{name} {quoted(lifetime)} {wrong}. {shown}. {_GIVE}")
    return End(coming[0])


def span_of(words: str, now: float) -> int | None:
    """The seconds of a span from now, such as "30 days"; None where the words are none."""
    plain = _plain(words)
    end = int(now) + TASK if _TASK.fullmatch(plain) else after(as_span(plain), now)
    return None if end is None else end - int(now)


def end_in_zone(expired_time: int, zone: tzinfo) -> str:
    """The API's expired_time in words, in a zone and in UTC; the end of a day is 24:00 of that day."""
    if expired_time == NEVER:
        return "never"
    end, last = (datetime.fromtimestamp(seconds, zone) for seconds in (expired_time, expired_time - 1))
    if end.date() > last.date():
        local = f"{last:%A %Y-%m-%d} 24:00 {offset(last)}"
    else:
        local = f"{end:%A %Y-%m-%d %H:%M}{f':{end:%S}' if end.second else ''} {offset(end)}"
    return f"{local} ({when(expired_time)})"


def _plain(lifetime: str) -> str:
    """The words in lower case, with plain digits, and without those around the end itself."""
    words = " ".join(with_digits(lifetime).split())
    for pattern, spelling in _SPELLINGS:
        words = pattern.sub(spelling, words)
    framed = ""
    while words != framed:
        framed, words = words, _FRAME.sub("", words.strip())
    return words


def _ends(words: str, now: float, zone: tzinfo) -> list[int]:
    """All that the words can mean, in Unix seconds."""
    for end in (after(as_span(words), now), _iso(words, zone)):
        if end is not None:
            return [end]
    return _moments(words, datetime.fromtimestamp(now, zone), zone)


def as_span(words: str) -> str:
    """A span in any of the three languages as a number and a unit in English; other words as they are."""
    for pattern, span in _SPANS:
        if found := pattern.fullmatch(words):
            return found.expand(span)
    return words


def _iso(words: str, zone: tzinfo) -> int | None:
    """An ISO date, to its end, or time."""
    text = words.upper().removesuffix(" UTC") + "+00:00" * words.endswith(" utc")
    try:
        return _end_of_day(date.fromisoformat(text), zone)
    except ValueError:
        pass  # a time, or no ISO form
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _unix(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def _moments(words: str, now: datetime, zone: tzinfo) -> list[int]:
    """The ends that a day, a time of day or both can mean."""
    if days := days_of(words, now.date()):
        return [_end_of_day(day, zone) for day in days]
    for pattern in _CLOCKS:
        found = pattern.fullmatch(words)
        clock = _clock(found) if found else None
        if found is None or clock is None:
            continue
        if found["day"]:
            days = days_of(found["day"], now.date())
            if found["day"] in _EVENINGS and clock < _MORNING:
                days = _nights(days, now.time())
            return [_unix(datetime.combine(day, clock, zone)) for day in days]
        today = datetime.combine(now.date(), clock, zone)
        return [_unix(today if today > now else today + timedelta(days=1))]
    return []


def _clock(found: re.Match[str]) -> time | None:
    """The time of day that is named; None where no day has it, or it is a mere number."""
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if found["day"] in _EVENINGS and not half and 5 <= hour < 12:
        half = "p"
    if not (half or found["minute"]) or (half and not 1 <= hour <= 12):
        return None
    if half:
        hour = hour % 12 + 12 * (half == "p")
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _nights(days: list[date], now: time) -> list[date]:
    """The days on which the small hours of those days' nights are; before a morning also those of the night that is."""
    after_ = [day + timedelta(days=1) for day in days]
    return days + after_ if now < _MORNING else after_


def _end_of_day(day: date, zone: tzinfo) -> int:
    return BEYOND if day == date.max else _unix(datetime.combine(day + timedelta(days=1), time(), zone))


def _unix(moment: datetime) -> int:
    """Unix seconds. What the calendar of the zone can't tell is far away."""
    try:
        return int(moment.timestamp())
    except (OverflowError, OSError, ValueError):
        return BEYOND if moment.year > 2000 else 0


def _wrong(ends: list[int], now: float, zone: tzinfo) -> str:
    """Why these ends, which are still to come, are no answer; "" for a single one that is."""
    if not ends:
        return "is not understood"
    if ends[0] > now + CENTURY:
        return "ends more than a hundred years from now"
    if len(ends) > 1:
        readings = (end_in_zone(end, zone).partition(" (")[0] for end in ends)
        return f"can mean {' or '.join(readings)}: ask which, and give that date"
    return ""
