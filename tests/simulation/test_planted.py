"""The simulation can fail: it finds each of the bugs that are planted, within so many histories."""

from __future__ import annotations

import pytest

from tests.simulation.patches import Planted
from tests.simulation.planted import PLANTED
from tests.simulation.world import play

pytestmark = pytest.mark.usefixtures("deterministic")

MOST = 1_000
SOON = frozenset(
    [
        "a create whose answer was lost is sent again",
        "a value is told as stored and is not",
        "changes are not in the trail",
    ]
)
"""Bugs that show at once: they are planted in every run, and all of them in a long one."""


def _found(bug: Planted, record: pytest.FixtureRequest) -> None:
    with bug.installed():
        for seed in range(MOST):
            if found := play(seed).found:
                record.node.user_properties.append(("planted", f"{bug.kind}: {bug.what}: seed {seed}, {found[0]}"))
                return
    raise AssertionError(f"{MOST} histories keep every promise although {bug.what}")


def test_there_are_thirty_bugs_of_many_kinds() -> None:
    assert len(PLANTED) >= 30
    assert len({bug.what for bug in PLANTED}) == len(PLANTED)
    assert len({bug.kind for bug in PLANTED}) >= 10
    assert {bug.what for bug in PLANTED} >= SOON


@pytest.mark.parametrize("bug", [bug for bug in PLANTED if bug.what in SOON], ids=lambda bug: bug.what)
def test_a_planted_bug_is_found(bug: Planted, request: pytest.FixtureRequest) -> None:
    _found(bug, request)


@pytest.mark.long
@pytest.mark.parametrize("bug", [bug for bug in PLANTED if bug.what not in SOON], ids=lambda bug: bug.what)
def test_every_planted_bug_is_found(bug: Planted, request: pytest.FixtureRequest) -> None:
    _found(bug, request)
