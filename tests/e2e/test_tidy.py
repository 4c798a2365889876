"""`tidy_api_keys`: what has ended is shown, and deleted once that is agreed to; nothing else is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import time
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from comet_mcp.clock import Clock
from comet_mcp.domain.key import Status
from comet_mcp.sandbox import Key
from comet_mcp.server import create_server
from tests.e2e.life import connected, spend
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]
PAST = 1_600_000_000


def expired(home: Home, name: str = "old job", **fields: Any) -> Key:
    return home.sandbox.add_key(name, expired_time=PAST, remain_quota=500_000, **fields)


def used_up(home: Home, name: str = "spent", since: float = 7200) -> Key:
    row = home.sandbox.add_key(name, remain_quota=500_000)
    spend(row, 500_000)
    row.accessed_time = int(time() - since)
    row.created_time = row.accessed_time - 60
    return row


def names(home: Home) -> list[str]:
    return [row.name for row in home.sandbox.keys]


async def tidied(client: Client, **arguments: Any) -> dict[str, Any]:
    return data_of(await client.call_tool("tidy_api_keys", arguments))


async def test_ended_keys_are_shown_with_what_they_spent_and_nothing_is_deleted_unless_asked_for(home: Home) -> None:
    spend(expired(home), 125_000)
    used_up(home)
    home.sandbox.add_key("in use", remain_quota=500_000)
    async with connected(home) as client:
        found = await tidied(client)
    assert [(key["name"], key["state"], key["spent"], key["deleted"]) for key in found["keys"]] == [
        ("old job", "expired", "$0.25", False),
        ("spent", "used up", "$1.00", False),
    ]
    assert names(home) == ["old job", "spent", "in use"]
    assert home.sandbox.count("delete") == 0


async def test_ended_keys_are_deleted_and_all_others_stay(home: Home) -> None:
    expired(home)
    used_up(home)
    used_up(home, "used up just now", since=60)
    home.sandbox.add_key("waits for its budget", remain_quota=0)
    home.sandbox.add_key("switched off", status=2, expired_time=PAST)
    home.sandbox.add_key("in use", remain_quota=500_000)
    async with connected(home) as client:
        done = await tidied(client, dry_run=False)
        again = await tidied(client, dry_run=False)
    assert [key["deleted"] for key in done["keys"]] == [True, True]
    assert again["keys"] == []
    assert names(home) == ["used up just now", "waits for its budget", "switched off", "in use"]


async def test_each_delete_is_in_the_trail_and_in_the_journal(make_home: MakeHome) -> None:
    home = make_home()
    expired(home)
    expired(home, "older job")
    async with connected(home) as client:
        await tidied(client, dry_run=False)
    with closing(sqlite3.connect(home.state)) as db:
        deletes = db.execute("SELECT key_id, state FROM operation WHERE kind = 'delete' ORDER BY key_id").fetchall()
        rows = db.execute(
            "SELECT json_extract(entry, '$.kind'), json_extract(entry, '$.tool'), json_extract(entry, '$.key_id'), "
            "json_extract(entry, '$.client') FROM audit ORDER BY id"
        ).fetchall()
    assert deletes == [(1, "settled"), (2, "settled")]
    of_keys = [row for row in rows if row[1] == "delete_api_key"]
    assert of_keys == [
        ("begin", "delete_api_key", 1, "tidy_api_keys"),
        ("end", "delete_api_key", 1, None),
        ("begin", "delete_api_key", 2, "tidy_api_keys"),
        ("end", "delete_api_key", 2, None),
    ]
    assert [row[0] for row in rows if row[1] == "tidy_api_keys"] == ["begin", "end"]


async def test_keys_that_are_not_this_servers_to_delete_stay_and_are_counted(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_NAME_PREFIX="agent-", COMETAPI_MCP_POLICY_ONLY_OWN_PREFIX="1")
    expired(home, "agent-1")
    expired(home, "a person's")
    async with connected(home) as client:
        done = await tidied(client, dry_run=False)
    assert names(home) == ["a person's"]
    assert done["notes"] == ["1 more have ended, and the policy does not let this server delete them."]


async def test_a_person_is_asked_once_about_all_of_them(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="destructive")
    spend(expired(home), 125_000)
    used_up(home)
    asked: list[str] = []
    answers = iter(["decline", "accept"])

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        asked.append(params.message)
        action = next(answers)
        return ElicitResult(action=action, content={"confirm": True} if action == "accept" else None)  # type: ignore[arg-type]

    async with Client(create_server(home.settings), elicitation_callback=person) as client:
        await tidied(client)
        assert asked == [], "what is only shown needs nobody's yes"
        error_of(await client.call_tool("tidy_api_keys", {"dry_run": False}))
        assert len(home.sandbox.keys) == 2
        await tidied(client, dry_run=False)
    assert (
        asked
        == [
            'Delete for good the API keys "old job" (id 1, expired, spent $0.25), "spent" (id 2, used up, spent $1.00)?'
        ]
        * 2
    )
    assert home.sandbox.keys == []


async def test_of_many_as_many_are_deleted_as_a_person_can_read_and_the_rest_is_told(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="destructive", COMETAPI_MCP_CONFIRM_FALLBACK="allow")
    for number in range(20):
        expired(home, f"{number:02} " + "long name " * 4)
    async with connected(home) as client:
        done = await tidied(client, dry_run=False)
    assert len(done["keys"]) == 15
    assert done["notes"] == ["5 more have ended; each call deletes up to 15."]
    assert [name[:2] for name in names(home)] == ["15", "16", "17", "18", "19"], "the oldest go first"


async def test_a_key_that_was_extended_between_the_list_and_the_delete_stays(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    row = expired(home)
    record = home.sandbox.account.record
    reads = iter(range(1, 100))

    def extended(shown: Key) -> dict[str, Any]:
        if next(reads) == 2:
            row.expired_time = -1
        return record(shown)

    async with connected(home) as client:
        await client.call_tool("get_account", {})
        monkeypatch.setattr(home.sandbox.account, "record", extended)
        done = await tidied(client, dry_run=False)
    assert [key["deleted"] for key in done["keys"]] == [False]
    assert done["notes"] == ["Key 1 was changed or deleted meanwhile."]
    assert names(home) == ["old job"]


async def test_what_fails_in_the_middle_leaves_the_rest_and_is_told(make_home: MakeHome) -> None:
    home = make_home()
    for number in range(3):
        expired(home, str(number))
    async with connected(home) as client:
        home.sandbox.faults.add("delete", "refused", after=1)
        done = await tidied(client, dry_run=False)
    assert [key["deleted"] for key in done["keys"]] == [True, False, False]
    assert done["notes"][0].startswith("Key 2 and those after it were left: [")
    assert names(home) == ["1", "2"]


async def test_a_policy_that_cannot_be_used_deletes_nothing(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_BUDGET_USD="much")
    expired(home)
    async with connected(home) as client:
        said = error_of(await client.call_tool("tidy_api_keys", {"dry_run": False}))
    assert said.startswith("[policy] The policy of this server can't be used")
    assert names(home) == ["old job"]


class _Timeless(httpx.AsyncHTTPTransport):
    """An API behind a proxy that passes no time on."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        response.headers.pop("date", None)
        return response


async def test_a_key_that_works_is_not_deleted_where_only_a_wrong_clock_of_this_machine_has_ended_it(
    home: Home,
) -> None:
    home.sandbox.add_key("works", expired_time=int(time()) + 3600, remain_quota=500_000)
    expired(home, "told by the API", status=Status.EXPIRED)
    ahead = Clock(wall=lambda: time() + 7200)
    async with Client(create_server(home.settings, transport=_Timeless(), clock=ahead)) as client:
        found = await tidied(client, dry_run=False)
    assert [key["name"] for key in found["keys"]] == ["told by the API"]
    assert "The API tells no time" in found["notes"][0]
    assert names(home) == ["works"]
