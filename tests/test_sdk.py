"""In processes of their own: what is loaded is looked at."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
from comet_mcp import sdk
told = sdk.load_for_serving()
import comet_mcp.server, comet_mcp.transports.stdio
"""


def after(code: str) -> str:
    """What Python prints for that code, run after the SDK was loaded for serving."""
    found = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", LOADED + code], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_serving_loads_neither_the_sdks_client_nor_its_other_server() -> None:
    """A release that goes another way makes this fail: then `sdk.py` is to be looked at anew."""
    unneeded = "('mcp.client', 'mcp.server.mcpserver', 'mcp.server.stdio', 'httpx', 'rich')"
    assert after(f"print(repr(told), [name for name in {unneeded} if name in sys.modules])") == "'' []"


def test_who_asks_for_the_rest_of_the_sdk_gets_it() -> None:
    code = "import mcp.server; from mcp import Client, types; from mcp.server import MCPServer; import mcp"
    assert (
        after(f"{code}; print(mcp.Client is Client, types.Tool.__name__, MCPServer.__name__)") == "True Tool MCPServer"
    )


def test_what_the_sdk_does_not_have_is_an_attribute_error() -> None:
    assert after("import mcp; print(hasattr(mcp, 'nothing'), hasattr(mcp, '__wrapped__'))") == "False False"


def test_a_release_that_cannot_be_loaded_in_part_is_loaded_whole_and_that_is_said() -> None:
    code = """
from comet_mcp import sdk
for name in [name for name in sys.modules if name.split(".")[0] == "mcp"]:
    del sys.modules[name]
sdk.NEEDED = (*sdk.NEEDED, "mcp.server.renamed")
print(sdk.load_for_serving())
import mcp.server.lowlevel
print(mcp.Client.__name__)
"""
    said, client = after(code).splitlines()
    assert said.startswith("This release of the MCP SDK can't be loaded in part")
    assert client == "Client"
