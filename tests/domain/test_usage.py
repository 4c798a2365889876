"""Sums of what was spent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from comet_mcp.domain import usage
from comet_mcp.domain.usage import Charge, Group, Spending, dimensions
from comet_mcp.errors import ArgumentError

NOON = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())


def test_the_dearest_comes_first_and_refunds_are_taken_off() -> None:
    spending = Spending(("key",), UTC)
    spending.add(Charge(NOON, 1, "one", "a", 500))
    spending.add(Charge(NOON, 2, "two", "a", 300))
    spending.refund(Charge(NOON, 1, "one", "a", 400))
    assert [(group.key_id, found.units, found.calls) for group, found in spending.ranked()] == [
        (2, 300, 1),
        (1, 100, 1),
    ]
    assert (spending.total.units, spending.logged) == (400, 800)


def test_days_begin_at_midnight_of_the_zone_also_of_one_of_quarters_of_an_hour() -> None:
    spending = Spending(("day",), ZoneInfo("Asia/Kathmandu"))  # 5:45 ahead
    for minute, units in ((14, 1), (15, 20)):
        at = int(datetime(2026, 11, 27, 18, minute, tzinfo=UTC).timestamp())
        spending.add(Charge(at, 1, "", "a", units))
    days = {group.day: found.units for group, found in spending.groups.items()}
    assert days == {date(2026, 11, 27): 1, date(2026, 11, 28): 20}


def test_other_keys_are_in_the_logs_sum_and_in_no_other() -> None:
    spending = Spending(("model",), UTC, key_id=2)
    for key in (1, 2, 3):
        spending.add(Charge(NOON, key, f"key {key}", "a", key))
    assert (spending.logged, spending.total.units, spending.names) == (6, 2, {2: "key 2"})


def test_sums_of_two_things_are_sums_of_each() -> None:
    spending = Spending(("key", "model"), UTC)
    for key, model, units in ((1, "a", 1), (1, "b", 20), (2, "a", 300)):
        spending.add(Charge(NOON, key, f"key {key}", model, units))
    assert [found.units for _, found in spending.only_by("key").ranked()] == [300, 21]
    assert [(group.model, found.units) for group, found in spending.only_by("model").ranked()] == [
        ("a", 301),
        ("b", 20),
    ]


def test_no_more_sums_are_held_than_a_bound_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_GROUPS", 10)
    spending = Spending(("key",), UTC)
    for key in range(25):
        spending.add(Charge(NOON, key, f"key {key}", "a", 1))
    assert len(spending.groups) == 11
    assert spending.groups[Group()].units == 15
    assert spending.total.units == 25


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("key", ("key",)),
        ("Models", ("model",)),
        ("key,day", ("key", "day")),
        ("model and day", ("model", "day")),
        ("key by model", ("key", "model")),
        ("key, key", ("key",)),
    ],
)
def test_one_or_two_things_are_told_apart(text: str, found: tuple[str, ...]) -> None:
    assert dimensions(text) == found


@pytest.mark.parametrize("text", ["", "user", "key,model,day", "key,user"])
def test_what_can_not_be_told_apart_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match='"key,day"'):
        dimensions(text)
