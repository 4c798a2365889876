"""What later calls make of unclear creates: clocks that differ, stores that keep nothing, keys that are missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from email.utils import formatdate
from time import time
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from comet_mcp.clock import SYSTEM, Clock
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import UnclearError, UnsentError
from comet_mcp.sandbox.key import Key
from comet_mcp.services.create import Creator
from tests.e2e.steps import (
    code_of,
    create_listed_late,
    create_unlisted,
    let_pass,
    list_late_rows,
    operations,
    served,
    stored,
    values,
)
from tests.support import Home, data_of, error_of, text_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "left unclear", "remain_quota": 500_000, "expired_time": 1_900_000_000}
SETTLED, DAY = 61, 86_400
NO_ID, UNKNOWN = "created_id_unknown", "create_outcome_unknown"


async def _notes(client: Client) -> list[str]:
    notes: list[str] = data_of(await client.call_tool("list_api_keys")).get("notes", [])
    return notes


# Two creates of one name.


async def test_a_row_that_is_another_creates_is_never_taken_for_a_normalised_one(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="6")
    home.sandbox.faults.add("create", "late", value="2")
    home.sandbox.faults.add("create", "hang_after")
    got: dict[int, str] = {}

    async def create(client: Client, quota: int) -> None:
        got[quota] = data_of(await client.call_tool("create_api_key", BODY | {"remain_quota": quota}))["budget"]

    async with served(home) as client, anyio.create_task_group() as group:
        group.start_soon(create, client, 500_000)
        await anyio.sleep(0.1)
        group.start_soon(create, client, 50_000_000)
    assert got == {500_000: "$1.00 left", 50_000_000: "$100.00 left"}
    assert stored(home) == values(home)


async def test_a_key_that_is_another_creates_is_not_named_as_what_a_lost_one_may_have_made(make_home: MakeHome) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY | {"remain_quota": 1_000_000}))
        let_pass(home, SETTLED)
        (note,) = await _notes(client)
    assert "may have made" not in note


# Clocks.


@pytest.mark.parametrize("ahead", [3, 50])
async def test_date_headers_ahead_of_the_clock_that_dates_keys_hide_no_key(home: Home, ahead: int) -> None:
    home.sandbox._front.clock = lambda: time() + ahead
    async with served(home) as client:
        made = [data_of(await client.call_tool("create_api_key", BODY | {"name": name}))["id"] for name in "xyz"]
    assert made == [1, 2, 3]
    assert (home.sandbox.count("create"), stored(home)) == (3, values(home))


@pytest.mark.real_time
@pytest.mark.parametrize("ahead", [50, 3_000])
async def test_date_headers_that_run_ahead_of_the_rows_later_hide_no_key(make_home: MakeHome, ahead: int) -> None:
    home = make_home()
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY | {"name": "first"}))
        home.sandbox._front.clock = lambda: time() + ahead
        data_of(await client.call_tool("get_account"))
        made = [data_of(await client.call_tool("create_api_key", BODY | {"name": name}))["id"] for name in "xy"]
    assert made == [2, 3]
    assert (home.sandbox.count("create"), stored(home)) == (3, values(home))


@pytest.mark.real_time
async def test_a_key_hidden_by_a_clock_that_was_changed_is_named_and_no_later_one_is_hidden(
    make_home: MakeHome,
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY | {"name": "first"}))
        home.sandbox._front.clock = time
        home.sandbox.clock = lambda: time() - 50
        assert code_of(await client.call_tool("create_api_key", BODY)) == NO_ID
        let_pass(home, SETTLED)
        (note,) = await _notes(client)
        assert "may have made key 2, which has that name and the same settings" in note
        assert "save_api_key with id 2" in note
        data_of(await client.call_tool("save_api_key", {"id": 2}))
        data_of(await client.call_tool("create_api_key", BODY | {"name": "third"}))
    assert (home.sandbox.count("create"), stored(home)) == (3, values(home))


async def test_an_equal_key_that_somebody_else_made_before_is_named_and_not_taken(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY | {"name": "first"}))
        home.sandbox.add_key(**BODY, created_time=int(time()) - 600)
        home.sandbox.faults.add("create", "late", value="600")
        assert code_of(await client.call_tool("create_api_key", BODY)) == NO_ID
        let_pass(home, SETTLED)
        (note,) = await _notes(client)
    assert "may have made key 2" in note
    assert "If nobody else made it" in note
    assert len(home.key_files) == 1


class _Dated(httpx.AsyncHTTPTransport):
    """An API whose answers to a create have a date that is too large for any clock."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method == "POST":
            response.headers["date"] = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
        return response


async def test_a_date_that_no_clock_has_does_not_lose_the_key(home: Home) -> None:
    async with served(home, transport=_Dated()) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]


@pytest.mark.parametrize(
    "date", ["", "x", "Mon, 01 Jan 2026 00:00:00 +99999999999", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"]
)
def test_a_date_that_cannot_be_read_is_not_heard(date: str) -> None:
    clock = Clock()
    clock.hear(date)
    assert clock.api_reached() is None
    assert not clock.was_heard


class _Elsewhere(httpx.AsyncHTTPTransport):
    """A network in which a page of somebody else's, with a date of its own, answers for the account."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/user/self":
            return await super().handle_async_request(request)
        page = httpx.ByteStream(b"<html>Sign in to the network</html>")
        date = formatdate(time() + 90_000, usegmt=True)
        return httpx.Response(503, headers={"date": date}, stream=page)


@pytest.mark.real_time
async def test_the_date_of_a_page_that_is_not_the_apis_moves_no_window_and_hides_no_key(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_PER_DAY="2")
    async with served(home, transport=_Elsewhere()) as client:
        for name in ("first", "second"):
            key = data_of(await client.call_tool("create_api_key", BODY | {"name": name}))
            assert code_of(await client.call_tool("get_account")) == "no_usable_answer"
        assert code_of(await client.call_tool("create_api_key", BODY)) == "policy"
    assert key["id"] == 2
    assert stored(home) == values(home)


async def test_the_apis_time_is_learnt_where_something_else_answered_first(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox._front.clock = lambda: time() + 7 * 3_600
    home.sandbox.faults.add("list", "html")
    app = Services.of(home.settings, clock=Clock())
    await app.hear_clock(Deadline(app.clock, 5.0))
    assert not app.clock.was_heard
    await app.hear_clock(Deadline(app.clock, 5.0))
    assert 7 * 3_600 - 5 < app.clock.now() - time() < 7 * 3_600 + 5
    await app.aclose()


async def test_a_create_that_a_wrong_clock_dated_is_waited_for_no_longer_than_others(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    await create_unlisted(home, BODY)
    let_pass(home, -90_000)
    async with served(home) as client:
        said = error_of(await client.call_tool("create_api_key", BODY))
        assert "sent 0 seconds ago" in said
        assert "Try again in 60 seconds" in said
        let_pass(home, SETTLED)
        assert "never listed one" in error_of(await client.call_tool("create_api_key", BODY))


# Stores that keep nothing.


async def test_a_list_does_not_reveal_a_value_that_would_be_shown_to_nobody(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_SECRETS="result")
    await create_listed_late(home, BODY)
    async with served(home) as client:
        (note,) = await _notes(client)
        assert "call save_api_key with id 1" in note
        assert home.sandbox.count("reveal") == 0
        (note,) = await _notes(client)
        assert "call save_api_key with id 1" in note
        saved = data_of(await client.call_tool("save_api_key", {"id": 1}))
        assert saved["secret"]["value"] == values(home)[0]
        assert await _notes(client) == []


async def test_where_nothing_is_stored_a_list_says_where_the_value_is(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_SECRETS="none")
    await create_listed_late(home, BODY)
    async with served(home) as client:
        (note,) = await _notes(client)
        assert "take its value from the API's console" in note
        assert await _notes(client) == []


@pytest.mark.parametrize("fault", ["late", "reset_before"])
@pytest.mark.parametrize(("secrets", "said"), [("result", "save_api_key"), ("none", ""), ("file", "stores its value")])
async def test_what_is_said_of_a_key_that_was_not_found_holds_for_the_store(
    make_home: MakeHome, secrets: str, said: str, fault: str
) -> None:
    home = make_home(COMETAPI_MCP_SECRETS=secrets, COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", fault, value="600" if fault == "late" else None)
    async with served(home) as client:
        text = error_of(await client.call_tool("create_api_key", BODY))
    assert said in text
    assert ("stores its value" in text) == (secrets == "file")


async def test_where_nothing_is_stored_create_and_save_say_how_a_program_gets_the_value(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_SECRETS="none")
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
        saved = data_of(await client.call_tool("save_api_key", {"id": key["id"]}))
    assert "Nothing was stored. A program gets it by: cometapi-mcp run 1 -- PROGRAM" in key["warnings"]
    assert saved["secret"] == {
        "stored_in": "none",
        "load": "cometapi-mcp run 1 -- PROGRAM",
        "base_url": f"{home.url}/v1",
    }


# Several creates at once, and little time.


async def test_a_create_that_cannot_be_settled_keeps_no_other_from_it(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("reveal", "status", times=2)
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY | {"name": "unsaved"}))
    home.sandbox.faults.clear()
    await create_listed_late(home, BODY)
    home.sandbox.faults.add("get", "status", times=100)
    async with served(home) as client:
        notes = await _notes(client)
    assert any('create of "unsaved"' in note and "could not be settled" in note for note in notes)
    assert operations(home) == [("unstored", 1), ("stored", 2)]


@pytest.mark.parametrize(("left", "sent"), [(0.7, 0), (5.0, 1)])
async def test_a_create_is_not_sent_with_too_little_time_left_to_find_its_key(
    left: float, sent: int, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="9")  # a second of it is a write's, and one is kept for the answer
    passed = [0.0]
    monotonic = SYSTEM.monotonic
    monkeypatch.setattr(SYSTEM, "monotonic", lambda: monotonic() + passed[0])
    newest_first = home.sandbox.account.newest_first

    def late() -> list[Key]:
        passed[0] = 8.0 - left  # the list was answered, and has taken so long
        return newest_first()

    monkeypatch.setattr(home.sandbox.account, "newest_first", late)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == ("" if sent else "timed_out")
    assert (home.sandbox.count("create"), len(operations(home))) == (sent, sent)


async def test_a_create_within_another_call_ends_with_that_call(home: Home) -> None:
    app = Services.of(home.settings)
    try:
        deadline = Deadline(SYSTEM, 0.4)
        await anyio.sleep(0.25)
        with pytest.raises((UnsentError, UnclearError)):  # on a busy machine the list before it is late already
            await app.creator.begin(KeySpec.model_validate(BODY), deadline)
    finally:
        await app.aclose()
    assert home.sandbox.count("create") == 0


# A key that the API said it made, and never listed.


async def test_a_key_that_was_never_listed_is_told_with_what_to_do_and_found_by_a_list_within_a_day(home: Home) -> None:
    await create_unlisted(home, BODY)
    async with served(home) as client:
        (note,) = await _notes(client)
        assert "does not list it yet; list again in a minute" in note
        let_pass(home, SETTLED)
        (note,) = await _notes(client)
        assert "It may still appear" in note
        assert "save_api_key" in note
        assert "only if the user accepts that there may be two" in note
        home.sandbox.requests.clear()
        assert await _notes(client) == []
        assert [request.call for request in home.sandbox.requests] == ["list"]
        list_late_rows(home)
        let_pass(home, DAY // 2)
        home.sandbox.keys[0].created_time -= DAY // 2
        (note,) = await _notes(client)
        assert str(home.key_files[0]) in note
        assert await _notes(client) == []
    assert (operations(home), stored(home)) == ([("stored", 1)], values(home))


async def test_what_the_api_called_a_success_is_not_called_unmade_where_its_server_died(make_home: MakeHome) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("UPDATE operation SET state = 'accepted'")
    let_pass(home, SETTLED)
    async with served(home) as client:
        (note,) = await _notes(client)
    assert "It may still appear" in note


async def test_a_key_that_was_never_listed_is_nobodys_after_a_day(make_home: MakeHome) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    async with served(home) as client:
        let_pass(home, SETTLED)
        assert len(await _notes(client)) == 1
        list_late_rows(home)
        let_pass(home, DAY)
        assert await _notes(client) == []
    assert home.key_files == []


async def test_the_same_create_says_what_is_known_and_makes_a_second_key_only_after_it_was_told(
    make_home: MakeHome,
) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    async with served(home) as client:
        again = await client.call_tool("create_api_key", BODY)
        assert code_of(again) == NO_ID
        assert "The API said that it made a key, but does not list it yet" in text_of(again)
        let_pass(home, SETTLED)
        again = await client.call_tool("create_api_key", BODY)
        assert code_of(again) == NO_ID
        assert "only if the user accepts that there may be two" in text_of(again)
        assert home.sandbox.count("create") == 1
        assert data_of(await client.call_tool("create_api_key", BODY))["id"] == 2
        list_late_rows(home)
        (note,) = await _notes(client)
    assert "Key 1" in note
    assert stored(home) == values(home)


async def test_the_same_create_gets_the_missing_key_once_it_is_listed(make_home: MakeHome) -> None:
    home = make_home()
    await create_unlisted(home, BODY)
    let_pass(home, SETTLED)
    async with served(home) as client:
        assert len(await _notes(client)) == 1
        list_late_rows(home)
        assert data_of(await client.call_tool("create_api_key", BODY))["id"] == 1
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


async def test_after_a_rotations_key_was_never_listed_the_next_rotation_makes_another(make_home: MakeHome) -> None:
    home = make_home()
    old = home.sandbox.add_key("old", remain_quota=500_000, expired_time=-1)
    home.extra["COMETAPI_MCP_TIMEOUT"] = "4"
    home.sandbox.faults.add("create", "late", value="600")
    async with served(home) as client:
        assert NO_ID in error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
        let_pass(home, SETTLED)
        said = error_of(await client.call_tool("rotate_api_key", {"id": old.id}))
        assert "only if the user accepts that there may be two" in said
        new = data_of(await client.call_tool("rotate_api_key", {"id": old.id}))["new_key"]
    assert (home.sandbox.count("create"), new["id"]) == (2, 3)


# The journal and the log.


async def test_the_journal_asks_for_nothing_that_an_old_sqlite_lacks(home: Home) -> None:
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    with closing(sqlite3.connect(home.state)) as db:
        made = " ".join(sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    assert "CREATE TABLE" in made
    assert "STRICT" not in made


async def test_reveal_calls_that_the_api_counts_no_more_are_forgotten(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
        with closing(sqlite3.connect(home.state)) as db, db:
            db.execute("UPDATE reveal SET at = at - 3700")
        data_of(await client.call_tool("create_api_key", BODY))
    with closing(sqlite3.connect(home.state)) as db:
        assert db.execute("SELECT count(*) FROM reveal").fetchone() == (1,)


async def test_a_bug_in_a_create_is_logged_with_its_place(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("it could hold a value")

    monkeypatch.setattr(Creator, "store", broken)
    async with served(make_home()) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "internal_error"
    assert "RuntimeError in" in caplog.text
    assert "create.py" in caplog.text
    assert "could hold" not in caplog.text
