"""LangChain: an agent that makes a key as it is told.

LangChain's adapters need an mcp older than 2, this server needs 2 or newer: they can't share an environment. So install
the server elsewhere (a clone's `.venv`, `pipx`, `uv tool`) and name its command by its full path:

pip install langchain langchain-openai langchain-mcp-adapters
SERVER_COMMAND=/full/path/to/cometapi-mcp OPENAI_API_KEY=... python langchain_agent.py
"""

import asyncio
import os

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient

command = os.environ.pop("SERVER_COMMAND", "cometapi-mcp")
settings = {name: value for name, value in os.environ.items() if name.startswith("COMETAPI_")}
server = {"command": command, "args": [], "transport": "stdio", "env": settings}


async def main() -> None:
    """Start the server, give its tools to an agent, and let it work."""
    client = MultiServerMCPClient({"cometapi": server})
    agent = create_agent("openai:gpt-4.1", await client.get_tools())
    message = "Make a key named 'nightly report' with 5 dollars that ends in 30 days."
    print(await agent.ainvoke({"messages": [{"role": "user", "content": message}]}))


if __name__ == "__main__":
    asyncio.run(main())
