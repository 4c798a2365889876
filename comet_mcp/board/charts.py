"""The board's charts, as SVG drawn from figures. What each shows stands in its label too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from xml.etree.ElementTree import Element

from comet_mcp.board.data import Series
from comet_mcp.board.elements import element
from comet_mcp.domain.money import Units

_HIGH = 100
"""Units of the drawing from the bottom to the top; pages stretch it."""
_SPARK = 20
_BAR = 0.8
"""The part of a day's place that its bar takes."""


def bar(share: float) -> Element:
    """What is spent of a budget; `share` is what is left, from 0 to 1."""
    level = "none" if share <= 0 else "low" if share < 0.2 else "fine"
    spent = element("rect", width=f"{100 * (1 - share):.1f}", height=6, class_=f"spent {level}")
    return element("svg", spent, class_="bar", viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true")


def sparkline(units: Sequence[int], label: str) -> Element:
    """A bar for each day, as one path."""
    most = max(*units, 1)
    path = "".join(f"M{at}.5 {_SPARK}v-{max(_SPARK * one / most, 1):.1f}" for at, one in enumerate(units) if one > 0)
    return element(
        "svg",
        element("path", d=path) if path else None,
        class_="spark",
        viewBox=f"0 0 {len(units)} {_SPARK}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def stack(days: Sequence[date], series: Sequence[Series], worth: Units, label: str) -> Element:
    """A bar for each day, of a piece for each series from the bottom up, with a scale in dollars beside it."""
    totals = [sum(one.units[at] for one in series) for at in range(len(days))]
    top = _scale(max(*totals, 0), worth)
    bars = [_day(at, day, series, top, worth) for at, day in enumerate(days) if totals[at] > 0]
    lines = [element("path", d=f"M0 {y}H{len(days)}", class_="grid") for y in (0.0, _HIGH / 2)]
    drawing = element(
        "svg",
        *lines,
        *bars,
        viewBox=f"0 0 {len(days)} {_HIGH}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
    scale = [element("span", worth.cost(amount)) for amount in (top, top // 2, 0)]
    marks = [element("span", f"{days[at].day} {days[at]:%b}") for at in (0, len(days) // 2, len(days) - 1)]
    return element(
        "div",
        element("div", *scale, class_="scale", aria_hidden="true"),
        drawing,
        element("div", *marks, class_="days", aria_hidden="true"),
        class_="chart",
    )


def _day(at: int, day: date, series: Sequence[Series], top: int, worth: Units) -> Element:
    pieces, base = [], 0.0
    said = [f"{day:%a} {day.day} {day:%b}: {worth.cost(sum(one.units[at] for one in series))}"]
    for number, one in enumerate(series):
        if one.units[at] <= 0:
            continue
        high = _HIGH * one.units[at] / top
        base += high
        pieces.append(
            element(
                "rect",
                x=f"{at + (1 - _BAR) / 2:.1f}",
                y=f"{_HIGH - base:.2f}",
                width=_BAR,
                height=f"{high:.2f}",
                class_=f"c{number}",
            )
        )
        said.append(f"{one.name} {worth.cost(one.units[at])}")
    return element("g", element("title", "\n".join(said)), *pieces)


def _scale(most: int, worth: Units) -> int:
    """A round amount that is at least so much, in quota units: 1, 2, 3, 4, 6 or 8 of a power of ten of cents."""
    step = max(worth.per_usd // 100, 1)
    while True:
        for times in (1, 2, 3, 4, 6, 8):
            if step * times >= most:
                return step * times
        step *= 10
