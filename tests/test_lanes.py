"""A test of several dialects runs by default in one of them, and nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from comet_mcp.sandbox import DIALECTS
from tests import lanes

pytest_plugins = ["pytester"]

NAMES = list(DIALECTS)
OF_SEVERAL = f"""
import pytest
@pytest.mark.parametrize("size", [[1], [2], [3]])
@pytest.mark.parametrize("home", {NAMES})
def test_in_each(home, size): ...
@pytest.mark.parametrize(("home", "size"), [("documented", 1), ("gateway", 2)])
def test_in_one_each(home, size): ...
@pytest.mark.parametrize("home", ["live", *{NAMES}])
def test_on_a_live_server_too(home): ...
@pytest.mark.parametrize("size", [[1], [2]])
@pytest.mark.parametrize("home", ["live", *{NAMES}])
def test_each_on_a_live_server_too(home, size): ...
def test_in_none(): ...
"""


OF_MANY = """
import pytest
@pytest.fixture(params=["old", "new"])
def era(request): ...
@pytest.mark.parametrize("tool", ["make", "change", "delete"])
@pytest.mark.parametrize(("said", "code"), [("no", 1), ("never", 1), ("later", 2), ("yes", 0)])
def test_each_with_each(era, tool, said, code): ...
@pytest.mark.parametrize("tool", ["make"])
def test_of_an_era(era, tool): ...
@pytest.mark.parametrize(("said", "code"), [("no", 1), ("never", 1), ("no", 2)])
def test_of_rows(said, code): ...
"""


@pytest.fixture
def default(pytester: pytest.Pytester) -> list[str]:
    items = pytester.getitems(OF_SEVERAL)
    second = lanes.second(items)
    return [item.name for item in items if item not in second]


def test_a_case_runs_in_one_dialect_and_the_next_case_in_another(default: list[str]) -> None:
    ran = [name for name in default if name.startswith("test_in_each")]
    assert len(ran) == 3
    assert len({name.rpartition("-")[2] for name in ran}) == 3
    dialects = [name.partition("[")[2].rpartition("-")[0] for name in ran]
    assert max(Counter(dialects).values()) == 1


def test_what_has_no_dialect_or_has_one_for_each_case_runs_always(default: list[str]) -> None:
    assert {"test_in_one_each[documented-1]", "test_in_one_each[gateway-2]", "test_in_none"} <= set(default)


def test_a_live_server_that_was_named_is_never_left_out(default: list[str]) -> None:
    live = [f"test_each_on_a_live_server_too[live-size{number}]" for number in range(2)]
    assert {"test_on_a_live_server_too[live]", *live} <= set(default)


def test_of_many_cases_that_each_take_a_server_a_dozen_of_all_over_the_list_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    import pytest
    @pytest.mark.parametrize("number", range(40, 100))
    def test_of_many(number): ...
    @pytest.mark.parametrize("number", range(10))
    def test_of_few(number): ...
    """
    items = pytester.getitems(text)
    assert lanes.second(items) == []
    monkeypatch.setattr(lanes, "_OF_SERVERS", (pytester.path,))
    second = lanes.second(items)
    ran = [item.name for item in items if item not in second]
    assert len(ran) == 12 + 10
    assert {"test_of_many[40]", "test_of_many[99]", "test_of_few[0]", "test_of_few[9]"} <= set(ran)


def test_a_test_of_any_input_is_known(pytester: pytest.Pytester) -> None:
    text = """
    from hypothesis import given, strategies
    @given(strategies.text())
    def test_of_any(text): ...
    def test_of_one(): ...
    """
    assert [item.name for item in lanes.of_any_input(pytester.getitems(text))] == ["test_of_any"]


def test_of_combinations_as_many_run_as_have_every_value_of_each_thing(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(OF_MANY)
    second = lanes.second(items)
    ran = [item.name for item in items if item not in second]
    words = [name.partition("[")[2].rstrip("]").split("-") for name in ran if name.startswith("test_each_with_each")]
    assert len(words) == 4
    assert [len(set(values)) for values in zip(*words, strict=True)] == [2, 4, 3, 3]
    assert len([name for name in ran if name.startswith("test_of_an_era")]) == 2
    assert len([name for name in ran if name.startswith("test_of_rows")]) == 3
