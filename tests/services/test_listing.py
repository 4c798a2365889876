"""Every key is found, however a gateway pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mcp_types import TextContent

from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import TokenPage
from comet_mcp.domain.key import Key
from comet_mcp.services.listing import EndlessListError, all_keys, pages
from tests.e2e.steps import served
from tests.services.conftest import Serve
from tests.support import Home, data_of

MakeHome = Callable[..., Home]


@pytest.fixture(params=[1, 10, 50])
def fixed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A gateway that gives pages of one size, whatever is asked for."""
    size: int = request.param
    list_tokens = CometAPI.list_tokens

    async def of_that_size(self: CometAPI, number: int, _: int, **named: Any) -> Any:
        return await list_tokens(self, number, size, **named)

    monkeypatch.setattr(CometAPI, "list_tokens", of_that_size)
    return size


async def test_a_keyword_and_a_name_find_keys_behind_pages_of_any_size(
    make_home: MakeHome, serve: Serve, fixed: int
) -> None:
    home = make_home()
    for number in range(63):
        home.sandbox.add_key(f"needle {number}" if number % 9 == 0 else f"hay {number}")
    async with served(home) as client:
        found = data_of(await client.call_tool("list_api_keys", {"keyword": "needle", "page_size": 100}))
    assert found["total"] == 7
    rows, is_every = await all_keys(serve(home).api)
    assert [row.id for row in rows] == list(range(63, 0, -1))
    assert is_every
    assert home.sandbox.count("list") <= 2 * (63 // fixed + 1)


async def test_a_new_key_is_found_behind_others_where_pages_are_small(
    make_home: MakeHome, fixed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fixed
    home = make_home()
    create = home.sandbox.account.create

    def crowded(sent: dict[str, Any], **named: Any) -> Any:
        made = create(sent, **named)
        for number in range(25):
            home.sandbox.add_key(f"somebody's {number}")
        return made

    monkeypatch.setattr(home.sandbox.account, "create", crowded)
    async with served(home) as client:
        assert data_of(await client.call_tool("create_api_key", {"name": "mine"}))["id"] == 1


async def test_rows_that_move_to_the_next_page_meanwhile_are_given_once(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    for number in range(25):
        home.sandbox.add_key(f"{number}")
    list_tokens = CometAPI.list_tokens

    async def growing(self: CometAPI, number: int, size: int, **named: Any) -> Any:
        page = await list_tokens(self, number, size, **named)
        home.sandbox.add_key("new")
        return page

    monkeypatch.setattr(CometAPI, "list_tokens", growing)
    found = [row.id async for page in pages(serve(home).api, 10) for row in page]
    assert len(found) == len(set(found))
    assert set(range(1, 26)) <= set(found)


async def test_a_gateway_that_gives_the_same_page_for_ever_ends_the_search(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    for number in range(30):
        home.sandbox.add_key(f"{number}")
    list_tokens = CometAPI.list_tokens

    async def stuck(self: CometAPI, _: int, __: int, **named: Any) -> Any:
        return await list_tokens(self, 1, 10, **named)

    monkeypatch.setattr(CometAPI, "list_tokens", stuck)
    assert len((await all_keys(serve(home).api))[0]) == 10
    assert home.sandbox.count("list") == 2


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway whose list of keys has no end."""

    async def more(_: CometAPI, number: int, size: int, **__: Any) -> TokenPage:
        first = 10**9 - number * size
        keys = [Key(id=first - place, name=f"key {first - place}", created_time=1) for place in range(size)]
        return TokenPage(total=10**9, items=keys, size=100_000)

    monkeypatch.setattr(CometAPI, "list_tokens", more)


@pytest.mark.usefixtures("endless")
async def test_a_search_in_an_endless_list_ends_and_says_where(make_home: MakeHome) -> None:
    async with served(make_home()) as client:
        found = data_of(await client.call_tool("list_api_keys", {"keyword": "key"}))
    assert found["total"] == 5000
    assert "Only the newest 5000 keys were searched: the API lists more." in found["notes"]


@pytest.mark.usefixtures("endless")
async def test_a_review_of_an_endless_list_says_what_it_has_read(make_home: MakeHome) -> None:
    async with served(make_home()) as client:
        got = await client.get_prompt("review_api_keys")
    content = got.messages[0].content
    assert isinstance(content, TextContent)
    assert "These are the newest 5000 keys: the API lists more, that were not read." in content.text


@pytest.mark.usefixtures("endless")
async def test_what_has_to_know_every_key_is_refused_where_there_is_no_end(make_home: MakeHome, serve: Serve) -> None:
    with pytest.raises(EndlessListError, match="more keys than are looked at: the newest 5000"):
        [page async for page in pages(serve(make_home()).api)]


async def test_pages_are_read_up_to_a_number_of_bytes(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def large(_: CometAPI, number: int, *__: Any, **___: Any) -> TokenPage:
        nonlocal asked
        asked = number
        return TokenPage(total=10**9, items=[Key(id=10**9 - number)], size=2**20)

    monkeypatch.setattr(CometAPI, "list_tokens", large)
    rows, is_every = await all_keys(serve(make_home()).api)
    assert (len(rows), asked, is_every) == (8, 8, False)
