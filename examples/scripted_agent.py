"""An agent that gets a key of its own and works with it, on the sandbox: no account, no network, no language model.

The OpenAI Agents SDK is real, and so are the server and its tools; only the model is a script, and the API a pretend
one. The agent never sees the key's value: the work is done by `program.py`, which `cometapi-mcp run` starts with it.

pip install openai-agents 'cometapi-mcp @ git+https://github.com/cometapi-mcp/cometapi-mcp'
python scripted_agent.py
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from agents.mcp import MCPServerStdio
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from comet_mcp.sandbox import Sandbox

NAME = "report agent"
SERVER = [sys.executable, "-P", "-m", "comet_mcp"]
PROGRAM = [sys.executable, str(Path(__file__).with_name("program.py"))]


class Script(Model):
    """What a model would answer: a plan, then the key that was planned, then words."""

    async def get_response(self, *_: Any, input: Any, **__: Any) -> ModelResponse:
        """The next step, by the answers that the tools have given."""
        answers = [_parsed(item["output"]) for item in input if item.get("type") == "function_call_output"]
        if not answers:
            wish = {"name": NAME, "budget_usd": 1, "lifetime": "2 hours", "models": ["gpt-4.1-mini"]}
            return _call("plan_api_key", wish)
        if len(answers) == 1:
            return _call("create_api_key", answers[0]["create_api_key"])
        key = answers[1]
        return _said(f"I have key {key['id']}, {key['key']}, with {key['budget']}.")

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Nothing is streamed here."""
        raise NotImplementedError


def _parsed(output: Any) -> dict[str, Any]:
    """What a tool returned; the framework hands it on as JSON, or as JSON in a text item."""
    parsed: dict[str, Any] = json.loads(output) if isinstance(output, str) else output[0]
    return _parsed(parsed["text"]) if "text" in parsed else parsed


def _call(tool: str, arguments: dict[str, Any]) -> ModelResponse:
    written = json.dumps(arguments)
    asked = ResponseFunctionToolCall(type="function_call", call_id=f"call-{tool}", name=tool, arguments=written)
    return ModelResponse(output=[asked], usage=Usage(), response_id=None)


def _said(text: str) -> ModelResponse:
    content: list[Any] = [ResponseOutputText(type="output_text", text=text, annotations=[])]
    message = ResponseOutputMessage(id="said", type="message", role="assistant", status="completed", content=content)
    return ModelResponse(output=[message], usage=Usage(), response_id=None)


async def get_key(settings: dict[str, str]) -> None:
    """Let the agent make its key."""
    command: Any = {"command": SERVER[0], "args": SERVER[1:], "env": settings}
    async with MCPServerStdio(params=command, client_session_timeout_seconds=30) as server:
        agent = Agent(name="Reporter", instructions="Get a key.", mcp_servers=[server], model=Script())
        quiet = RunConfig(tracing_disabled=True)
        result = await Runner.run(agent, "Get a key of your own: a dollar, two hours.", run_config=quiet)
        print("agent:", result.final_output)


def main() -> None:
    """Let the agent make its key, and a program work with it."""
    sandbox = Sandbox()
    with tempfile.TemporaryDirectory() as directory, sandbox.serve() as url:
        settings = {
            "COMETAPI_ACCESS_TOKEN": sandbox.access_token,
            "COMETAPI_BASE_URL": url,
            "COMETAPI_MCP_CONFIG": os.devnull,
            "COMETAPI_MCP_KEY_DIR": str(Path(directory, "keys")),
            "COMETAPI_MCP_STATE": str(Path(directory, "journal.sqlite3")),
        }
        asyncio.run(get_key(settings))
        print("program: ", end="", flush=True)
        subprocess.run([*SERVER, "run", "--openai", NAME, "--", *PROGRAM], env=os.environ | settings, check=True)


if __name__ == "__main__":
    main()
