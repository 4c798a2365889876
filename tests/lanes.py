"""What runs by default, and what with `pytest -m long`.

The second lane has the tests that kill, fuzz and break things in many processes, and most of one matrix: a case that is
parametrized by the API's dialects runs by default in one of them, each case of a test in the next one, and there in all
the others. So every case runs by default, and every dialect in about as many cases as the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from comet_mcp.sandbox import DIALECTS, Dialect

_TESTS = Path(__file__).parent
_SLOW = (_TESTS / "robustness", _TESTS / "e2e" / "test_canary.py")


def second(items: list[pytest.Item]) -> list[pytest.Item]:
    """Those of the second lane; some have its mark already."""
    slow = (item for item in items if any(item.path.is_relative_to(path) for path in _SLOW))
    return [*slow, *_in_other_dialects(items)]


def _in_other_dialects(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    tests: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if case := _case(item):
            test = item.nodeid.partition("[")[0]
            tests.setdefault(test, {}).setdefault(case, []).append(item)
    for test, cases in tests.items():
        for number, same in enumerate(cases.values(), crc32(test.encode())):
            yield from (item for place, item in enumerate(same) if place != number % len(same))


def _case(item: pytest.Item) -> str:
    """All parameters but the dialect; "" where there is none."""
    call = getattr(item, "callspec", None)
    if call is None or not any(_is_dialect(value) for value in call.params.values()):
        return ""
    return repr({name: value for name, value in call.params.items() if not _is_dialect(value)})


def _is_dialect(value: object) -> bool:
    return isinstance(value, Dialect) or (isinstance(value, str) and value in DIALECTS)
