"""The OpenAI Agents SDK: an agent that makes a key as it is told.

Both work with mcp 2.x, in one environment:

pip install openai-agents 'cometapi-mcp @ git+https://github.com/cometapi-mcp/cometapi-mcp'
OPENAI_API_KEY=... python openai_agent.py
"""

import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStdio

settings = {name: value for name, value in os.environ.items() if name.startswith("COMETAPI_")}
command = {"command": "cometapi-mcp", "env": settings}


async def main() -> None:
    """Start the server, give its tools to an agent, and let it work."""
    # a call may take 15 seconds, whatever the API does
    async with MCPServerStdio(params=command, client_session_timeout_seconds=30) as server:
        agent = Agent(name="Key keeper", instructions="Make API keys as asked.", mcp_servers=[server])
        result = await Runner.run(agent, "Make a key named 'nightly report' with 5 dollars that ends in 30 days.")
        print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
