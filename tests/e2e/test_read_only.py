"""A server that offers only what its operator allows: what is left out does nothing, whatever a client sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from comet_mcp.server import TOOLS
from tests.e2e.steps import code_of, operations, served, started
from tests.support import Home, data_of, error_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

WRITING: dict[str, dict[str, Any]] = {
    "create_api_key": {"name": "x"},
    "update_api_key": {"id": 1, "name": "x"},
    "delete_api_key": {"id": 1},
    "tidy_api_keys": {"dry_run": False},
    "rotate_api_key": {"id": 1},
    "save_api_key": {"id": 1},
}
READING = [tool.name for tool in TOOLS if tool.name not in WRITING]


async def _is_left_out(client: Client, name: str, arguments: dict[str, Any], setting: str) -> None:
    said = error_of(await client.call_tool(name, arguments))
    assert said.startswith(f"[tool_left_out] {name} is switched off on this server ({setting}).")
    assert "Nothing was done" in said


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_read_only_server_has_no_tool_that_changes_something(make_home: MakeHome, mode: str) -> None:
    home = make_home(COMETAPI_MCP_READ_ONLY="1")
    home.sandbox.add_key("here before")
    async with served(home, mode=mode) as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == READING
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in listed)
        for name, arguments in WRITING.items():
            await _is_left_out(client, name, arguments, "COMETAPI_MCP_READ_ONLY")
        assert data_of(await client.call_tool("list_api_keys"))["total"] == 1
        assert data_of(await client.call_tool("get_api_key", {"id": 1}))["name"] == "here before"
        assert data_of(await client.call_tool("verify_api_key", {"id": 1}))["id"] == 1
        data_of(await client.call_tool("plan_api_key", {"name": "x", "budget_usd": 5, "lifetime": "30d"}))
    assert {request.method for request in home.sandbox.requests} <= {"GET"}
    assert home.key_files == []
    assert [row.name for row in home.sandbox.keys] == ["here before"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_read_only_server_does_not_speak_of_making_keys(make_home: MakeHome, mode: str) -> None:
    async with served(make_home(COMETAPI_MCP_READ_ONLY="true"), mode=mode) as client:
        assert "create_api_key" not in (client.instructions or "")
        assert "can't make any" in (client.instructions or "")
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["review_api_keys"]


async def test_a_read_only_server_leaves_the_unclear_creates_of_another_one_alone(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="3")
    home.sandbox.faults.add("create", "late", value="3")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", {"name": "late"})) == "created_id_unknown"
    await anyio.sleep(3)  # now it shows
    before = operations(home)
    home.extra["COMETAPI_MCP_READ_ONLY"] = "1"
    async with served(home) as client:
        data_of(await client.call_tool("list_api_keys"))
    assert (operations(home), home.key_files) == (before, [])
    home.extra["COMETAPI_MCP_READ_ONLY"] = "0"
    async with served(home) as client:
        data_of(await client.call_tool("list_api_keys"))
    assert len(home.key_files) == 1


@pytest.mark.long
@pytest.mark.real_time
def test_a_client_that_calls_without_listing_first_finds_no_writing_tool_either(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_READ_ONLY="1")
    with started(home.environment) as server:
        server.initialize()
        for name, arguments in WRITING.items():
            answer = server.ask("tools/call", {"name": name, "arguments": arguments})
            assert answer["result"]["isError"] is True
            assert answer["result"]["content"][0]["text"].startswith("[tool_left_out]")
        server.close()
    assert home.sandbox.requests == []


async def test_single_tools_can_be_left_out(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_DISABLE_TOOLS=" delete_api_key, rotate_api_key ,")
    async with served(home) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        left_out = ("delete_api_key", "tidy_api_keys", "rotate_api_key")  # the second one deletes too
        assert names == [tool.name for tool in TOOLS if tool.name not in left_out]
        await _is_left_out(client, "delete_api_key", {"id": 1}, "COMETAPI_MCP_DISABLE_TOOLS")
        data_of(await client.call_tool("create_api_key", {"name": "x"}))
        assert "create_api_key" in (client.instructions or "")


@pytest.mark.parametrize(
    ("setting", "value"), [("COMETAPI_MCP_READ_ONLY", "1"), ("COMETAPI_MCP_DISABLE_TOOLS", "create_api_key")]
)
async def test_a_prompt_that_leads_to_a_left_out_tool_is_refused(make_home: MakeHome, setting: str, value: str) -> None:
    async with served(make_home(**{setting: value})) as client:
        with pytest.raises(MCPError) as caught:
            await client.get_prompt("make_api_key", {"purpose": "the blog"})
        assert (await client.get_prompt("review_api_keys")).messages
    assert caught.value.error.code == INVALID_PARAMS
    assert f"[tool_left_out] create_api_key is switched off on this server ({setting})" in caught.value.error.message


async def test_a_server_that_only_replaces_keys_says_so(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_DISABLE_TOOLS="create_api_key")
    row = home.sandbox.add_key("old", remain_quota=500_000)
    async with served(home) as client:
        said = client.instructions or ""
        data_of(await client.call_tool("rotate_api_key", {"id": row.id}))
    assert "call rotate_api_key" in said
    assert "can't make any other" in said
    assert "create_api_key" not in said
    assert len(home.sandbox.keys) == 2


async def test_a_server_with_neither_create_nor_rotate_says_that_it_makes_no_keys(make_home: MakeHome) -> None:
    async with served(make_home(COMETAPI_MCP_DISABLE_TOOLS="create_api_key,rotate_api_key")) as client:
        assert "can't make any." in (client.instructions or "")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COMETAPI_MCP_DISABLE_TOOLS", "delete_api_keys", "no tool's in place 1; the tools are"),
        ("COMETAPI_MCP_READ_ONLY", "maybe", "must be 1 or 0"),
        ("COMETAPI_MCP_CONFIRM", "always", "one of never, destructive, writes"),
        ("COMETAPI_MCP_CONFIRM_FALLBACK", "ask", "one of refuse, allow"),
        ("COMETAPI_MCP_AUDIT", "yes", "one of on, required, off"),
        ("COMETAPI_MCP_READONLY", "1", "is no setting. Did you mean COMETAPI_MCP_READ_ONLY?"),
    ],
)
async def test_a_guard_that_is_not_understood_stops_every_call(
    make_home: MakeHome, variable: str, value: str, said: str
) -> None:
    home = make_home(**{variable: value})
    async with served(home) as client:
        for name, arguments in {**WRITING, "list_api_keys": {}}.items():
            result = await client.call_tool(name, arguments)
            assert code_of(result) == "not_configured"
            assert variable in error_of(result)
            assert said in error_of(result)
    assert home.sandbox.requests == []


async def test_the_guards_can_stand_in_the_config_file(make_home: MakeHome) -> None:
    home = make_home()
    config = home.directory / "config.toml"
    config.write_text(
        '[mcp]\ndisable_tools = ["list_models", "get_account"]\nread_only = true\naudit = "off"\n', encoding="utf-8"
    )
    home.extra["COMETAPI_MCP_CONFIG"] = str(config)
    async with served(home) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == [name for name in READING if name not in ("list_models", "get_account")]
    assert home.settings.audit == "off"
