from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher
from time import monotonic
from typing import Any

import pytest
from mcp import Client

from comet_mcp.api import catalog
from comet_mcp.clock import Clock
from comet_mcp.server import create_server
from tests.e2e.life import connected
from tests.support import Home, data_of, error_of, text_of

pytestmark = pytest.mark.fast_time

BODY: dict[str, Any] = {"name": "blog", "remain_quota": 2_500_000, "expired_time": 1_900_000_000}


async def test_models_are_listed_with_what_the_dialect_tells(home: Home) -> None:
    async with connected(home) as client:
        page = data_of(await client.call_tool("list_models", {"search": "4.1-mini"}))
    (item,) = page["items"]
    assert page["total"] == 1
    if home.sandbox.dialect.public_catalog:
        assert item == {
            "id": "gpt-4.1-mini",
            "provider": "OpenAI",
            "type": "text",
            "price": "$0.32 in, $1.28 out per 1M tokens",
        }
    else:
        assert item == {"id": "gpt-4.1-mini"}


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("text-embedding-3-small", "$0.016 per 1M tokens"),
        ("flux-1.1-pro", "$0.032 per call"),
        ("veo-3", "$0.32 per second"),
    ],
)
async def test_every_way_of_pricing_is_shown(model: str, price: str, make_home: Callable[..., Home]) -> None:
    async with connected(make_home()) as client:
        (item,) = data_of(await client.call_tool("list_models", {"search": model}))["items"]
    assert item["price"] == price


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ({"search": "GPT-4O"}, 2),
        ({"search": "anthropic"}, 4),
        ({"type": "image"}, 3),
        ({"type": "IMAGE", "search": "openai"}, 1),
        ({"type": "imag"}, 0),
        ({"search": None, "type": None}, 32),
    ],
)
async def test_models_are_found_by_part_of_id_or_provider_and_by_type(
    arguments: dict[str, str], total: int, make_home: Callable[..., Home]
) -> None:
    async with connected(make_home()) as client:
        assert data_of(await client.call_tool("list_models", arguments))["total"] == total


async def test_a_limit_cuts_the_items_and_not_the_total(home: Home) -> None:
    everything = len(home.sandbox.account.models)
    async with connected(home) as client:
        short = data_of(await client.call_tool("list_models", {"limit": 3}))
        default = data_of(await client.call_tool("list_models", {}))
        full = data_of(await client.call_tool("list_models", {"limit": 200}))
    assert [len(page["items"]) for page in (short, default, full)] == [3, 20, everything]
    assert {page["total"] for page in (short, default, full)} == {everything}


async def test_a_search_without_a_hit_names_what_is_alike(home: Home) -> None:
    async with connected(home) as client:
        page = data_of(await client.call_tool("list_models", {"search": "gpt-4.1-mnii"}))
        nothing = data_of(await client.call_tool("list_models", {"search": "zzzzzzz"}))
    assert page["did_you_mean"][0] == "gpt-4.1-mini"
    assert "did_you_mean" not in nothing


async def test_the_catalog_is_asked_for_once_within_minutes_and_again_after_them(home: Home) -> None:
    later = [0.0]
    clock = Clock(monotonic=lambda: monotonic() + later[0])
    body = {**BODY, "model_limits_enabled": True, "model_limits": "o3", "group": "vip"}
    async with Client(create_server(home.settings, clock=clock)) as client:
        for _ in range(2):
            data_of(await client.call_tool("list_models", {}))
            data_of(await client.call_tool("get_account", {}))
            data_of(await client.call_tool("create_api_key", body))
            later[0] = catalog.REMEMBERED_FOR - 30
        assert (home.sandbox.count("catalog"), home.sandbox.count("groups")) == (1, 1)
        later[0] = catalog.REMEMBERED_FOR + 1
        data_of(await client.call_tool("list_models", {}))
        data_of(await client.call_tool("get_account", {}))
    assert (home.sandbox.count("catalog"), home.sandbox.count("groups")) == (2, 2)


async def test_a_catalog_that_failed_is_asked_for_again(home: Home) -> None:
    home.sandbox.faults.add("catalog", "status")
    async with connected(home) as client:
        error_of(await client.call_tool("list_models", {}))
        assert data_of(await client.call_tool("list_models", {}))["total"] == 32


async def test_the_account_is_shown_in_units_and_dollars_with_its_groups(home: Home) -> None:
    home.sandbox.account.quota, home.sandbox.account.used_quota = 2_490_000, 10_000
    home.sandbox.account.request_count = 7
    async with connected(home) as client:
        account = data_of(await client.call_tool("get_account", {}))
    assert account == {
        "username": "sandbox",
        "balance": "$4.98",
        "balance_quota": 2_490_000,
        "used": "$0.02",
        "used_quota": 10_000,
        "requests": 7,
        "group": "default",
        "groups": ["default", "vip", "auto"],
    }


@pytest.mark.parametrize(("fault", "value"), [("status", 404), ("refused", "no")])
async def test_an_api_that_does_not_tell_its_groups_is_shown_without_them(fault: str, value: Any, home: Home) -> None:
    home.sandbox.faults.add("groups", fault, value=value)
    async with connected(home) as client:
        account = data_of(await client.call_tool("get_account", {}))
    assert "groups" not in account
    assert account["balance"] == "$100.00"


async def test_groups_that_cannot_be_read_do_not_hide_the_balance(home: Home) -> None:
    home.sandbox.faults.add("groups", "status", times=2, value=503)
    async with connected(home) as client:
        assert data_of(await client.call_tool("get_account", {}))["balance"] == "$100.00"


async def test_a_create_warns_of_a_model_the_account_does_not_have_with_the_nearest_name(home: Home) -> None:
    body = {**BODY, "model_limits_enabled": True, "model_limits": "gpt-4.1-mini,gpt-4.1-nan"}
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", body))
    (warning,) = key["warnings"]
    assert warning.startswith('The account has no model "gpt-4.1-nan"')
    assert '"gpt-4.1-nano"' in warning
    assert home.sandbox.keys[0].model_limits == "gpt-4.1-mini,gpt-4.1-nan"


async def test_a_create_names_five_models_the_account_does_not_have_and_counts_the_others(home: Home) -> None:
    models = ["gpt-4.1-mini", *(f"gpt-4.1-mini-{number}" for number in range(999))]
    body = {**BODY, "model_limits_enabled": True, "model_limits": ",".join(models)}
    async with connected(home) as client:
        warnings = data_of(await client.call_tool("create_api_key", body))["warnings"]
    assert [text.split('"')[1] for text in warnings[:5]] == models[1:6]
    assert warnings[5:] == ["The account has none of 994 more models of the list either."]


@pytest.mark.parametrize("name", ["a" * 90, "a" * 5000])
def test_a_name_is_compared_letter_by_letter_with_few_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ratio, compared = SequenceMatcher.ratio, []

    def counted(self: SequenceMatcher[str]) -> float:
        compared.append(self)
        return ratio(self)

    monkeypatch.setattr(SequenceMatcher, "ratio", counted)
    catalog.nearest(name, [f"{'a' * 90}-{number}" for number in range(10_000)] + ["a" * 100_000])
    assert len(compared) <= 40  # each twice, by difflib


async def test_a_create_warns_of_a_group_that_a_release_takes_and_then_refuses_to_serve(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {**BODY, "group": "vipp"}))
    (warning,) = key["warnings"]
    assert warning.startswith('The account has no group "vipp"')
    assert '"vip"' in warning


async def test_a_group_that_the_api_refuses_is_its_refusal_and_makes_no_key(make_home: Callable[..., Home]) -> None:
    home = make_home()
    async with connected(home) as client:
        said = error_of(await client.call_tool("create_api_key", {**BODY, "group": "vipp"}))
    assert said.startswith("[group_refused]")
    assert home.sandbox.keys == []


@pytest.mark.parametrize("call", ["catalog", "groups", "other"])
@pytest.mark.parametrize(
    "fault",
    ["status", "html", "garbage", "wrong_json", "refused", "rate_limit", "reset_before", "empty_after", "truncated"],
)
async def test_no_failure_of_the_catalog_stops_a_create(call: str, fault: str, home: Home) -> None:
    home.sandbox.faults.add(call, fault, times=5)
    body = {**BODY, "model_limits_enabled": True, "model_limits": "o3", "group": "vip"}
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", body))
    (row,) = home.sandbox.keys
    assert (key["id"], key["secret"]["stored_in"]) == (row.id, "file")
    assert "no model" not in str(key.get("warnings"))


@pytest.mark.parametrize("names", [5, True, "text", {"a": 1}, [1], [None], None])
async def test_a_list_of_models_of_another_shape_is_no_crash_and_stops_no_create(
    names: Any, make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    from comet_mcp.api.client import CometAPI  # noqa: PLC0415 - patched here alone

    manage = CometAPI._manage

    async def odd(self: CometAPI, method: str, path: str, *rest: Any) -> Any:
        answer = await manage(self, method, path, *rest)
        if path != "/api/user/models":
            return answer
        from pydantic_core import to_json  # noqa: PLC0415

        return answer._replace(body=to_json({"success": True, "message": "", "data": names}))

    monkeypatch.setattr(CometAPI, "_manage", odd)
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(
            await client.call_tool("create_api_key", {**BODY, "model_limits_enabled": True, "model_limits": "o3"})
        )
        listed = await client.call_tool("list_models", {})
    assert key["secret"]["stored_in"] == "file"
    assert "[internal_error]" not in text_of(listed)


async def test_a_create_without_settings_says_so_also_where_the_catalog_is_asked(
    make_home: Callable[..., Home],
) -> None:
    body = {**BODY, "model_limits_enabled": True, "model_limits": "o3"}
    async with connected(make_home(), COMETAPI_ACCESS_TOKEN="") as client:
        assert error_of(await client.call_tool("create_api_key", body)).startswith("[not_configured]")


async def test_a_create_that_names_no_model_and_no_group_asks_for_neither(home: Home) -> None:
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert home.sandbox.count("catalog") + home.sandbox.count("groups") == 0


async def test_models_come_cheapest_first_and_those_without_a_price_last(make_home: Callable[..., Home]) -> None:
    home = make_home()
    async with connected(home) as client:
        page = data_of(await client.call_tool("list_models", {"limit": 200}))
    ids = [item["id"] for item in page["items"]]
    assert ids[:3] == ["text-embedding-3-small", "text-embedding-3-large", "gpt-5-nano"]
    assert ids.index("claude-opus-4-1") < ids.index("whisper-1") < ids.index("flux-1.1-pro") < ids.index("sora-2")
    assert page["sorted_by"].startswith("price, cheapest first")
    assert "more" not in page


async def test_where_no_price_is_told_the_order_is_said_to_be_the_apis_own(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        page = data_of(await client.call_tool("list_models", {"limit": 200}))
    assert [item["id"] for item in page["items"]] == [model.id for model in home.sandbox.account.models]
    assert page["sorted_by"] == "the API's own order, for it tells no prices"


async def test_a_list_that_is_cut_says_how_many_are_left_out(home: Home) -> None:
    async with connected(home) as client:
        page = data_of(await client.call_tool("list_models", {"limit": 30}))
    assert page["more"].startswith("2 more: give a larger limit")


@pytest.mark.parametrize(("word", "total"), [("chat", 23), ("LLM", 23), ("pictures", 3), ("embeddings", 2), ("tts", 2)])
async def test_a_type_is_understood_in_other_words_than_the_catalogs(
    word: str, total: int, make_home: Callable[..., Home]
) -> None:
    async with connected(make_home()) as client:
        page = data_of(await client.call_tool("list_models", {"type": word}))
    assert page["total"] == total
    assert "There is no type" not in page.get("note", "")
