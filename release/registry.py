"""`python -m release.registry BUNDLE IMAGE > FILE`: server.json for the MCP registry, with all that a release has made.

The repository's own names the package on PyPI alone: a bundle's digest and a container's tag exist once they are made.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from release import ROOT

_STATE = "/home/cometapi/.local/state/cometapi-mcp"
_CONFIG = "/home/cometapi/.config/cometapi"


def complete(bundle: Path, image: str) -> dict[str, Any]:
    """The registry's entry. `image` is the container with its tag."""
    server: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    (package,) = server["packages"]
    server["packages"] = [package, _bundled(server, bundle), _contained(package, image)]
    return server


def _bundled(server: dict[str, Any], bundle: Path) -> dict[str, Any]:
    releases = f"{server['repository']['url']}/releases/download"
    return {
        "registryType": "mcpb",
        "identifier": f"{releases}/v{server['version']}/{bundle.name}",
        "version": server["version"],
        "fileSha256": hashlib.sha256(bundle.read_bytes()).hexdigest(),
        "transport": {"type": "stdio"},
    }


def _contained(package: dict[str, Any], image: str) -> dict[str, Any]:
    folder = {"description": "Your folder with the config file and the keys.", "isRequired": True, "format": "filepath"}
    return {
        "registryType": "oci",
        "identifier": image,
        "runtimeHint": "docker",
        "transport": {"type": "stdio"},
        "runtimeArguments": [
            {"type": "named", "name": "-v", "value": f"{{config}}:{_CONFIG}", "variables": {"config": folder}},
            {"type": "named", "name": "-v", "value": f"cometapi-mcp-state:{_STATE}"},
        ],
        "environmentVariables": package["environmentVariables"],
    }


if __name__ == "__main__":
    print(json.dumps(complete(Path(sys.argv[1]), sys.argv[2]), indent=2))
