"""`python -m release.bundle`: the server as an MCP bundle (.mcpb), which Claude Desktop installs by opening it.

It is of the type `uv`: the client's own uv fetches Python and what `pyproject.toml` in it names. Packed here, for the
official packer is a Node program; its `validate` and `pack` accept what is in it.
"""

from __future__ import annotations

import json
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from comet_mcp import __version__
from comet_mcp.errors import TOKEN_PAGE
from comet_mcp.server import TOOLS
from release import ROOT

_PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_SOURCE = _PROJECT["urls"]["Source"]
_ENTRY = "server.py"
_START = """\
import sys

from comet_mcp.__main__ import main

sys.exit(main())
"""
_WHEN = (2020, 1, 1, 0, 0, 0)
"""The time of every file in it, so that one source makes one bundle."""


def manifest() -> dict[str, Any]:
    """What the client shows, asks for, and starts."""
    return {
        "manifest_version": "0.4",
        "name": _PROJECT["name"],
        "display_name": "CometAPI keys",
        "version": __version__,
        "description": _PROJECT["description"],
        "author": {"name": "The cometapi-mcp authors", "url": _SOURCE},
        "repository": {"type": "git", "url": f"{_SOURCE}.git"},
        "homepage": _SOURCE,
        "documentation": f"{_SOURCE}#readme",
        "support": f"{_SOURCE}/issues",
        "license": _PROJECT["license"],
        "keywords": _PROJECT["keywords"],
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": _PROJECT["requires-python"]},
        },
        "server": {
            "type": "uv",
            "entry_point": _ENTRY,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", _ENTRY],
                "env": {
                    "COMETAPI_ACCESS_TOKEN": "${user_config.access_token}",
                    "COMETAPI_MCP_KEY_DIR": "${user_config.key_dir}",
                    "COMETAPI_MCP_READ_ONLY": "${user_config.read_only}",
                },
            },
        },
        "user_config": _questions(),
        "tools": [{"name": tool.description.name, "description": _first_sentence(tool)} for tool in TOOLS],
        "prompts_generated": True,
    }


def write(path: Path) -> None:
    """Write the bundle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in sorted(_files().items()):
            member = zipfile.ZipInfo(name, _WHEN)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            bundle.writestr(member, content)


def _files() -> dict[str, bytes]:
    package = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "comet_mcp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return package | {
        "manifest.json": json.dumps(manifest(), indent=2).encode(),
        "pyproject.toml": _project().encode(),
        _ENTRY: _START.encode(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }


def _questions() -> dict[str, Any]:
    """What the client asks the person. Each has a value then: a placeholder that nobody filled in is refused."""
    return {
        "access_token": {
            "type": "string",
            "title": "CometAPI access token",
            "description": f"A personal access token from {TOKEN_PAGE}, not a model key (sk-...).",
            "sensitive": True,
            "required": True,
        },
        "key_dir": {
            "type": "directory",
            "title": "Folder for the keys",
            "description": "Each key's value goes into a file here that only you can read.",
            "default": "~/.config/cometapi/keys",
        },
        "read_only": {
            "type": "boolean",
            "title": "Read only",
            "description": "Leave out every tool that changes something.",
            "default": False,
        },
    }


def _project() -> str:
    """The dependencies, for uv. The package is not built: it lies beside the entry."""
    head = {"name": _PROJECT["name"], "version": __version__, "requires-python": _PROJECT["requires-python"]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in head.items()]
    needs = [f"  {json.dumps(dependency)}," for dependency in _PROJECT["dependencies"]]
    return "\n".join(("[project]", *lines, "dependencies = [", *needs, "]", "", "[tool.uv]", "package = false", ""))


def _first_sentence(tool: Any) -> str:
    return str(tool.description.description).split(". ")[0].rstrip(".") + "."


if __name__ == "__main__":
    made = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / f"{_PROJECT['name']}-{__version__}.mcpb"
    write(made)
    print(made)
