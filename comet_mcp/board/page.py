"""The board as one HTML page: readable without a script, which adds search, sorting and, where it may, changes.

Style and script stand in the page, and its content security policy names them by their digests: nothing else runs,
and nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Literal
from xml.etree.ElementTree import Element

from comet_mcp.board import charts
from comet_mcp.board.changes import WORDS
from comet_mcp.board.data import DAYS, Board, Series
from comet_mcp.board.elements import element, html_of
from comet_mcp.board.keys import table
from comet_mcp.domain.told_times import local
from comet_mcp.text import printable

Mode = Literal["saved", "live", "app"]
_KINDS = (("model", "model"), ("key", "key"))


def document(board: Board | None, *, mode: Mode = "saved") -> str:
    """The page.

    Args:
        board: What it shows; None for a page that asks for it.
        mode: Whether it is "saved" in a file; "live", served by the program that it asks; or an "app", which asks the
            client that shows it.
    """
    return Template(_asset("board.html")).substitute(
        policy=security_policy(mode),
        words=escape(json.dumps(WORDS)),
        style=_asset("board.css"),
        script=_asset("board.js"),
        mode=mode,
        content=content(board) if board else "",
    )


def security_policy(mode: Mode) -> str:
    """The content security policy of the page."""
    connect = "'self'" if mode == "live" else "'none'"
    return (
        f"default-src 'none'; style-src {_digest('board.css')}; script-src {_digest('board.js')}; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def content(board: Board, *, tools: Sequence[str] = ()) -> str:
    """What stands in the page's main part. `tools` are those by which it may change keys."""
    return "".join(map(html_of, _parts(board, tools)))


@cache
def _asset(name: str) -> str:
    return (files("comet_mcp.board") / name).read_text(encoding="utf-8")


def _digest(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()}'"


def _parts(board: Board, tools: Sequence[str]) -> list[Element]:
    notes = [element("li", printable(note, 2000)) for note in board.notes]
    return [
        element("p", f"{board.account}, as of {local(board.at, board.zone)}", class_="about"),
        _figures(board),
        *([element("ul", *notes, class_="notes")] if notes else []),
        _spending(board),
        _keys(board, tools),
    ]


def _figures(board: Board) -> Element:
    """The figures to be seen first."""
    working = sum(key.works for key in board.keys)
    worrying = sum(any(mark.is_serious for mark in key.marks) for key in board.keys)
    figures = [
        ("Keys", f"{len(board.keys)}", f"{working} work{'s' * (working == 1)}"),
        ("To look at", f"{worrying}", "keys with a mark" if worrying != 1 else "key with a mark"),
        (f"Spent in {DAYS} days", board.units.cost(board.total), ""),
    ]
    if board.before:
        amount, _, span = board.before.partition(" (")
        figures.append((f"The {DAYS} days before", amount, span.partition(")")[0]))
    return element(
        "dl",
        *(
            element("div", element("dt", title), element("dd", figure, element("small", more) if more else None))
            for title, figure, more in figures
        ),
        class_="figures",
    )


def _spending(board: Board) -> Element:
    """Spending by day, stacked by model or by key; a choice that needs no script."""
    title = element("h2", "Spending by day", id="spending")
    if not any(series.total for series in board.by_model):
        nothing = element("p", f"Nothing was spent in these {DAYS} days.")
        return element("section", title, nothing, aria_labelledby="spending")
    choice: list[Element] = []
    for at, (kind, word) in enumerate(_KINDS):
        button = element("input", type="radio", name="stack", id=f"by-{kind}", checked=at == 0)
        choice += [button, element("label", f"by {word}", for_=f"by-{kind}")]
    return element(
        "section",
        title,
        *choice,
        _stacked("model", board.by_model, board),
        _stacked("key", board.by_key, board),
        aria_labelledby="spending",
        class_="spending",
    )


def _stacked(kind: str, series: Sequence[Series], board: Board) -> Element:
    worth = board.units
    totals = [sum(one.units[at] for one in series) for at in range(len(board.days))]
    most = max(range(len(totals)), key=totals.__getitem__)
    label = (
        f"Spending on each of {DAYS} days, by {kind}: {worth.cost(sum(totals))} in all, most on "
        f"{board.days[most]:%Y-%m-%d} with {worth.cost(totals[most])}"
    )
    dearest = [_share(number, one, sum(totals), board) for number, one in enumerate(series)]
    title = element("caption", f"The dearest {kind}s")
    return element(
        "div",
        charts.stack(board.days, series, worth, label),
        element("table", title, element("tbody", *dearest), class_="dearest"),
        class_=f"stacked {kind}",
    )


def _share(number: int, one: Series, total: int, board: Board) -> Element:
    part = f"{100 * one.total / total:.0f} %" if total > 0 else ""
    swatch = element("svg", element("rect", width=10, height=10, class_=f"c{number}"), class_="swatch",
                     viewBox="0 0 10 10", aria_hidden="true")  # fmt: skip
    return element(
        "tr",
        element("th", swatch, element("bdi", one.name), scope="row"),
        element("td", board.units.cost(one.total)),
        element("td", part),
    )


def _keys(board: Board, tools: Sequence[str]) -> Element:
    if not board.keys:
        made = element("code", "cometapi-mcp keys new NAME")
        return element(
            "section", element("h2", "Keys"), element("p", "The account has no API keys. To make one: ", made)
        )
    states = sorted({key.said["state"] for key in board.keys})
    options = [element("option", "any", value=""), *(element("option", one, value=one) for one in states)]
    search = element("label", "Search ", element("input", type="search", id="search", autocomplete="off"))
    state = element("label", "State ", element("select", *options, id="state"))
    marked = element("label", element("input", type="checkbox", id="marked"), " only those to look at")
    finding = element("div", search, state, marked, element("output", id="count", for_="search state marked"),
                    class_="tools", hidden=True)  # fmt: skip
    wide = element("div", table(board, tools), class_="wide", role="region", tabindex=0,
                   aria_labelledby="keys-title")  # fmt: skip
    return element("section", element("h2", "Keys", id="keys-title"), finding, wide)
