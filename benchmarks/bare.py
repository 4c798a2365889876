"""The yardstick: a low-level server of the same SDK with one tool that lists keys, and nothing else."""

from __future__ import annotations

import json
import os
from typing import Any

import anyio
import httpx
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

LIST = Tool(
    name="list_api_keys",
    description="List API keys.",
    input_schema={"type": "object", "properties": {"p": {"type": "integer"}, "page_size": {"type": "integer"}}},
    output_schema={"type": "object"},
)


async def main() -> None:
    client = httpx.AsyncClient(
        base_url=os.environ["COMETAPI_BASE_URL"],
        headers={"Authorization": os.environ["COMETAPI_ACCESS_TOKEN"]},
        trust_env=False,
    )

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[LIST])

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        answer = await client.get("/api/token/", params={"p": arguments.get("p", 1), "page_size": 20})
        page = answer.json()["data"]
        return CallToolResult(content=[TextContent(type="text", text=json.dumps(page))], structured_content=page)

    server = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
