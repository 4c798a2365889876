"""The promises hold in histories of several servers, faults, deaths, and others at work on the same account."""

from __future__ import annotations

import pytest

from tests.simulation.known import BROKEN
from tests.simulation.world import play

pytestmark = pytest.mark.usefixtures("deterministic")

CHUNK = 50
SHORT, LONG = 300, 10_000


def _kept(first: int, count: int) -> None:
    seeds = range(first, first + count)
    broken = {seed: found for seed in seeds if (found := play(seed).found)}
    text = "\n".join(f"seed {seed}: {what}" for seed, found in broken.items() for what in found)
    known = {seed for seed in BROKEN if seed in seeds}
    assert broken.keys() >= known, f"{known - broken.keys()} keep every promise now: take them out of known.py"
    assert broken.keys() <= known, f"{len(broken)} of {count}; replay one with python -m tests.simulation SEED\n{text}"


@pytest.mark.parametrize("first", range(0, SHORT, CHUNK))
def test_every_promise_is_kept_in_every_history(first: int) -> None:
    _kept(first, CHUNK)


@pytest.mark.long
@pytest.mark.parametrize("first", range(SHORT, LONG, 10 * CHUNK))
def test_every_promise_is_kept_in_many_more_histories(first: int) -> None:
    _kept(first, min(10 * CHUNK, LONG - first))
