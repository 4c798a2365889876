"""What is worth a notice, and that each is worth one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.forecast import Forecast
from comet_mcp.domain.key import Key
from comet_mcp.domain.money import Units
from comet_mcp.domain.watch import Purse, Threshold, is_watched, kept, notices, unsaid
from comet_mcp.errors import ArgumentError

NOW = 1_800_000_000.0
USD = 500_000
UNITS = Units()


def key(left: int, used: int = 0, **fields: object) -> Key:
    record = {"id": 7, "name": 'a "b"', "status": 1, "created_time": 5, "remain_quota": left, "used_quota": used}
    return Key.model_validate(record | fields)


def texts(left: int, used: int, below: str, forecast: Forecast | None = None) -> list[str]:
    found = notices([Purse.of_key(key(left, used), forecast)], Threshold.parse(below, UNITS), UNITS, NOW)
    return [notice.text for notice in found if notice.text]


@pytest.mark.parametrize(
    ("left", "used", "below", "is_told"),
    [
        (USD, USD, "1.00", False),
        (USD - 1, USD, "$1", True),
        (USD, 4 * USD, "20%", False),
        (USD - 1, 4 * USD, "20%", True),
        (0, USD, "1%", True),
        (-50, USD, "0", True),
    ],
)
def test_a_key_is_told_of_below_an_amount_or_a_part(left: int, used: int, below: str, is_told: bool) -> None:
    assert bool(texts(left, used, below)) == is_told


def test_a_notice_says_which_key_what_is_left_and_how_soon_it_ends() -> None:
    forecast = Forecast(int(NOW) + 5 * 3600, 2 * USD, "day")
    (low,) = texts(USD // 2, 4 * USD, "1.00", forecast)
    assert low == (
        'The API key "a \\"b\\"" (id 7) has $0.50 of $4.50 left, less than $1.00. At the pace of the last days it is '
        "used up in about 5 hours."
    )
    (soon,) = texts(3 * USD, USD, "1.00", forecast)
    assert soon.endswith("has $3.00 of $4.00 left. At the pace of the last days it is used up in about 5 hours.")
    assert texts(3 * USD, USD, "1.00", Forecast(int(NOW) + 30 * 3600, USD, "day")) == []


def test_of_the_balance_no_part_is_taken_since_it_has_no_whole() -> None:
    def told(left: int, below: str) -> bool:
        purse = Purse("balance", "The account's balance", left, None)
        found = notices([purse], Threshold.parse(below, UNITS), UNITS, NOW)
        return any(notice.text for notice in found)

    assert not told(USD, "99%")
    assert told(USD - 1, "1")
    assert told(0, "20%")


@pytest.mark.parametrize("text", ["", "-1", "0%", "101%", "lots", "20 %%", "nan"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="20%"):
        Threshold.parse(text, UNITS)


@given(st.lists(st.integers(-USD, 3 * USD), min_size=1, max_size=30))
def test_a_key_is_told_of_once_whatever_its_calls_move_to_and_fro(moves: list[int]) -> None:
    said: set[str] = set()
    told = 0
    for left in moves:
        found = notices([Purse.of_key(key(left, 3 * USD - left), None)], Threshold.parse("1.00", UNITS), UNITS, NOW)
        fresh = unsaid(found, said)
        told += len(fresh)
        said = {notice.id for notice in kept(found, said | {notice.id for notice in fresh})}
    assert told <= 1


def test_the_balance_is_told_of_again_once_it_was_well_above() -> None:
    threshold = Threshold.parse("1.00", UNITS)
    said: set[str] = set()
    told = []
    for left in (USD - 1, USD + 1, USD - 1, 2 * USD, USD - 1):
        found = notices([Purse("balance", "The balance", left, None)], threshold, UNITS, NOW)
        fresh = unsaid(found, said)
        told.append(len(fresh))
        said = {notice.id for notice in kept(found, said | {notice.id for notice in fresh})}
    assert told == [1, 0, 0, 0, 1]


def test_one_that_was_topped_up_is_told_of_again() -> None:
    threshold = Threshold.parse("1.00", UNITS)
    said: set[str] = set()
    told = []
    for left, used in ((USD // 2, USD), (USD // 4, USD + USD // 4), (5 * USD, USD), (USD // 2, 6 * USD)):
        found = notices([Purse.of_key(key(left, used), None)], threshold, UNITS, NOW)
        fresh = unsaid(found, said)
        told.append(len(fresh))
        said = {notice.id for notice in kept(found, said | {notice.id for notice in fresh})}
    assert told == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("fields", "watched"),
    [
        ({}, True),
        ({"remain_quota": 0}, True),
        ({"unlimited_quota": True}, False),
        ({"status": 2}, False),
        ({"expired_time": 5}, False),
    ],
)
def test_only_keys_with_a_budget_that_are_in_use_are_watched(fields: dict[str, object], watched: bool) -> None:
    assert is_watched(key(USD, **fields), NOW) == watched  # type: ignore[arg-type]
