"""In processes of their own: what is loaded is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.e2e.steps import until

UNNEEDED = ("mcp.client", "mcp.server.mcpserver", "mcp.server.stdio", "httpx", "rich", "comet_mcp.board")
CODE = f"""
import sys
from comet_mcp import sdk
print(repr(sdk.load_for_serving()))
import comet_mcp.server, comet_mcp.transports.stdio
print([name for name in {UNNEEDED} if name in sys.modules])

import mcp
print(hasattr(mcp, 'nothing'), hasattr(mcp, '__wrapped__'))

import mcp.server
from mcp import Client, types
from mcp.server import MCPServer
print(mcp.Client is Client, types.Tool.__name__, MCPServer.__name__)

for name in [name for name in sys.modules if name.split(".")[0] == "mcp"]:
    del sys.modules[name]
sdk.NEEDED = (*sdk.NEEDED, "mcp.server.renamed")
print(sdk.load_for_serving())
import mcp.server.lowlevel
print(mcp.Client.__name__)
"""


@cache
def printed() -> list[str]:
    """The lines of that code, run once for all that they show: it takes a second."""
    found = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", CODE], capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


def test_serving_loads_neither_the_sdks_client_nor_its_other_server_nor_the_board() -> None:
    """A release that goes another way makes this fail: then `sdk.py` is to be looked at anew."""
    assert printed()[:2] == ["''", "[]"]


def test_what_the_sdk_does_not_have_is_an_attribute_error() -> None:
    assert printed()[2] == "False False"


def test_who_asks_for_the_rest_of_the_sdk_gets_it() -> None:
    assert printed()[3] == "True Tool MCPServer"


def test_a_release_that_cannot_be_loaded_in_part_is_loaded_whole_and_that_is_said() -> None:
    said, client = printed()[4:]
    assert said.startswith("This release of the MCP SDK can't be loaded in part")
    assert client == "Client"


@pytest.mark.long
async def test_the_http_client_is_loaded_once_the_tools_were_listed_and_before_any_call(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1", "HOME": str(tmp_path)}
    server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "comet_mcp"], env=environment)
    with (tmp_path / "imports").open("w+", encoding="utf-8") as said:

        def loaded() -> bool:
            return " httpx\n" in (tmp_path / "imports").read_text(encoding="utf-8")

        async with Client(stdio_client(server, errlog=said)) as client:
            await client.list_prompts()
            assert not loaded()
            await client.list_tools()
            await until(loaded)
