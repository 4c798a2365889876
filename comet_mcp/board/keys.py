"""The board's table of keys: a row for each, whose cells have what the page sorts by."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from comet_mcp.board import charts
from comet_mcp.board.data import DAYS, Board, BoardKey
from comet_mcp.board.elements import element
from comet_mcp.domain.told_times import from_now, local, seconds_of
from comet_mcp.text import printable
from comet_mcp.tools.key_words import ANY, NONE, dry_of

_NEVER = 10**12
"""For sorting: later than every end."""
_SHOWN = 2
"""Models or addresses that a cell shows; the others are behind a click."""
_LONGEST = 100
"""Characters of one of them."""
_COLUMNS = ("Key", "State", "Budget", f"Spent in {DAYS} days", "Ends", "Last used", "Models", "Addresses")
_STATES = ("works", "disabled", "used up", "expired")


def table(board: Board, tools: Sequence[str]) -> Element:
    """All keys. The roles say again what each element is, for a narrow page shows no table.

    Args:
        board: What is shown.
        tools: Those by which keys may be changed.
    """
    titles = [element("th", title, scope="col", role="columnheader") for title in _COLUMNS]
    if tools:
        title = element("span", "Change", class_="unseen")
        titles.append(element("th", title, scope="col", role="columnheader", class_="changes"))
    rows = [_row(key, board, may_change=bool(tools)) for key in board.keys]
    head = element("thead", element("tr", *titles, role="row"), role="rowgroup")
    body = element("tbody", *rows, role="rowgroup")
    caption = element("caption", "API keys of the account", class_="unseen")
    zone = getattr(board.zone, "key", None)  # the machine's own has no name
    return element("table", caption, head, body, role="table", id="keys", data_tools=" ".join(tools), data_zone=zone)


def _row(key: BoardKey, board: Board, *, may_change: bool) -> Element:
    cells = [
        _name(key),
        _cell("State", element("span", printable(key.said["state"]), class_="state"), by=_rank(key)),
        _cell("Budget", *_budget(key), by=-1 if key.left is None else f"{1 - key.left:.4f}"),
        _cell(_COLUMNS[3], *_spent(key, board), by=sum(key.units)),
        _cell("Ends", _moment(key.said["ends"], key.ends, board), by=_NEVER if key.ends is None else key.ends),
        _cell("Last used", _moment(key.said["last_used"], key.last_used, board), by=key.last_used or 0),
        _cell("Models", _few(key.said["models"]), by=key.said["models"]),
        _cell("Addresses", _few(key.said["addresses"]), by=key.said["addresses"]),
    ]
    if may_change:
        label = f"Change key {key.id}, {key.name}"
        button = element("button", "Change", type="button", class_="change", aria_label=label)
        cells.append(element("td", button, role="cell", data_by="", class_="changes"))
    serious = sum(mark.is_serious for mark in key.marks)
    return element(
        "tr",
        *cells,
        role="row",
        data_id=key.id,
        data_name=key.name,
        data_state=key.said["state"],
        data_marks=serious,
        data_unlimited=key.left is None,
    )


def _rank(key: BoardKey) -> int:
    state = key.said["state"]
    return _STATES.index(state) if state in _STATES else len(_STATES)


def _name(key: BoardKey) -> Element:
    group = key.said.get("group", NONE)
    about = f"id {key.id}" + (f", group {printable(group, _LONGEST)}" if group != NONE else "")
    marks = [element("li", mark.text, class_="mark serious" if mark.is_serious else "mark") for mark in key.marks]
    return element(
        "th",
        element("bdi", key.name or "(no name)", class_="name"),
        " ",
        element("small", about),
        element("ul", *marks, class_="marks") if marks else None,
        scope="row",
        role="rowheader",
        data_by=key.name.lower(),
    )


def _cell(title: str, *children: Element | str | None, by: str | float) -> Element:
    return element("td", *children, role="cell", data_title=title or None, data_by=by)


def _budget(key: BoardKey) -> list[Element | str]:
    said = element("span", key.said["budget"])
    if key.left is None:
        return [said, element("small", f"{key.said['spent']} spent in all")]
    return [said, charts.bar(key.left), element("small", f"{key.said['spent']} spent in all")]


def _spent(key: BoardKey, board: Board) -> list[Element | str]:
    total = board.units.cost(sum(key.units))
    if not any(key.units):
        return [element("span", total)]
    most = max(range(len(key.units)), key=key.units.__getitem__)
    dearest = f"most on {board.days[most]:%Y-%m-%d}, {board.units.cost(key.units[most])}"
    dry = key.said.get("runs_out")
    return [
        element("span", total),
        charts.sparkline(key.units, f"By day; {dearest}"),
        element("small", "runs out ", *_told(dry, board)) if dry else "",
    ]


def _told(runs_out: str, board: Board) -> list[Element | str]:
    """A forecast of the tools, its day in the person's zone."""
    time, pace = dry_of(runs_out)
    try:
        day = local(seconds_of(time), board.zone)[:10]
    except ValueError:  # it lies beyond what a calendar has
        return [printable(runs_out)]
    return ["about ", element("time", day, datetime=time), f" {pace}"]


def _moment(said: str, seconds: float | None, board: Board) -> Element:
    if seconds is None:
        return element("span", printable(said))
    day, _, time = local(seconds, board.zone).partition(" ")
    return element(
        "time", day, " ", element("small", from_now(seconds, board.at)), datetime=said, title=f"{day} {time}"
    )


def _few(said: str) -> Element:
    """A list that may be long: its first entries, and the others behind a click."""
    entries = [printable(entry, _LONGEST) for entry in said.split(", ")]
    if said == ANY or len(entries) <= _SHOWN + 1:
        return element("span", ", ".join(entries))
    shown = element("summary", f"{', '.join(entries[:_SHOWN])} and {len(entries) - _SHOWN} more")
    return element("details", shown, ", ".join(entries[_SHOWN:]))
