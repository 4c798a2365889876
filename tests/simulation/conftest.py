from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation import determinism

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker(pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning"))


@pytest.fixture(autouse=True)
def _what_dead_servers_leave_is_collected_here() -> Iterator[None]:
    """A server that dies leaves coroutines that never began: Python warns of each, in whatever test it finds them."""
    yield
    gc.collect()


@pytest.fixture
def deterministic() -> Iterator[None]:
    """What histories draw lots by is seeded, and nothing is logged."""
    logging.disable()
    with determinism.installed():
        yield
    logging.disable(logging.NOTSET)
