"""The MCP bundle: unpacked, and started as its manifest says by a client that has asked what it is to ask."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from comet_mcp.server import TOOLS
from release import ROOT, bundle
from tests.support import Home, data_of

SCHEMA = json.loads((ROOT / "tests" / "data" / "mcpb-manifest.schema.json").read_text(encoding="utf-8"))
OFFLINE = {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1", "UV_OFFLINE": "1"}
"""What makes uv take the packages that are installed here already."""


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The bundle's content, with a version of its own: so one sees that it is this that runs."""
    bundle.write(tmp_path / "a.mcpb")
    directory = tmp_path / "an extension"
    with zipfile.ZipFile(tmp_path / "a.mcpb") as archive:
        archive.extractall(directory)
    (directory / "comet_mcp" / "__init__.py").write_text('__version__ = "99.0.0"\n', encoding="utf-8")
    return directory


def server_of(directory: Path, answers: dict[str, Any], home: Home, **more: str) -> StdioServerParameters:
    """What a client starts, as the manifest's specification says: defaults, then a person's answers."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    asked = manifest["user_config"]
    values = {name: question["default"] for name, question in asked.items() if "default" in question} | answers
    assert values.keys() == asked.keys()
    texts = {"__dirname": str(directory)}
    for name, value in values.items():
        texts[f"user_config.{name}"] = str(value).lower() if isinstance(value, bool) else value
    start = json.dumps(manifest["server"]["mcp_config"])
    for name, text in texts.items():
        start = start.replace(f"${{{name}}}", json.dumps(text)[1:-1])
    assert "${" not in start
    config = json.loads(start)
    passed = {name: value for name, value in os.environ.items() if not name.startswith("COMETAPI_")}
    place = {"HOME": str(home.directory), "USERPROFILE": str(home.directory), "COMETAPI_BASE_URL": home.url}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    state = {"COMETAPI_MCP_STATE": str(home.state), "COMETAPI_MCP_CONFIG": os.devnull, "PATH": path}
    return StdioServerParameters(
        command=config["command"], args=config["args"], env=passed | place | state | config["env"] | more
    )


def test_the_manifest_is_valid_and_asks_for_the_token_as_a_secret() -> None:
    manifest = bundle.manifest()
    jsonschema.validate(manifest, SCHEMA)
    asked = manifest["user_config"]
    assert [name for name, question in asked.items() if question.get("sensitive")] == ["access_token"]
    assert all("default" in question or question.get("required") for question in asked.values())
    assert [tool["name"] for tool in manifest["tools"]] == [tool.description.name for tool in TOOLS]


def test_one_source_makes_one_bundle_without_anything_of_this_machine(tmp_path: Path) -> None:
    for name in ("a", "b"):
        bundle.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        names = archive.namelist()
        assert not [name for name in names if str(ROOT).encode() in archive.read(name)]
    assert {"manifest.json", "pyproject.toml", "server.py", "LICENSE", "comet_mcp/py.typed"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.long
@pytest.mark.parametrize("fetching", [False, True])
async def test_unpacked_it_starts_as_its_manifest_says_and_makes_a_key(
    make_home: Callable[..., Home], unpacked: Path, fetching: bool
) -> None:
    """When it fetches what it needs, this takes a network."""
    home = make_home()
    answers = {"access_token": home.sandbox.access_token, "key_dir": str(home.key_dir)}
    server = server_of(unpacked, answers, home, **({} if fetching else OFFLINE))
    async with Client(stdio_client(server)) as client:
        assert client.server_info is not None
        assert client.server_info.version == "99.0.0"
        made = data_of(await client.call_tool("create_api_key", {"name": "bundled", "remain_quota": 500_000}))
    assert Path(made["secret"]["path"]) in home.key_files
    assert [row.name for row in home.sandbox.keys] == ["bundled"]


@pytest.mark.long
async def test_read_only_leaves_out_what_changes_something(make_home: Callable[..., Home], unpacked: Path) -> None:
    home = make_home()
    answers = {"access_token": home.sandbox.access_token, "read_only": True}
    async with Client(stdio_client(server_of(unpacked, answers, home, **OFFLINE))) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert "list_api_keys" in names
    assert "create_api_key" not in names
