"""The MCP Python SDK's client, without a language model between: makes one key and prints what is said of it.

pip install 'cometapi-mcp @ git+https://github.com/cometapi-mcp/cometapi-mcp'        # brings the SDK, mcp 2.x
python sdk_client.py
"""

import os

import anyio
from mcp import Client, StdioServerParameters, stdio_client

# the SDK's client passes HOME, PATH and the like, and nothing else
settings = {name: value for name, value in os.environ.items() if name.startswith("COMETAPI_")}
server = StdioServerParameters(command="cometapi-mcp", env=settings)


async def main() -> None:
    """Plan a key in a person's words, make it, and print the result."""
    async with Client(stdio_client(server)) as client:
        wish = {"name": "nightly report", "budget_usd": 5, "lifetime": "30 days"}
        plan = await client.call_tool("plan_api_key", wish)
        if plan.is_error or not plan.structured_content or "create_api_key" not in plan.structured_content:
            raise SystemExit(f"No key was made: {plan.content}")
        result = await client.call_tool("create_api_key", plan.structured_content["create_api_key"])
        print(result.content[0].text)


if __name__ == "__main__":
    anyio.run(main)
