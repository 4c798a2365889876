"""What a quota unit is worth is the API's to say, and asked before a budget is given."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.e2e.steps import code_of, served
from tests.support import Home, data_of, error_of

pytestmark = pytest.mark.fast_time

BODY: dict[str, Any] = {"name": "worth", "remain_quota": 500_000}


async def test_an_api_that_counts_otherwise_is_refused_until_the_setting_says_so(home: Home) -> None:
    home.sandbox.add_key("old", remain_quota=5)
    home.sandbox.account.settings.quota_per_unit = 1_000
    async with served(home) as client:
        said = error_of(await client.call_tool("create_api_key", BODY))
        assert "counts 1000 quota units" in said
        assert "COMETAPI_MCP_UNITS_PER_USD to 1000" in said
        assert "counts 1000" in error_of(await client.call_tool("update_api_key", {"id": 1, "add_budget_usd": 1}))
        data_of(await client.call_tool("update_api_key", {"id": 1, "status": "disabled"}))
    assert [row.remain_quota for row in home.sandbox.keys] == [5]
    home.extra["COMETAPI_MCP_UNITS_PER_USD"] = "1000"
    async with served(home) as client:
        assert data_of(await client.call_tool("create_api_key", BODY))["budget"] == "$500.00 left"


@pytest.mark.parametrize("fault", ["status", "html", "hang", "reset_before"])
async def test_an_api_that_could_not_be_asked_is_asked_again_before_the_next_budget(fault: str, home: Home) -> None:
    home.sandbox.faults.add("status", fault, times=2)
    async with served(home) as client:
        assert data_of(await client.call_tool("create_api_key", BODY))["budget"] == "$1.00 left"
        home.sandbox.faults.clear()
        home.sandbox.account.settings.quota_per_unit = 1_000
        assert "counts 1000" in error_of(await client.call_tool("create_api_key", BODY | {"name": "next"}))


async def test_it_is_asked_once(home: Home) -> None:
    async with served(home) as client:
        for number in range(3):
            data_of(await client.call_tool("create_api_key", BODY | {"name": str(number)}))
    assert home.sandbox.count("status") == 1


async def test_calls_at_once_ask_it_once_and_all_hear_the_answer(home: Home) -> None:
    home.sandbox.account.settings.quota_per_unit = 1_000
    said: list[str] = []
    async with served(home) as client, anyio.create_task_group() as group:

        async def create(number: int) -> None:
            said.append(error_of(await client.call_tool("create_api_key", BODY | {"name": str(number)})))

        for number in range(10):
            group.start_soon(create, number)
    assert len([text for text in said if "counts 1000" in text]) == 10
    assert home.sandbox.count("status") == 1


@pytest.mark.parametrize(("worth", "code"), [(500_000.4, ""), (1e300, ""), (0.5, ""), (-1, "refused")])
async def test_a_number_that_can_be_no_worth_or_is_as_good_as_equal_keeps_nothing_from_being_sent(
    worth: float, code: str, home: Home
) -> None:
    """A gateway that is set up with a number below zero allows no budget itself."""
    home.sandbox.account.settings.quota_per_unit = worth
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY | {"remain_quota": 1})) == code
    assert home.sandbox.count("create") == 1
