"""What runs by default, and what with `pytest -m long`.

The second lane has the tests that kill, fuzz and break things in many processes, and most of each matrix:

- A case that is parametrized by the API's dialects runs by default in one of them, each case of a test in the next one,
  and there in all the others. So every dialect runs in about as many cases as the others.
- Of a test that is parametrized by several things, each with each, as many cases run by default as it takes to have
  every value of each thing in one of them, and the other combinations there.
- Of the cases of one thing that each take a server, a dozen of all over the list run by default, and the others there.

Tests of any input (Hypothesis) run in both: by default with few examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from zlib import crc32

import pytest

from comet_mcp.sandbox import DIALECTS, Dialect

_Value = tuple[str, tuple[int, ...]]  # of which thing; the same object is the same value

_TESTS = Path(__file__).parent
_OF_SERVERS = tuple(_TESTS / name for name in ("cli", "doctor", "e2e", "services"))
_DOZEN = 12
SLOW = (_TESTS / "robustness", _TESTS / "e2e" / "test_canary.py")


def second(items: list[pytest.Item]) -> list[pytest.Item]:
    """Those of the second lane; some have its mark already."""
    tests: dict[tuple[pytest.Item | pytest.Collector | None, str], list[pytest.Item]] = {}
    for item in items:
        tests.setdefault((item.parent, item.name.partition("[")[0]), []).append(item)
    return [item for cases in tests.values() for item in _second(cases)]


def of_any_input(items: list[pytest.Item]) -> list[pytest.Item]:
    """Those that Hypothesis gives their input."""
    return [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]


def _second(cases: list[pytest.Item]) -> list[pytest.Item]:
    """Those of one test."""
    if any(cases[0].path.is_relative_to(path) for path in SLOW):
        return cases
    if len(cases) == 1:
        return []
    in_dialects: dict[str, list[pytest.Item]] = {}
    for item in cases:
        if case := _case(item):
            in_dialects.setdefault(case, []).append(item)
    elsewhere = list(_in_other_dialects(cases[0].nodeid.partition("[")[0], in_dialects))
    here = set(chain(*in_dialects.values())).difference(elsewhere) if in_dialects else cases
    left = [item for item in cases if item in here and item.get_closest_marker("long") is None]
    return [*elsewhere, *_other_combinations(left), *_beyond_a_dozen(left)]


def _in_other_dialects(test: str, cases: dict[str, list[pytest.Item]]) -> Iterator[pytest.Item]:
    for number, same in enumerate(cases.values(), crc32(test.encode())):
        yield from (item for place, item in enumerate(same) if place != number % len(same))


def _other_combinations(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    cases = {item: values for item in items if len(values := _values(item)) > 1}
    ran: Counter[_Value] = Counter()
    while missing := set().union(*cases.values()) - ran.keys():
        # the case with most that has not run; of equal ones that whose values have run least
        best = max(cases, key=lambda item: (len(cases[item] & missing), -sum(ran[value] for value in cases[item])))
        ran.update(cases.pop(best))
    yield from cases


def _beyond_a_dozen(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    cases = [item for item in items if len(_values(item)) == 1 and any(map(item.path.is_relative_to, _OF_SERVERS))]
    if (count := len(cases)) > _DOZEN:
        kept = {number * (count - 1) // (_DOZEN - 1) for number in range(_DOZEN)}
        yield from (item for number, item in enumerate(cases) if number not in kept)


def _values(item: pytest.Item) -> set[_Value]:
    """What varies independently in a test, each with its value in this case: parametrizations, and fixtures."""
    call = getattr(item, "callspec", None)
    if call is None:
        return set()
    together: dict[str, str] = {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        together |= {name.strip(): str(names) for name in names}
    values: dict[str, list[object]] = {}
    for name, value in call.params.items():
        values.setdefault(together.get(name, name), []).append(value)
    return {(names, tuple(map(id, given))) for names, given in values.items() if not any(map(_is_dialect, given))}


def _case(item: pytest.Item) -> str:
    """All parameters but the dialect; "" where there is none."""
    call = getattr(item, "callspec", None)
    if call is None or not any(_is_dialect(value) for value in call.params.values()):
        return ""
    return repr({name: value for name, value in call.params.items() if not _is_dialect(value)})


def _is_dialect(value: object) -> bool:
    return isinstance(value, Dialect) or (isinstance(value, str) and value in DIALECTS)
