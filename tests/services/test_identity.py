"""An account is its API's address and its number there, whatever the token and however the address is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.sandbox import Sandbox
from comet_mcp.secret_store.names import host_directory
from tests.e2e.steps import code_of, lose_an_answer, operations, served, stored, values
from tests.services.conftest import Serve
from tests.support import Home, data_of, error_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "same account", "remain_quota": 500_000}


def accounts(home: Home) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(home.state)) as db:
        return db.execute("SELECT base_url, user_id FROM account").fetchall()


@pytest.mark.parametrize("with_id", [True, False])
async def test_with_a_renewed_token_the_same_create_finds_its_key_and_counts_go_on(
    make_home: MakeHome, with_id: bool
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    if not with_id:
        home.extra["COMETAPI_USER_ID"] = ""
    await lose_an_answer(home, BODY)
    home.sandbox.renew_access_token()
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
        assert code_of(await client.call_tool("create_api_key", BODY | {"name": "another"})) == "policy"
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))
    assert len(accounts(home)) == 1


@pytest.mark.parametrize(
    "written", ["http://localhost:{port}", "http://127.0.0.1:{port}/.", "http://127.0.0.1:{port}//v1//"]
)
async def test_every_spelling_of_an_address_is_one_account_with_one_limit_and_one_file(
    make_home: MakeHome, written: str
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
    home.url = written.format(port=urlsplit(home.url).port)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "policy"
        saved = data_of(await client.call_tool("save_api_key", {"id": key["id"]}))
    assert saved["secret"]["path"] == key["secret"]["path"]
    assert len(home.key_files) == 1
    assert len(accounts(home)) == 1


async def test_two_gateways_on_one_host_are_two_accounts_and_two_directories(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    url = home.url
    found = []
    for path in ("/alpha", "/beta", "/alpha/v1"):
        home.url = url + path
        services = serve(home)
        found.append((await services.identity.account(), host_directory(home.url)))
    assert found[0] == found[2]
    assert len({account for account, _ in found}) == len({directory for _, directory in found}) == 2


async def test_accounts_of_one_address_are_told_apart_by_their_number(make_home: MakeHome, serve: Serve) -> None:
    home = make_home()
    mine = await serve(home).identity.account()
    home.sandbox.renew_access_token()
    home.sandbox.account.user_id = 77
    assert await serve(home).identity.account() != mine


async def test_what_was_known_by_a_token_alone_moves_to_the_account_once_its_number_is_heard(
    make_home: MakeHome, serve: Serve
) -> None:
    """As in a journal of the version before, with the same token in two spellings of the address."""
    home = make_home()
    services = serve(home)
    mine = await services.identity.account()
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("INSERT INTO granted VALUES ('old-digest', 1.0, 1, 500, 'x')")
        db.execute("INSERT INTO account VALUES ('old-digest', NULL, NULL)")
        db.execute("DELETE FROM alias")
        db.execute("INSERT INTO alias VALUES (?, 'old-digest')", (services.identity.alias,))
    other = serve(home)
    assert await other.identity.account() == mine
    rows = await other.journal.run(Step(Reads(mine, spending=True), Decision))
    assert rows.spending.units == 500
    assert len(accounts(home)) == 1


async def test_a_start_with_a_known_token_asks_nothing(make_home: MakeHome) -> None:
    home = make_home()
    home.extra["COMETAPI_USER_ID"] = ""
    unlimited = {"name": "x", "unlimited_quota": True}  # for a budget a create asks what the balance is
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", unlimited))
    assert home.sandbox.count("account") == 1
    home.sandbox.requests.clear()
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", unlimited))
    assert home.sandbox.count("account") == 0


async def test_a_token_that_is_refused_makes_no_account(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_USER_ID="", COMETAPI_ACCESS_TOKEN="wrong")
    async with served(home) as client:
        assert error_of(await client.call_tool("create_api_key", BODY)).startswith("[unauthorized]")
    assert (home.sandbox.count("create"), operations(home)) == (0, [])
    assert accounts(home) == []


async def test_the_trail_names_the_account_by_address_and_number(make_home: MakeHome) -> None:
    home = make_home(Sandbox("gateway"))
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
        data_of(await client.call_tool("delete_api_key", {"id": 1}))
    with closing(sqlite3.connect(home.state)) as db:
        last = db.execute("SELECT json_extract(entry, '$.account') FROM audit WHERE entry LIKE '%begin%'").fetchall()[
            -1
        ]
    port = urlsplit(home.url).port
    assert last == (f"http://localhost:{port}#{home.sandbox.user_id}",)
