"""The MCP SDK as serving needs it: without the client and the HTTP server that `import mcp` would load too.

Its packages `mcp` and `mcp.server` stand bare first: found where they are, their own `__init__` not run. Modules below
them load as ever. Whoever asks such a package for a name of its own has its `__init__` run then, so that nobody finds
less than the SDK offers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

PACKAGES = ("mcp", "mcp.server")
"""What stands bare, each below the one before it."""

NEEDED = ("mcp.server.lowlevel", "mcp.server.caching", "mcp.shared.message")
"""What serving imports of the SDK."""


def load_for_serving() -> str:
    """Import the SDK's parts that serving needs; all of it where a release can't be loaded so.

    Returns:
        What is to be told a person, "" where it went as meant.
    """
    # the SDK has some 500 models, for every message of every version of the protocol; built where one is used
    from pydantic import BaseModel  # noqa: PLC0415 - `cometapi-mcp --version` needs none of it

    BaseModel.model_config["defer_build"] = True
    if "mcp" in sys.modules:
        return ""
    try:
        for name in PACKAGES:
            _stand_bare(name)
        for name in NEEDED:
            import_module(name)
    except Exception as error:  # noqa: BLE001 - whatever a later release does there
        for name in [name for name in sys.modules if name == "mcp" or name.startswith("mcp.")]:
            del sys.modules[name]
        import_module("mcp")
        return f"This release of the MCP SDK can't be loaded in part, so the start took longer ({error!r})."
    return ""


def _stand_bare(name: str) -> None:
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name=name)
    package = module_from_spec(spec)
    vars(package)["__getattr__"] = _completing(package, spec)
    sys.modules[name] = package
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules[above], last, package)


def _completing(package: ModuleType, spec: ModuleSpec) -> Callable[[str], Any]:
    """What answers for a name that the bare package does not have: a module below it, or else its own `__init__`."""

    def missing(name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {spec.name!r} has no attribute {name!r}")
        if find_spec(f"{spec.name}.{name}") is not None:
            return import_module(f"{spec.name}.{name}")
        del vars(package)["__getattr__"]
        assert spec.loader is not None  # noqa: S101 - looked at when it was made bare
        spec.loader.exec_module(package)
        return getattr(package, name)

    return missing
