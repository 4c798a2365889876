from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest
from mcp import Client

from comet_mcp.sandbox import Sandbox
from comet_mcp.server import create_server
from tests.e2e.steps import served
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
        created_time=1_790_000_000,
        accessed_time=1_790_000_060,
    )
    home.sandbox.add_key("free", unlimited_quota=True, status=7)
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {}))
    assert page == {
        "page": 1,
        "page_size": 20,
        "total": 3,
        "unless_said": "last_used never, models any, addresses any, group none",
        "items": [
            {
                "id": 3,
                "name": "free",
                "state": "unknown (7)",
                "ends": "never",
                "budget": "unlimited",
                "spent": "$0.00",
            },
            {
                "id": 2,
                "name": "limited",
                "state": "disabled",
                "ends": "2027-09-03T19:33:20Z",
                "budget": "$4.98 of $5.00 left",
                "spent": "$0.02",
                "last_used": "2026-09-21T14:14:20Z",
                "models": "gpt-4.1-mini",
                "addresses": "192.0.2.1",
                "group": "vip",
            },
            {"id": 1, "name": "plain", "state": "works", "ends": "never", "budget": "$5.00 left", "spent": "$0.00"},
        ],
    }


async def test_no_value_of_a_key_is_in_a_list_or_a_record(home: Home) -> None:
    row = home.sandbox.add_key("secret")
    async with Client(create_server(home.settings)) as client:
        for tool, arguments in (("list_api_keys", {}), ("get_api_key", {"id": row.id})):
            assert row.key not in text_of(await client.call_tool(tool, arguments))
        record = data_of(await client.call_tool("get_api_key", {"id": row.id}))
    assert record["key"] == f"sk-{row.key[:4]}***{row.key[-4:]}"


async def test_pages_are_counted_from_one_and_sized_as_asked(home: Home) -> None:
    for number in range(7):
        home.sandbox.add_key(f"key {number}")
    async with Client(create_server(home.settings)) as client:
        pages = [data_of(await client.call_tool("list_api_keys", {"p": p, "page_size": 3})) for p in range(1, 5)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [[7, 6, 5], [4, 3, 2], [1], []]
    assert {page["total"] for page in pages} == {7}


@pytest.mark.parametrize(("keyword", "last"), [("", 3), ("key", 3), ("key 6", 1), ("none", 1)])
async def test_a_page_past_the_last_one_is_empty_with_a_note_that_names_the_last(
    keyword: str, last: int, home: Home
) -> None:
    for number in range(7):
        home.sandbox.add_key(f"key {number}")
    async with Client(create_server(home.settings)) as client:
        pages = [
            data_of(await client.call_tool("list_api_keys", {"p": p, "page_size": 3, "keyword": keyword}))
            for p in (1, last, last + 1, 50)
        ]
    assert [page.get("notes") for page in pages] == [
        None,
        None,
        [f"There is no page {last + 1}: the last one is {last}."],
        [f"There is no page 50: the last one is {last}."],
    ]


async def test_the_status_is_what_a_program_meets_and_the_fields_stay_as_they_are(home: Home) -> None:
    now = int(time.time())
    rows = {
        "expired": home.sandbox.add_key("a", remain_quota=5_000, expired_time=now - 480),
        "used up": home.sandbox.add_key("b", remain_quota=0, used_quota=5_000),
        "works": home.sandbox.add_key("c", unlimited_quota=True, expired_time=now + 480),
        "disabled": home.sandbox.add_key("d", status=2, remain_quota=0, expired_time=now - 480),
    }
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {}))
        keys = {word: data_of(await client.call_tool("get_api_key", {"id": row.id})) for word, row in rows.items()}
    assert {item["id"]: item["state"] for item in page["items"]} == {row.id: word for word, row in rows.items()}
    assert {word: key["state"] for word, key in keys.items()} == {word: word for word in rows}
    assert {key["id"]: (key["raw"]["expired_time"], key["raw"]["remain_quota"]) for key in keys.values()} == {
        row.id: (row.expired_time, row.remain_quota) for row in rows.values()
    }


async def test_a_key_that_no_program_used_was_never_used(home: Home) -> None:
    made = 1_790_000_000
    unused = home.sandbox.add_key("unused", created_time=made, accessed_time=made)
    used = home.sandbox.add_key("used", created_time=made, accessed_time=made + 60, used_quota=5)
    at_once = home.sandbox.add_key("at once", created_time=made, accessed_time=made, used_quota=5)
    async with Client(create_server(home.settings)) as client:
        shown = [data_of(await client.call_tool("get_api_key", {"id": row.id})) for row in (unused, used, at_once)]
    assert [key["last_used"] for key in shown] == ["never", "2026-09-21T14:14:20Z", "2026-09-21T14:13:20Z"]


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


async def test_twenty_keys_cost_hardly_more_than_the_apis_own_answer_text_and_structure_together(
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
        assert len(json.dumps(frame, separators=(",", ":")).encode()) <= 1.05 * own


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
    raw = key["raw"]
    assert (raw["remain_quota"], raw["used_quota"], key["budget"], key["spent"]) == (
        100_000,
        400_000,
        "$0.20 of $1.00 left",
        "$0.80",
    )
    assert (raw["expired_time"], key["ends"]) == (1_820_000_000, "2027-09-03T19:33:20Z")
    assert (raw["group"], raw["unlimited_quota"], raw["model_limits"], raw["allow_ips"]) == ("vip", False, "", "")
    assert (key["group"], key["models"], key["addresses"]) == ("vip", "any", "any")


async def test_hostile_names_are_listed_and_shown_without_a_raw_control_character(home: Home) -> None:
    names = ["\x1b[31mred", "nul\x00", "two\nlines", "\u202eltr", "</script>", '"quotes"', "鍵🔑"]
    for name in names:
        home.sandbox.add_key(name)
    async with served(home) as client:
        result = await client.call_tool("list_api_keys", {})
        assert [item["name"] for item in data_of(result)["items"]] == names[::-1]
        assert not any(ord(char) < 32 for char in text_of(result))


async def test_a_host_that_can_be_no_name_is_the_settings_fault_and_no_bug(home: Home) -> None:
    home.extra["COMETAPI_BASE_URL"] = "https://xn--.example"
    async with served(home) as client:
        text = error_of(await client.call_tool("list_api_keys"))
    assert text.startswith("[not_configured] COMETAPI_BASE_URL names the host")


async def _ids(home: Home, **arguments: object) -> list[int]:
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", arguments))
    assert page["total"] == len(page["items"])
    return [item["id"] for item in page["items"]]


async def test_one_call_finds_keys_by_state_and_without_a_budget(home: Home) -> None:
    now = int(time.time())
    works = home.sandbox.add_key("a", remain_quota=5_000)
    off = home.sandbox.add_key("b", remain_quota=5_000, status=2)
    ended = home.sandbox.add_key("c", remain_quota=5_000, expired_time=now - 60)
    spent = home.sandbox.add_key("d", remain_quota=0)
    free = home.sandbox.add_key("e", unlimited_quota=True)
    assert await _ids(home, state="works") == [free.id, works.id]
    assert await _ids(home, state="disabled") == [off.id]
    assert await _ids(home, state="expired") == [ended.id]
    assert await _ids(home, state="used up") == [spent.id]
    assert await _ids(home, unlimited=True) == [free.id]
    assert await _ids(home, unlimited=True, keyword="a") == []


async def test_one_call_finds_the_keys_that_end_soon_the_next_one_first(home: Home) -> None:
    now = int(time.time())
    home.sandbox.add_key("over", remain_quota=1, expired_time=now - 60)
    later = home.sandbox.add_key("later", remain_quota=1, expired_time=now + 5 * 86_400)
    soon = home.sandbox.add_key("soon", remain_quota=1, expired_time=now + 86_400)
    home.sandbox.add_key("far", remain_quota=1, expired_time=now + 90 * 86_400)
    home.sandbox.add_key("never", remain_quota=1)
    assert await _ids(home, ends_before="7 days", sort="ends") == [soon.id, later.id]
    assert await _ids(home, ends_before="2 days") == [soon.id]
    async with Client(create_server(home.settings)) as client:
        page = data_of(await client.call_tool("list_api_keys", {"ends_before": "2030-01-01"}))
        said = error_of(await client.call_tool("list_api_keys", {"ends_before": "never"}))
        unclear = error_of(await client.call_tool("list_api_keys", {"ends_before": "someday"}))
    assert "2030-01-01 24:00" in page["notes"][0]
    assert "ends_before needs a time" in said
    assert 'ends_before "someday" is not understood' in unclear


async def test_one_call_finds_the_keys_that_are_not_used(home: Home) -> None:
    now, day = int(time.time()), 86_400
    old = {"created_time": now - 90 * day}
    idle = home.sandbox.add_key("idle", **old, accessed_time=now - 40 * day, used_quota=5)
    never = home.sandbox.add_key("never", **old, accessed_time=now - 90 * day)
    home.sandbox.add_key("busy", **old, accessed_time=now - day, used_quota=9)
    fresh = home.sandbox.add_key("fresh", created_time=now, accessed_time=now)
    assert await _ids(home, unused_for="30 days") == [never.id, idle.id]
    assert await _ids(home, unused_for="三十天") == [never.id, idle.id]
    assert await _ids(home, unused_for="ever") == [fresh.id, never.id]
    assert (await _ids(home, sort="last_used"))[:3] == [never.id, fresh.id, idle.id]
    assert (await _ids(home, sort="spent"))[:2] == [3, idle.id]
    async with Client(create_server(home.settings)) as client:
        said = error_of(await client.call_tool("list_api_keys", {"unused_for": "Friday"}))
    assert "unused_for needs a span" in said


async def test_a_key_is_found_by_what_is_shown_of_its_value(home: Home) -> None:
    row, other = home.sandbox.add_key("a"), home.sandbox.add_key("b")
    assert row.key[:4] != other.key[:4]
    assert await _ids(home, keyword=f"sk-{row.key[:4]}***{row.key[-4:]}") == [row.id]
