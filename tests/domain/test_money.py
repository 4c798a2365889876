from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.money import MAX_QUOTA, PER_USD, Units


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (0, "$0.00"),
        (2_500_000, "$5.00"),
        (2_499_999, "$4.99"),
        (100_000, "$0.20"),
        (5, "$0.00001"),
        (1, "$0.000002"),
        (499_999, "$0.999998"),
        (-250_000, "-$0.50"),
        (MAX_QUOTA, "$1,000,000,000.00"),
    ],
)
def test_units_are_shown_as_dollars_and_never_as_more_than_there_is(units: int, shown: str) -> None:
    assert Units().usd(units) == shown


@given(st.integers(min_value=0, max_value=MAX_QUOTA))
def test_the_dollars_shown_are_exact_below_one_and_at_most_a_cent_short_above(units: int) -> None:
    shown, exact = Decimal(Units().usd(units).replace("$", "").replace(",", "")), Decimal(units) / PER_USD
    assert exact - (Decimal("0.01") if exact >= 1 else 0) <= shown <= exact


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (0, "$0.00"),
        (1, "$0.000002"),
        (4_999, "$0.009998"),
        (5_000, "$0.01"),
        (7_499, "$0.01"),
        (7_500, "$0.02"),
        (5_989_514, "$11.98"),
        (-7_500, "-$0.02"),
        (MAX_QUOTA, "$1,000,000,000.00"),
    ],
)
def test_a_cost_is_told_to_the_nearest_cent_and_below_a_cent_exactly(units: int, shown: str) -> None:
    assert Units().cost(units) == shown


@given(st.integers(min_value=1, max_value=MAX_QUOTA))
def test_any_number_of_units_survives_its_way_through_dollars(units: int) -> None:
    assert Units().from_usd(float(Decimal(units) / PER_USD)) == units
    assert Units().from_usd(units / PER_USD) == units


@given(st.integers(1, 10**6), st.floats(min_value=1e-6, max_value=1e9, allow_nan=False))
def test_dollars_are_never_rounded_up_and_lose_less_than_a_unit(per_usd: int, amount: float) -> None:
    exact = Decimal(str(amount)) * per_usd
    assert 0 <= exact - Units(per_usd).from_usd(amount) < 1


@pytest.mark.parametrize(
    ("amount", "units"),
    [(5, 2_500_000), (0.1, 50_000), (0.29, 145_000), (1.1, 550_000), (4.35, 2_175_000), (0.000002, 1), (0.0000019, 0)],
)
def test_the_digits_of_the_number_count_and_not_its_binary_neighbour(amount: float, units: int) -> None:
    assert Units().from_usd(amount) == units


def test_a_unit_of_another_worth_is_shown_and_read_with_that_worth() -> None:
    thousand = Units(1_000)
    assert (thousand.usd(1_500), thousand.from_usd(1.5)) == ("$1.50", 1_500)


@given(st.integers(0, MAX_QUOTA), st.integers(0, MAX_QUOTA))
def test_exact_amounts_add_up(one: int, other: int) -> None:
    shown = [Decimal(Units().exact(units).replace("$", "").replace(",", "")) for units in (one, other, one + other)]
    assert shown[0] + shown[1] == shown[2]


def test_an_exact_amount_has_two_digits_or_as_many_as_it_takes() -> None:
    amounts = [Units().exact(units) for units in (2_500_000, 9_502_000, 2_499_999, -2_499_999, 500_000_001)]
    assert amounts == ["$5.00", "$19.004", "$4.999998", "-$4.999998", "$1,000.000002"]
    assert Units(3).exact(1) == "$0.333333333"
