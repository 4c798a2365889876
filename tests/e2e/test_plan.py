from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client

from comet_mcp.domain.money import PER_USD
from comet_mcp.sandbox import Sandbox
from comet_mcp.sandbox.catalog import Model
from comet_mcp.server import create_server
from tests.e2e.life import body_of, connected
from tests.support import Home, data_of, error_of

PLAN = {"name": "blog", "budget_usd": 5, "models": ["gpt-4.1-mini"], "lifetime": "30 days"}


async def test_from_five_dollars_one_model_and_thirty_days_a_right_key_takes_two_calls(home: Home) -> None:
    begun = int(time.time())
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", PLAN))
        assert home.sandbox.keys == []
        assert home.sandbox.count("create") == 0
        key = data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
    (row,) = home.sandbox.keys
    assert begun + 30 * 86_400 <= row.expired_time <= int(time.time()) + 30 * 86_400
    assert body_of(row) == {
        "name": "blog",
        "expired_time": row.expired_time,
        "remain_quota": 2_500_000,
        "unlimited_quota": False,
        "model_limits_enabled": True,
        "model_limits": "gpt-4.1-mini",
        "allow_ips": "",
        "group": "",
        "cross_group_retry": False,
    }
    assert plan["budget"] == key["remaining"] == "$5.00"
    assert plan["ends"] == key["expires"]
    assert "warnings" not in plan
    assert "warnings" not in key


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
_MODELS = st.lists(st.sampled_from([model.id for model in Sandbox().account.models]), max_size=4)
_IPS = st.lists(st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=4).map(lambda ip: f"{ip}/24")), max_size=4)
_sandboxes: dict[Any, Home] = {}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=_NAMES,
    units=st.integers(1, 500_000_000_000_000),
    lifetime=st.one_of(
        st.just("never"),
        st.builds("{} {}".format, st.integers(1, 90), st.sampled_from(["h", "days", "weeks", "months"])),
    ),
    models=_MODELS,
    ips=_IPS,
)
async def test_every_plan_is_a_body_that_create_takes_without_a_change(  # noqa: PLR0917 - Hypothesis fills them
    make_home: Callable[..., Home], name: str, units: int, lifetime: str, models: list[str], ips: list[str]
) -> None:
    if make_home not in _sandboxes:
        _sandboxes.clear()
        _sandboxes[make_home] = make_home()
    home = _sandboxes[make_home]
    home.sandbox.keys.clear()
    arguments = {"name": name, "budget_usd": units / PER_USD, "lifetime": lifetime, "models": models, "ips": ips}
    async with Client(create_server(home.settings)) as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
        data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
    (row,) = home.sandbox.keys
    assert body_of(row) == {**plan["create_api_key"], "allow_ips": plan["create_api_key"]["allow_ips"] or ""}
    assert row.remain_quota == units
    assert (row.model_limits, row.model_limits_enabled) == (",".join(dict.fromkeys(models)), bool(models))
    assert (row.allow_ips or "").split() == list(dict.fromkeys(ips))
    assert (row.expired_time == -1) is (lifetime == "never")
    shown = Decimal(plan["budget"].replace("$", "").replace(",", ""))
    assert shown <= Decimal(units) / PER_USD < shown + Decimal("0.01")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"budget_usd": None}, "Say what the key may spend"),
        ({"unlimited": True}, "not both"),
        ({"budget_usd": 0.000001}, "$0.000002, one quota unit"),
        ({"budget_usd": 1_000_000_001}, "at most"),
        ({"budget_usd": "five"}, "a number"),
        ({"budget_usd": True}, "a number"),
        ({"lifetime": None}, '"lifetime" is needed'),
        ({"lifetime": "soon"}, "is not understood"),
        ({"lifetime": "2020-01-01"}, "ends in the past"),
        ({"lifetime": "200 years"}, 'lifetime "200 years" ends more than a hundred years'),
        ({"name": "a\nb"}, "control character"),
        ({"models": "gpt-4.1-mini"}, "a list"),
        ({"models": ["gpt-4.1-mini,gpt-4o"]}, "one id each"),
        ({"models": ["gpt 4"]}, "no model id"),
        ({"ips": ["localhost"]}, "no IP address"),
        ({"ips": ["192.0.2.1,192.0.2.2"]}, "ips is a list"),
        ({"name": "x" * 51}, "at most 50"),
        ({"name": "  "}, "name is empty"),
        ({"remain_quota": 5}, "There is no argument"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_with_the_right_form_and_the_api_asked_to_change_nothing(
    arguments: dict[str, Any], said: str, make_home: Callable[..., Home]
) -> None:
    home = make_home()
    async with connected(home) as client:
        assert said in error_of(await client.call_tool("plan_api_key", {**PLAN, **arguments}))
    assert [request.call for request in home.sandbox.requests] in ([], ["list"], ["catalog"])


@pytest.mark.parametrize("amount", [0, -5])
async def test_a_budget_of_nothing_is_refused_with_a_bound_that_can_be_acted_on(
    amount: int, make_home: Callable[..., Home]
) -> None:
    async with connected(make_home()) as client:
        said = error_of(await client.call_tool("plan_api_key", {**PLAN, "budget_usd": amount}))
    assert '"budget_usd" must be more than 0' in said


async def test_a_key_without_a_budget_or_an_end_is_planned_with_its_dangers(home: Home) -> None:
    arguments = {"name": "all", "unlimited": True, "lifetime": "never"}
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
    assert plan["budget"] == "the account's whole balance"
    assert plan["ends"] == "never"
    assert "whole balance" in plan["warnings"][0]
    assert "never expires" in plan["warnings"][1]
    assert not any("balance, $" in warning for warning in plan["warnings"])
    assert home.sandbox.requests == []


async def test_a_budget_above_the_accounts_balance_is_planned_with_the_word_that_it_limits_nothing(home: Home) -> None:
    async with connected(home) as client:
        (said,) = data_of(await client.call_tool("plan_api_key", {**PLAN, "budget_usd": 100.01}))["warnings"]
        equal = data_of(await client.call_tool("plan_api_key", {**PLAN, "budget_usd": 100}))
    assert said == "The budget is more than the account's balance, $100.00: it limits nothing."
    assert "warnings" not in equal


@pytest.mark.parametrize("fault", ["status", "html", "wrong_json", "refused", "rate_limit", "reset_before", "hang"])
async def test_a_balance_that_cannot_be_known_does_not_fail_a_plan(fault: str, home: Home) -> None:
    home.sandbox.faults.add("account", fault, times=5)
    arguments = {**PLAN, "budget_usd": 200, "models": []}
    async with connected(home, COMETAPI_MCP_TIMEOUT="2") as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
    assert plan["budget"] == "$200.00"
    assert "warnings" not in plan


async def test_a_create_does_not_ask_for_the_balance(home: Home) -> None:
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "large", "remain_quota": 10**9}))
    assert home.sandbox.count("account") == 0


async def test_less_than_a_cent_without_an_end_is_warned_about_for_both(home: Home) -> None:
    async with connected(home) as client:
        arguments = {**PLAN, "budget_usd": 0.001, "lifetime": "never"}
        first, second = data_of(await client.call_tool("plan_api_key", arguments))["warnings"]
    assert "less than a cent" in first
    assert "never expires" in second


async def test_an_unknown_model_or_group_is_named_with_the_nearest_there_are(home: Home) -> None:
    arguments = {**PLAN, "models": ["gpt-4.1-mini", "GPT-4.1-mni", "zzzzzz"], "group": "vpi"}
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
    first, second, third = plan["warnings"]
    assert 'no model "GPT-4.1-mni"' in first
    assert 'Did you mean "gpt-4.1-mini"' in first
    assert 'no model "zzzzzz"' in second
    assert "Did you mean" not in second
    assert 'no group "vpi"' in third
    assert '"vip"' in third


async def test_another_worth_of_a_unit_is_used_throughout(make_home: Callable[..., Home]) -> None:
    home = make_home()
    async with connected(home, COMETAPI_MCP_UNITS_PER_USD="1000") as client:
        plan = data_of(await client.call_tool("plan_api_key", PLAN))
    assert (plan["create_api_key"]["remain_quota"], plan["budget"]) == (5_000, "$5.00")


@pytest.mark.parametrize("model", ["claude-sonnet-4-5[1m]", "[free]gpt-4o", "gpt 4o special"])
@pytest.mark.parametrize("dialect", ["documented", "gateway"])
async def test_what_the_catalog_lists_is_a_model_whatever_it_looks_like(
    make_home: Callable[..., Home], model: str, dialect: str
) -> None:
    home = make_home(dialect=dialect)
    home.sandbox.account.models += (Model(model, "made up"),)
    async with connected(home) as client:
        planned = data_of(await client.call_tool("plan_api_key", {**PLAN, "models": [model]}))
        made = data_of(await client.call_tool("create_api_key", planned["create_api_key"]))
        both = {"id": made["id"], "model_limits": f"{model},gpt-4o"}
        assert data_of(await client.call_tool("update_api_key", both))["model_limits"] == f"{model},gpt-4o"
        assert "warnings" not in planned
        unknown = error_of(
            await client.call_tool("create_api_key", {**planned["create_api_key"], "model_limits": "a b"})
        )
    assert 'has the entry "a b", which is no model id' in unknown
