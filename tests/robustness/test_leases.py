"""Runs with a lease that are killed at random instants; `python -m tests.robustness.leases 2000` plays more of them."""

from __future__ import annotations

import sys

import pytest

from tests.robustness.leases import play

RUNS = 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no forkserver")
def test_a_run_that_is_killed_leaves_no_key_that_works_after_the_lease_and_none_at_all_after_the_next_start() -> None:
    result = play(RUNS)
    assert result.runs == RUNS
    assert result.keys > RUNS / 2, "runs came to have a key"
    assert result.left_before, "some were killed while they had one"
    assert result.is_good, result
