"""When what is left is used up, at the pace of the last days: told where the pace is steady, and never guessed.

A trace has what was spent in each of some equal stretches of time, the oldest first. Its mean is the pace. It is
believed where its relative standard error is small, so that the true mean lies within 15 % of it in 19 cases of 20, and
where the later half of the trace goes on as the earlier one did. A trace that is too short, bursty, growing or with
pauses tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DAY, HOUR = 86_400, 3_600

LEAST = 4
"""Stretches that a trace needs."""

_CLOSE = 0.15
"""The part by which the pace may be wrong, and by which one half of a trace may differ from the other."""
_DEVIATIONS = 2.0
"""Standard errors on each side of the mean in which the true one lies in 19 cases of 20."""
_FAR = 10
"""A pace is taken to go on for so many times the time that it was seen."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """That what is left is used up at a time, in Unix seconds, if so many quota units are spent in each day or hour."""

    at: int
    pace: int
    each: Literal["day", "hour"]


def forecast(trace: Sequence[int], stretch: float, left: int, now: float) -> Forecast | None:
    """When what is left is used up; None where that can't be told, or is far beyond the time that was looked at.

    Args:
        trace: Quota units that were spent in each stretch, the oldest first. They are over.
        stretch: Seconds of each.
        left: Quota units that are left now.
        now: Unix seconds.
    """
    pace = _pace(trace)
    if pace is None or left <= 0:
        return None
    seconds = left / pace * stretch
    if seconds > _FAR * stretch * len(trace):
        return None
    each: Literal["day", "hour"] = "day" if stretch >= DAY else "hour"
    return Forecast(int(now + seconds), round(pace * (DAY if each == "day" else HOUR) / stretch), each)


def _pace(trace: Sequence[int]) -> float | None:
    """Units in a stretch; None where the trace is too short or not steady."""
    if len(trace) < LEAST or min(trace) <= 0:
        return None
    count, half = len(trace), len(trace) // 2
    mean = sum(trace) / count
    error = math.sqrt(sum((units - mean) ** 2 for units in trace) / (count - 1) / count)
    drift = abs(sum(trace[-half:]) - sum(trace[:half])) / half
    return mean if _DEVIATIONS * error <= _CLOSE * mean and drift <= _CLOSE * mean else None
