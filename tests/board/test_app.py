"""The board as an MCP App: a page that clients show which say they can. Others get what they always got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client
from mcp.client.extension import ClientExtension, advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from comet_mcp.clock import SYSTEM
from comet_mcp.server import create_server
from tests.services.spend import DAY, spent
from tests.support import Home

URI = "ui://cometapi/board"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    home.sandbox.add_key("blog", expired_time=int(SYSTEM.now()) + 30 * DAY, remain_quota=2_000_000)
    home.sandbox.add_key(HOSTILE, unlimited_quota=True, expired_time=-1)
    spent(home.sandbox, 1, "gpt-4.1", 500_000, 60, token_name="blog")
    return home


def host(*kinds: str) -> list[ClientExtension]:
    return [advertise(EXTENSION_ID, {"mimeTypes": list(kinds)})]


def client(home: Home, **options: Any) -> Client:
    return Client(create_server(home.settings), **options)


async def read(client: Client, uri: str) -> TextResourceContents:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_that_shows_pages_is_told_which_tools_open_the_board(home: Home, mode: str) -> None:
    async with client(home, extensions=host(APP_MIME_TYPE), mode=mode) as shows:
        tools = (await shows.list_tools()).tools
        opens = {tool.name: tool.meta for tool in tools if tool.meta}
        assert opens == {name: {"ui": {"resourceUri": URI}} for name in ("list_api_keys", "get_usage")}
        assert [resource.uri for resource in (await shows.list_resources()).resources] == [URI]


@pytest.mark.parametrize("extensions", [[], host("text/html"), host()], ids=["none", "another kind", "no kind"])
async def test_another_host_gets_the_very_tools_it_always_got(home: Home, extensions: list[ClientExtension]) -> None:
    async with client(home) as before, client(home, extensions=extensions) as other:
        tools = await other.list_tools()
        assert tools.model_dump_json() == (await before.list_tools()).model_dump_json()
        assert not any(tool.meta for tool in tools.tools)
        assert (await other.list_resources()).resources == []


async def test_what_the_tools_answer_is_the_same_for_every_host(home: Home) -> None:
    async with client(home) as before, client(home, extensions=host(APP_MIME_TYPE)) as shows:
        one, other = [await each.call_tool("list_api_keys", {}) for each in (before, shows)]
        assert one.model_dump() == other.model_dump()


async def test_the_page_is_the_same_for_all_and_asks_for_what_it_shows(home: Home) -> None:
    async with client(home, extensions=host(APP_MIME_TYPE)) as shows:
        page = await read(shows, URI)
        assert page.mime_type == APP_MIME_TYPE
        assert "blog" not in page.text
        content = (await read(shows, f"{URI}/content")).text
        assert "$4.00 left" in content
        assert "gpt-4.1" in content
        assert HOSTILE not in content
        assert "&lt;img src=x" in content
        assert not [key.key for key in home.sandbox.keys if key.key in content]


@pytest.mark.parametrize(
    ("extra", "tools"),
    [
        ({}, "update_api_key rotate_api_key delete_api_key"),
        ({"COMETAPI_MCP_DISABLE_TOOLS": "delete_api_key"}, "update_api_key rotate_api_key"),
        ({"COMETAPI_MCP_SECRETS": "result"}, "update_api_key delete_api_key"),
        ({"COMETAPI_MCP_READ_ONLY": "1"}, ""),
        ({"COMETAPI_MCP_POLICY_MAX_BUDGET_USD": "lots"}, ""),
    ],
    ids=["all", "without a tool", "no value for a page", "read-only", "a policy that can't be used"],
)
async def test_the_page_offers_the_changes_that_the_tools_of_the_server_make(
    home: Home, extra: dict[str, str], tools: str
) -> None:
    home.extra |= extra
    async with client(home, extensions=host(APP_MIME_TYPE)) as shows:
        content = (await read(shows, f"{URI}/content")).text
        assert f'data-tools="{tools}"' in content
        assert content.count('class="change"') == (2 if tools else 0)


async def test_another_page_is_not_found(home: Home) -> None:
    async with client(home, extensions=host(APP_MIME_TYPE)) as shows:
        with pytest.raises(MCPError, match="There is no resource"):
            await shows.read_resource(f"{URI}/other")
