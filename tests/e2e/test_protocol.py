"""What any MCP client may ask of the server, in both eras of the protocol."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

from comet_mcp import __version__
from comet_mcp.server import TOOLS
from tests.e2e.steps import code_of, served, started
from tests.support import Home, data_of, error_of, text_of

MakeHome = Callable[..., Home]

LEGACY, MODERN = "legacy", "2026-07-28"
ERAS = [LEGACY, "auto", MODERN]
NAMES = [tool.description.name for tool in TOOLS]


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """How the client asks: the handshake, discovery, or neither because it knows the version."""
    era: str = request.param
    return era


async def test_the_main_job_works_in_every_era(make_home: MakeHome, era: str) -> None:
    home = make_home()
    async with served(home, mode=era) as client:
        assert client.protocol_version == (MODERN if era != LEGACY else "2025-11-25")
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == NAMES
        key = data_of(await client.call_tool("create_api_key", {"name": "era"}))
        assert data_of(await client.call_tool("get_api_key", {"id": key["id"]}))["name"] == "era"
    assert [row.id for row in home.sandbox.keys] == [key["id"]]


@pytest.mark.parametrize("mode", [LEGACY, "auto"])
async def test_the_server_says_who_it_is_and_how_to_use_it(make_home: MakeHome, mode: str) -> None:
    async with served(make_home(), mode=mode) as client:
        info = client.server_info
        assert info is not None
        assert (info.name, info.version) == ("cometapi-mcp", __version__)
        assert "never ask the user" in (client.instructions or "")
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.prompts is not None
        assert client.server_capabilities.resources is not None


async def test_a_ping_is_answered(make_home: MakeHome) -> None:
    async with served(make_home(), mode=LEGACY) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await client.send_ping()


async def test_an_unknown_tool_is_an_error_of_the_protocol(make_home: MakeHome, era: str) -> None:
    home = make_home()
    async with served(home, mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("make_me_rich\x1b[31m", {})
        assert caught.value.error.code == INVALID_PARAMS
        assert "make_me_rich\\u001b[31m" in caught.value.error.message
        assert "tools/list" in caught.value.error.message
        data_of(await client.call_tool("list_api_keys"))


async def test_prompts_and_resources_are_listed(make_home: MakeHome, era: str) -> None:
    async with served(make_home(), mode=era) as client:
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        resources = (await client.list_resources()).resources
    assert (prompts, templates, resources) == (["make_api_key", "review_api_keys"], ["cometapi://keys/{id}"], [])


@pytest.mark.long
def test_an_unknown_method_and_what_is_no_request_at_all_leave_the_server_alive(make_home: MakeHome) -> None:
    home = make_home()
    with started(home.environment) as server:
        server.initialize()
        assert server.ask("keys/steal")["error"]["code"] == METHOD_NOT_FOUND
        assert server.ask("tools/call", {"name": 5})["error"]["code"] in (INVALID_PARAMS, -32600)
        assert server.ask("tools/call", {"name": "get_api_key", "arguments": [1]})["error"]["code"] in (
            INVALID_PARAMS,
            -32600,
        )
        server.send("keys/changed", notification=True)
        server.send("notifications/cancelled", {"requestId": 4711}, notification=True)
        assert server.process.stdin is not None
        server.process.stdin.write(b"this is no JSON\n[]\n{}\n\n")
        server.process.stdin.write(b'{"jsonrpc": "2.0", "id": 99, "method": "ping", "params": {"x": "\\ud800"}}\n')
        server.process.stdin.flush()
        assert server.call("list_api_keys", {})["structuredContent"]["total"] == 0
        server.close()
        assert server.process.returncode == 0


def test_only_frames_of_the_protocol_are_written_to_stdout(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_LOG="DEBUG")
    home.sandbox.faults.add("create", "reset_after")
    with started(home.environment) as server:
        server.initialize()
        server.call("create_api_key", {"name": "x"})
        server.call("get_api_key", {"id": 404})
        server.close()
        lines = server.written.splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert all(line.isascii() or line.decode() for line in lines)


# What a result is made of.


async def test_every_result_fits_its_schema_and_its_text_is_the_same_json(home: Home, era: str) -> None:
    home.extra["COMETAPI_MCP_SECRETS"] = "file" if era == LEGACY else "result"
    home.sandbox.faults.add("create", "create_with_id", after=1)
    async with served(home, mode=era) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        calls: list[tuple[str, dict[str, Any]]] = [
            ("create_api_key", {"name": "plain"}),
            (
                "create_api_key",
                {
                    "name": "every field",
                    "expired_time": 4_000_000_000,
                    "remain_quota": 1,
                    "model_limits_enabled": True,
                    "model_limits": "gpt-4o",
                    "allow_ips": "127.0.0.1",
                    "group": "auto",
                    "cross_group_retry": True,
                },
            ),
            ("create_api_key", {"name": "no limit", "unlimited_quota": True}),
            ("list_api_keys", {}),
            ("list_api_keys", {"keyword": "nothing has this name"}),
            ("get_api_key", {"id": 2}),
            ("save_api_key", {"id": 3}),
            ("plan_api_key", {"name": "blog", "budget_usd": 5, "lifetime": "30d", "models": ["gpt-4.1-mni"]}),
            ("update_api_key", {"id": 3, "name": "renamed", "allow_ips": "", "status": "disabled"}),
            ("verify_api_key", {"id": 3}),
            ("verify_api_key", {"id": 4}),
            ("update_api_key", {"id": 3, "status": "enabled"}),
            ("rotate_api_key", {"id": 4}),
            ("delete_api_key", {"id": 3}),
            ("delete_api_key", {"id": 3}),
            ("tidy_api_keys", {}),
            ("list_models", {"search": "gpt", "limit": 3}),
            ("list_models", {"search": "no such model"}),
            ("get_account", {}),
            ("get_usage", {"by": "model,day"}),
        ]
        home.sandbox.add_key("odd", status=7, expired_time=10**15, allow_ips=None)
        assert set(listed) == {name for name, _ in calls}
        for name, arguments in calls:
            result = await client.call_tool(name, arguments)
            structured = data_of(result)
            schema = listed[name].output_schema
            assert schema is not None
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(structured)
            jsonschema.Draft202012Validator(listed[name].input_schema).validate(arguments)
            assert json.loads(text_of(result)) == structured
            compact = json.dumps(structured, separators=(",", ":"), ensure_ascii=False)
            assert len(text_of(result)) == len(compact), "the text is compact"


async def test_a_client_may_keep_the_lists_for_ten_minutes(make_home: MakeHome) -> None:
    async with served(make_home(), mode=MODERN) as client:
        lists: list[Any] = [
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
        ]
        assert [(found.ttl_ms, found.cache_scope) for found in lists] == [(600_000, "private")] * 4


async def test_a_failure_has_a_text_and_no_structured_content(home: Home, era: str) -> None:
    async with served(home, mode=era) as client:
        for name, arguments, code in (
            ("get_api_key", {"id": 404}, "key_not_found"),
            ("save_api_key", {"id": 404}, "key_not_found"),
            ("create_api_key", {"name": "x", "budget_usd": 5}, "invalid_argument"),
            ("list_api_keys", {"page_size": 101}, "invalid_argument"),
        ):
            result = await client.call_tool(name, arguments)
            assert code_of(result) == code, text_of(result)
            assert result.structured_content is None
    assert home.sandbox.count("create") == 0


# Without a token.


@pytest.mark.parametrize("mode", [LEGACY, "auto"])
async def test_without_a_token_the_tools_are_listed_and_every_call_says_how_to_set_one(
    make_home: MakeHome, mode: str
) -> None:
    home = make_home(COMETAPI_ACCESS_TOKEN="")
    async with served(home, mode=mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == NAMES
        await _every_tool_says_how(client)
    assert home.sandbox.requests == []
    assert not home.state.exists()
    assert home.key_files == []


async def _every_tool_says_how(client: Client) -> None:
    for name, arguments in (
        ("create_api_key", {"name": "x"}),
        ("list_api_keys", {}),
        ("list_api_keys", {"keyword": "x"}),
        ("get_api_key", {"id": 1}),
        ("save_api_key", {"id": 1}),
        ("plan_api_key", {"name": "x", "budget_usd": 5, "lifetime": "30d"}),
        ("update_api_key", {"id": 1, "name": "x"}),
        ("delete_api_key", {"id": 1}),
        ("tidy_api_keys", {}),
        ("rotate_api_key", {"id": 1}),
        ("verify_api_key", {"id": 1}),
        ("list_models", {}),
        ("get_account", {}),
        ("get_usage", {}),
    ):
        result = await client.call_tool(name, arguments)
        assert code_of(result) == "not_configured"
        told = error_of(result)
        assert all(step in told for step in ("COMETAPI_ACCESS_TOKEN", "1. ", "2. ", "3. restart", "https://"))
