from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.units import MAX_QUOTA, UNITS_PER_USD, expiry, seconds_from, usd, when


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
    assert usd(units) == shown


@given(st.integers(min_value=0, max_value=MAX_QUOTA))
def test_the_dollars_shown_are_exact_below_one_and_at_most_a_cent_short_above(units: int) -> None:
    shown, exact = Decimal(usd(units).replace("$", "").replace(",", "")), Decimal(units) / UNITS_PER_USD
    assert exact - (Decimal("0.01") if exact >= 1 else 0) <= shown <= exact


def test_times_are_shown_in_utc_and_seconds_only_where_there_are_some() -> None:
    assert when(1_820_000_000) == "2027-09-03T19:33:20Z"
    assert when(1_820_000_040 - 40 - 20) == "2027-09-03T19:33Z"
    assert expiry(-1) == "never"


@pytest.mark.parametrize("seconds", [-2, 10**12, 10**18])
def test_a_time_that_no_calendar_shows_is_given_as_its_number(seconds: int) -> None:
    assert when(seconds) == f"{seconds} (Unix seconds)"


@given(st.integers(min_value=1_700_000_000, max_value=2_600_000_000))
def test_seconds_are_never_taken_for_a_smaller_unit(stamp: int) -> None:
    assert seconds_from(stamp, 1_795_000_000) is None
    assert seconds_from(stamp * 1000, 1_795_000_000) == (stamp, "milliseconds")
