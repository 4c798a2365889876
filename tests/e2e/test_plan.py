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
from tests.support import Home, data_of, error_of, text_of

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
    assert (plan["budget"], key["budget"]) == ("$5.00", "$5.00 left")
    assert f"({key['ends']})" in plan["ends"]
    assert plan["checked"] == ["the account's models", "the account's balance", "the policy of this server"]
    assert not {"ask", "understood", "warnings"} & plan.keys()
    assert "warnings" not in key


_NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
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
    assert body_of(row) == {**plan["create_api_key"], "allow_ips": plan["create_api_key"].get("allow_ips", "")}
    assert row.remain_quota == units
    assert (row.model_limits, row.model_limits_enabled) == (",".join(dict.fromkeys(models)), bool(models))
    assert (row.allow_ips or "").split() == list(dict.fromkeys(ips))
    assert (row.expired_time == -1) is (lifetime == "never")
    shown = Decimal(plan["budget"].replace("$", "").replace(",", ""))
    assert shown <= Decimal(units) / PER_USD < shown + Decimal("0.01")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"unlimited": True}, "not both"),
        ({"budget_usd": 0.000001}, "$0.000002, one quota unit"),
        ({"budget_usd": 1_000_000_001}, "at most"),
        ({"budget_usd": "five"}, "a number"),
        ({"budget_usd": True}, "a number"),
        ({"models": "gpt-4.1-mini"}, "a list"),
        ({"ips": ["localhost"]}, "no IP address"),
        ({"ips": ["192.0.2.1,192.0.2.2"]}, "ips is a list"),
        ({"name": "x" * 501}, "at most 500"),
        ({"remain_quota": 5}, "There is no argument"),
    ],
)
async def test_an_argument_of_the_wrong_form_is_refused_with_the_right_one_and_nothing_is_asked(
    arguments: dict[str, Any], said: str, make_home: Callable[..., Home]
) -> None:
    home = make_home()
    async with connected(home) as client:
        assert said in error_of(await client.call_tool("plan_api_key", {**PLAN, **arguments}))
    assert home.sandbox.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"lifetime": "soon"}, 'lifetime "soon" is not understood. Today is '),
        ({"lifetime": "2020-01-01"}, "ends in the past"),
        ({"lifetime": "200 years"}, 'lifetime "200 years" ends more than a hundred years'),
        (
            {"lifetime": "03/09/2099"},
            "can mean Monday 2099-03-09 24:00 UTC or Thursday 2099-09-03 24:00 UTC: ask which",
        ),
        ({"name": "a\nb"}, "control character"),
        ({"name": "  "}, "name is empty"),
        ({"models": ["gpt 4"]}, 'no model "gpt 4"'),
    ],
)
async def test_what_cannot_be_planned_is_said_with_what_can_and_there_is_no_body(
    arguments: dict[str, Any], said: str, make_home: Callable[..., Home]
) -> None:
    async with connected(make_home(), COMETAPI_MCP_TIMEZONE="UTC") as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, **arguments}))
    (asked,) = plan["ask"]
    assert said in asked
    assert "create_api_key" not in plan


@pytest.mark.parametrize(
    ("name", "fits"),
    [("x" * 51, "x" * 50), ("ブログ要約ツール用の鍵（テスト環境）", "ブログ要約ツール用の鍵（テスト環")],
)
async def test_of_a_name_that_is_too_long_a_plan_takes_what_fits_and_says_so(home: Home, name: str, fits: str) -> None:
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "name": name}))
    assert plan["create_api_key"]["name"] == fits
    assert plan["understood"] == [f'The name is too long for the API, 50 bytes of UTF-8: "{fits}" fits.']


async def test_a_name_an_end_and_a_model_that_are_all_doubtful_are_told_in_one_answer(home: Home) -> None:
    arguments = {"name": "a\nb", "lifetime": "soon", "models": ["gpt 4"], "group": "vpi"}
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
    assert [said.split()[0] for said in plan["ask"]] == ["name", "lifetime", "The", "The", "How"]


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


async def test_a_budget_above_the_accounts_balance_is_told_in_the_plan_and_in_the_create(home: Home) -> None:
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "budget_usd": 100.01}))
        key = data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
        equal = data_of(await client.call_tool("plan_api_key", {**PLAN, "budget_usd": 100}))
        other = data_of(await client.call_tool("create_api_key", equal["create_api_key"]))
    assert plan["warnings"] == key["warnings"]
    assert plan["warnings"] == ["The budget is more than the account's balance, $100.00: it limits nothing."]
    assert "warnings" not in equal
    assert "warnings" not in other


@pytest.mark.fast_time
@pytest.mark.parametrize("fault", ["status", "html", "wrong_json", "refused", "rate_limit", "reset_before", "hang"])
async def test_a_balance_that_cannot_be_known_fails_neither_a_plan_nor_a_create_and_the_plan_says_so(
    fault: str, home: Home
) -> None:
    home.sandbox.faults.add("account", fault, times=5)
    arguments = {**PLAN, "budget_usd": 200, "models": []}
    async with connected(home, COMETAPI_MCP_TIMEOUT="4") as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
        key = data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
    assert (plan["budget"], key["budget"]) == ("$200.00", "$200.00 left")
    assert plan["warnings"] == ["The API did not tell the account's balance, so it may not cover the budget."]
    assert plan["checked"] == ["the policy of this server"]
    assert "warnings" not in key


async def test_many_creates_ask_for_the_balance_once_and_one_that_does_not_cover_is_never_an_old_one(
    home: Home,
) -> None:
    async with connected(home) as client:
        for number in range(5):
            data_of(await client.call_tool("create_api_key", {"name": f"covered {number}", "remain_quota": 5_000}))
        assert home.sandbox.count("account") == 1
        home.sandbox.account.quota = 2 * PER_USD
        data_of(await client.call_tool("plan_api_key", PLAN))
        home.sandbox.account.quota = 50 * PER_USD
        large = {"name": "large", "remain_quota": 20 * PER_USD}
        assert "balance" not in text_of(await client.call_tool("create_api_key", large))


async def test_a_create_without_a_budget_does_not_ask_for_the_balance(home: Home) -> None:
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "large", "unlimited_quota": True}))
        data_of(await client.call_tool("create_api_key", {"name": "none"}))
    assert home.sandbox.count("account") == 0


async def test_less_than_a_cent_without_an_end_is_warned_about_for_both(home: Home) -> None:
    async with connected(home) as client:
        arguments = {**PLAN, "budget_usd": 0.001, "lifetime": "never"}
        first, second = data_of(await client.call_tool("plan_api_key", arguments))["warnings"]
    assert "less than a cent" in first
    assert "never expires" in second


async def test_models_as_people_write_them_are_found_and_said(home: Home) -> None:
    models = ["gpt4.1", "claude sonnet 4.5", "GPT 4.1 Mini, gpt-4o", "gpt-4.1"]
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "models": models, "group": "VIP"}))
        key = data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
    assert key["models"] == "gpt-4.1, claude-sonnet-4-5, gpt-4.1-mini, gpt-4o"
    assert key["group"] == "vip"
    assert plan["understood"] == [
        '"gpt4.1" is the model "gpt-4.1".',
        '"claude sonnet 4.5" is the model "claude-sonnet-4-5".',
        '"GPT 4.1 Mini" is the model "gpt-4.1-mini".',
        '"VIP" is the group "vip".',
    ]
    assert "the account's groups" in plan["checked"]


async def test_all_that_is_doubtful_is_asked_at_once_with_the_nearest_names_and_without_a_body(home: Home) -> None:
    home.sandbox.account.models = (*home.sandbox.account.models, Model("gpt-41", "OpenAI"))
    arguments = {**PLAN, "models": ["gpt-4.1-mini", "GPT-4.1-mni", "zzzzzz", "gpt 4.1"], "group": "vpi"}
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", arguments))
    assert not {"create_api_key", "nearest_allowed"} & plan.keys()
    misspelt, unknown, several, group = plan["ask"]
    assert 'The account has no model "GPT-4.1-mni". Is "gpt-4.1-mini"' in misspelt
    assert 'There are "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano" and 30 more, see list_models.' in unknown
    assert several == 'Which model is meant by "gpt 4.1": "gpt-4.1" or "gpt-41"?'
    assert 'no group "vpi"' in group
    assert '"vip"' in group


async def test_a_name_that_would_be_two_in_a_list_is_not_taken_for_a_models(home: Home) -> None:
    home.sandbox.account.models = (*home.sandbox.account.models, Model("o3,gpt-5", "OpenAI"))
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "models": ["o3 gpt 5"]}))
    assert "create_api_key" not in plan


async def test_of_many_doubtful_models_five_are_asked_about(home: Home) -> None:
    models = ["gpt-4.1-mini", *(f"gpt-4.1-mini-{number}" for number in range(999))]
    async with connected(home) as client:
        asked = data_of(await client.call_tool("plan_api_key", {**PLAN, "models": models}))["ask"]
    assert [text.split('"')[1] for text in asked[:5]] == models[1:6]
    assert asked[5:] == ["994 more models are not clear either."]


async def test_a_plan_takes_a_thousand_models_however_they_are_written(home: Home) -> None:
    models = [",".join(f"m{number}" for number in range(start, start + 91)) for start in range(0, 1001, 91)]
    async with connected(home) as client:
        said = error_of(await client.call_tool("plan_api_key", {**PLAN, "models": models}))
    assert "models has 1001 of at most 1000 entries" in said


async def test_where_the_models_are_not_told_ids_are_taken_as_written_and_nothing_else(home: Home) -> None:
    home.sandbox.faults.add("catalog", "status", times=9)
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "models": ["gpt-4.1-mni"]}))
        said = error_of(await client.call_tool("plan_api_key", {**PLAN, "models": ["gpt 4"]}))
    assert plan["create_api_key"]["model_limits"] == "gpt-4.1-mni"
    assert plan["warnings"] == ["The API did not tell the account's models, so what was written is taken as it is."]
    assert "the account's models" not in plan["checked"]
    assert 'models has the entry "gpt 4", which is no model id' in said


@pytest.mark.parametrize("given", [{}, {"lifetime": None, "budget_usd": None}, {"lifetime": " ", "unlimited": False}])
async def test_without_a_lifetime_and_a_budget_a_plan_asks_for_both_and_makes_no_body(
    given: dict[str, Any], home: Home
) -> None:
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {"name": "blog", **given}))
        no_end = data_of(await client.call_tool("plan_api_key", {"name": "blog", **given, "unlimited": True}))
        no_budget = data_of(await client.call_tool("plan_api_key", {"name": "blog", **given, "lifetime": "never"}))
    assert plan == {"ask": [*no_end["ask"], *no_budget["ask"]], "checked": []}
    assert no_end["ask"] == ["How long shall the key live, such as 30 days or until Friday?"]
    assert no_budget["ask"] == ["How many US dollars may the key spend?"]


async def test_a_question_has_the_limit_that_the_policy_sets_at_that_moment(home: Home) -> None:
    rules = {
        "COMETAPI_MCP_POLICY_MAX_LIFETIME": "30d",
        "COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "5",
        "COMETAPI_MCP_POLICY_MAX_SUM_USD_PER_DAY": "8",
    }
    async with connected(home, COMETAPI_MCP_TIMEZONE="Asia/Tokyo", **rules) as client:
        how_long, how_much = data_of(await client.call_tool("plan_api_key", {"name": "blog"}))["ask"]
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "lifetime": "30d"}))
        data_of(await client.call_tool("create_api_key", plan["create_api_key"]))
        _, later = data_of(await client.call_tool("plan_api_key", {"name": "blog"}))["ask"]
    assert how_long.startswith(
        "How long shall the key live, such as 30 days or until Friday? This server allows at most "
    )
    assert "UTC+09:00 (20" in how_long
    assert how_much == "How many US dollars may the key spend? This server allows at most $5.00 now."
    assert later == "How many US dollars may the key spend? This server allows at most $3.00 now."


async def test_a_date_is_in_the_persons_zone_and_shown_there_and_in_utc(home: Home) -> None:
    ends = {}
    for zone in ("Asia/Tokyo", "UTC", "America/Los_Angeles"):
        async with connected(home, COMETAPI_MCP_TIMEZONE=zone) as client:
            plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "lifetime": "20 December 2099"}))
        ends[zone] = (plan["create_api_key"]["expired_time"], plan["ends"])
    assert ends == {
        "Asia/Tokyo": (4_101_462_000, "Sunday 2099-12-20 24:00 UTC+09:00 (2099-12-20T15:00:00Z)"),
        "UTC": (4_101_494_400, "Sunday 2099-12-20 24:00 UTC (2099-12-21T00:00:00Z)"),
        "America/Los_Angeles": (4_101_523_200, "Sunday 2099-12-20 24:00 UTC-08:00 (2099-12-21T08:00:00Z)"),
    }


async def test_a_key_for_this_task_only_lives_two_hours_and_that_is_said(home: Home) -> None:
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", {**PLAN, "lifetime": "just for this task"}))
    assert abs(plan["create_api_key"]["expired_time"] - time.time() - 7200) < 60
    assert "so the key ends in 2 hours" in plan["warnings"][0]


async def test_one_plan_serves_several_keys_that_differ_in_their_name(home: Home) -> None:
    async with connected(home) as client:
        plan = data_of(await client.call_tool("plan_api_key", PLAN))
        for name in ("one", "two", "three"):
            data_of(await client.call_tool("create_api_key", {**plan["create_api_key"], "name": name}))
    assert {row.name for row in home.sandbox.keys} == {"one", "two", "three"}
    assert len({row.expired_time for row in home.sandbox.keys}) == 1


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
        assert data_of(await client.call_tool("update_api_key", both))["models"] == f"{model}, gpt-4o"
        assert "warnings" not in planned
        unknown = error_of(
            await client.call_tool("create_api_key", {**planned["create_api_key"], "model_limits": "a b"})
        )
    assert 'has the entry "a b", which is no model id' in unknown
