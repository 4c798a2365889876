from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from mcp import Client

from comet_mcp.sandbox import Sandbox
from comet_mcp.server import create_server
from tests.support import Home, data_of, error_of, text_of


async def test_a_list_shows_each_key_once_in_the_form_that_reads_best(home: Home) -> None:
    home.sandbox.add_key("plain", remain_quota=2_500_000, expired_time=-1)
    home.sandbox.add_key(
        "limited",
        remain_quota=2_490_000,
        used_quota=10_000,
        expired_time=1_820_000_000,
        model_limits_enabled=True,
        model_limits="gpt-4.1-mini",
        allow_ips="192.0.2.1",
        group="vip",
        status=2,
    )
    home.sandbox.add_key("free", unlimited_quota=True, status=7)
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {}))
    for item in page["items"]:
        item.pop("key")
    assert page == {
        "page": 1,
        "page_size": 20,
        "total": 3,
        "items": [
            {"id": 3, "name": "free", "status": "unknown (7)", "expires": "never", "remaining": "unlimited"},
            {
                "id": 2,
                "name": "limited",
                "status": "disabled",
                "expires": "2027-09-03T19:33:20Z",
                "remaining": "$4.98 of $5.00",
                "models": "gpt-4.1-mini",
                "ips": "192.0.2.1",
                "group": "vip",
            },
            {"id": 1, "name": "plain", "status": "enabled", "expires": "never", "remaining": "$5.00"},
        ],
    }


async def test_no_value_of_a_key_is_in_a_list_or_a_record(home: Home) -> None:
    row = home.sandbox.add_key("secret")
    async with Client(create_server(home.settings)) as client:
        for tool, arguments in (("list_api_keys", {}), ("get_api_key", {"id": row.id})):
            result = await client.call_tool(tool, arguments)
            assert row.key not in text_of(result)
            assert f"sk-{row.key[:4]}***{row.key[-4:]}" in text_of(result)


async def test_pages_are_counted_from_one_and_sized_as_asked(home: Home) -> None:
    for number in range(7):
        home.sandbox.add_key(f"key {number}")
    async with Client(create_server(home.settings)) as client:
        pages = [data_of(await client.call_tool("list_api_keys", {"p": p, "page_size": 3})) for p in range(1, 5)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [[7, 6, 5], [4, 3, 2], [1], []]
    assert {page["total"] for page in pages} == {7}


async def test_a_keyword_finds_part_of_a_name_in_any_case_on_all_pages(home: Home) -> None:
    for number in range(250):
        home.sandbox.add_key("Blog Summariser" if number in (3, 120, 249) else f"other {number}")
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {"keyword": "SUMMAR", "page_size": 2}))
        rest = data_of(await client.call_tool("list_api_keys", {"keyword": "SUMMAR", "page_size": 2, "p": 2}))
        none = data_of(await client.call_tool("list_api_keys", {"keyword": "%"}))
    assert (page["total"], [item["id"] for item in page["items"]]) == (3, [250, 121])
    assert [item["id"] for item in rest["items"]] == [4]
    assert (none["total"], none["items"]) == (0, [])


async def test_twenty_keys_cost_no_more_than_the_apis_own_answer_text_and_structure_together(
    make_home: Callable[..., Home],
) -> None:
    for dialect in ("documented", "gateway"):
        sandbox = Sandbox(dialect)
        for number in range(20):
            sandbox.add_key(
                f"blog summariser {number}", remain_quota=2_490_000, used_quota=10_000, expired_time=1_820_000_040
            )
        home = make_home(sandbox)
        async with httpx.AsyncClient(base_url=home.url, trust_env=False) as api:
            headers = {"Authorization": sandbox.access_token}
            own = len((await api.get("/api/token/?p=1&page_size=20", headers=headers)).content)
        async with Client(create_server(home.settings)) as client:
            result = await client.call_tool("list_api_keys", {})
        frame = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert len(json.dumps(frame, separators=(",", ":")).encode()) <= own


async def test_a_missing_key_sends_the_model_to_the_list(home: Home) -> None:
    async with Client(create_server(home.settings)) as client:
        text = error_of(await client.call_tool("get_api_key", {"id": 99}))
    assert text.startswith("[key_not_found] No API key has id 99. Call list_api_keys to see the ids.")


async def test_a_record_has_every_field_of_the_api_and_its_readable_form(home: Home) -> None:
    row = home.sandbox.add_key(
        "full", remain_quota=100_000, used_quota=400_000, expired_time=1_820_000_000, group="vip"
    )
    async with Client(create_server(home.settings)) as client:
        key = data_of(await client.call_tool("get_api_key", {"id": row.id}))
    assert (key["remain_quota"], key["used_quota"], key["remaining"], key["used"]) == (
        100_000,
        400_000,
        "$0.20 of $1.00",
        "$0.80",
    )
    assert (key["expired_time"], key["expires"]) == (1_820_000_000, "2027-09-03T19:33:20Z")
    assert (key["group"], key["unlimited_quota"], key["model_limits"], key["allow_ips"]) == ("vip", False, "", "")


async def test_hostile_names_are_listed_and_shown_without_a_raw_control_character(home: Home) -> None:
    names = ["\x1b[31mred", "nul\x00", "two\nlines", "\u202eltr", "</script>", '"quotes"', "鍵🔑"]
    for name in names:
        home.sandbox.add_key(name)
    async with home.client() as client:
        result = await client.call_tool("list_api_keys", {})
        assert [item["name"] for item in data_of(result)["items"]] == names[::-1]
        assert not any(ord(char) < 32 for char in text_of(result))
