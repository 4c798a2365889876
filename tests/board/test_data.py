"""What the board makes of what the tools tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from comet_mcp.board.data import DAYS, Board, Told, board_of
from comet_mcp.board.page import content, document
from comet_mcp.domain.money import Units

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
USD = 500_000
KEY: dict[str, Any] = {
    "id": 1,
    "name": "blog",
    "state": "works",
    "ends": "2027-03-01T00:00:00Z",
    "budget": "$4.00 of $5.00 left",
    "spent": "$1.00",
    "last_used": "2026-11-26T12:00:00Z",
    "models": "any",
    "addresses": "203.0.113.7",
    "group": "none",
}


def line(day: str, units: int, key: int = 1, model: str = "o3", name: str | None = "blog") -> dict[str, Any]:
    return {"key": name, "id": key, "model": model, "day": day, "units": units, "calls": 1}


def board(*keys: dict[str, Any], idle: tuple[int, ...] = (), lines: tuple[dict[str, Any], ...] = ()) -> Board:
    told = Told(keys=keys or (KEY,), idle=idle, lines=lines)
    return board_of(told, account="Account", at=NOW, zone=UTC, units=Units())


@pytest.mark.parametrize(
    ("change", "marks"),
    [
        ({}, []),
        ({"ends": "never"}, ["no end"]),
        ({"ends": "2026-12-04T11:59:59Z"}, ["ends soon"]),
        ({"ends": "2026-12-04T12:00:00Z"}, []),
        ({"budget": "unlimited"}, ["no budget"]),
        ({"budget": "$0.49 of $5.00 left"}, ["little left"]),
        ({"budget": "$0.50 of $5.00 left"}, []),
        ({"budget": "-$0.10 of $5.00 left"}, ["little left"]),
        ({"budget": "$1,000.00 left"}, []),
        ({"addresses": "any"}, ["any address"]),
        ({"runs_out": "about 2026-12-01T05:00:00Z at $0.40 a day"}, ["runs out soon"]),
        ({"runs_out": "about 2027-01-01T05:00:00Z at $0.40 a day"}, []),
        ({"runs_out": "about 99999999999999 (Unix seconds) at $0.40 a day"}, []),
        ({"ends": "never", "budget": "unlimited", "state": "disabled"}, []),
    ],
    ids=str,
)
def test_a_key_is_marked_with_what_should_worry(change: dict[str, str], marks: list[str]) -> None:
    (key,) = board(KEY | change).keys
    assert [mark.text for mark in key.marks] == marks


def test_an_unused_key_is_marked_and_any_address_is_no_serious_mark() -> None:
    (key,) = board(KEY | {"addresses": "any"}, idle=(1,)).keys
    assert [(mark.text, mark.is_serious) for mark in key.marks] == [
        ("unused for 90 days", True),
        ("any address", False),
    ]


def test_spending_is_put_on_its_days() -> None:
    found = board(lines=(line("2026-11-27", 3), line("2026-10-29", 5), line("2026-11-27", 4, model="o4")))
    assert (len(found.days), found.days[0].isoformat(), found.days[-1].isoformat()) == (
        DAYS,
        "2026-10-29",
        "2026-11-27",
    )
    assert found.keys[0].units == [5, *[0] * 28, 7]
    assert [(series.name, series.total) for series in found.by_model] == [("o3", 8), ("o4", 4)]
    assert found.total == 12


def test_the_dearest_are_told_apart_and_the_others_are_one() -> None:
    found = board(lines=tuple(line("2026-11-27", 100 - key, key, name=f"key {key}") for key in range(2, 12)))
    assert [series.name for series in found.by_key][:2] == ["key 2", "key 3"]
    assert found.by_key[-1].name == "4 others"
    assert found.by_key[-1].total == 92 + 91 + 90 + 89
    assert sum(series.total for series in found.by_key) == found.total


def test_a_key_has_its_name_of_today_and_a_deleted_one_that_of_the_log() -> None:
    found = board(lines=(line("2026-11-27", 2, name="before"), line("2026-11-27", 1, 9, name="gone")))
    assert [series.name for series in found.by_key] == ["blog", "gone"]


def test_keys_of_one_name_are_told_apart_by_their_ids() -> None:
    lines = (line("2026-11-27", 3, 4), line("2026-11-27", 2, 1), line("2026-11-26", 1, 2, name="other"))
    assert [series.name for series in board(lines=lines).by_key] == ["blog (id 4)", "blog (id 1)", "other"]


def test_what_is_long_or_does_not_print_is_shown_all_the_same() -> None:
    models = ", ".join(f"model-{number}" for number in range(9))
    page = document(board(KEY | {"name": "a\u202eb\x00\ud800", "models": models, "ends": "9 (Unix seconds)"}))
    assert r"a\u202eb\u0000\ud800" in page
    assert "model-0, model-1 and 7 more" in page
    page.encode()


def test_refunds_draw_nothing_below_the_line() -> None:
    page = content(board(lines=(line("2026-11-26", -5 * USD), line("2026-11-27", 2 * USD))))
    assert 'height="-' not in page
    assert "v--" not in page


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-12-01T23:30:00Z", '<time datetime="2026-12-01T23:30:00Z">2026-12-01</time> at $0.40 a day'),
        ("99999999999999 (Unix seconds)", "99999999999999 (Unix seconds) at $0.40 a day"),
    ],
)
def test_it_says_when_a_key_runs_out(told: str, shown: str) -> None:
    key = KEY | {"runs_out": f"about {told} at $0.40 a day"}
    assert f"runs out about {shown}" in content(board(key, lines=(line("2026-11-27", USD),)))


def test_where_nothing_was_spent_there_is_no_choice_of_how_to_see_it() -> None:
    assert "by model" in content(board(lines=(line("2026-11-27", USD),)))
    page = content(board())
    assert "by model" not in page
    assert page.count("Nothing was spent in these 30 days.") == 1


def test_the_page_is_small() -> None:
    assert len(document(None, mode="live").encode()) < 40_000
