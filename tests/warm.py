"""Servers that begin from a recording: with COMETAPI_TEST_WARM set, each real one in a test has had a start before it.

    COMETAPI_TEST_WARM=1 python -m pytest -m "" tests/e2e/test_stdio.py tests/robustness/test_kill.py

`tests/robustness/test_warm.py` runs a part of the tests so.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

VARIABLE = "COMETAPI_TEST_WARM"
STARTED = ("-m", "comet_mcp")
AS_CODE = "from comet_mcp.__main__ import main; main([])"
"""What a test that starts the server by code of its own would start without its own part."""

_Popen = subprocess.Popen
_CLIENTS: tuple[tuple[str, dict[str, Any]], ...] = (("test", {}), ("t", {}), ("test", {"elicitation": {}}))
"""Names and capabilities of the clients that the tests play themselves."""


def wanted() -> bool:
    return bool(os.environ.get(VARIABLE))


@contextmanager
def running() -> Iterator[list[str]]:
    """A context in which each server that is started finds a recording. Gives the homes that have one."""
    warm: list[str] = []

    class Warm(_Popen[Any]):
        def __init__(self, args: Any, **options: Any) -> None:
            environment = options.get("env") or {}
            arguments = _without_its_own(args)
            home = f"{environment.get('HOME')} {arguments}"
            if arguments and home not in warm and environment.get("COMETAPI_MCP_REPLAY") != "0":
                warm.append(home)
                for name, capabilities in _CLIENTS:
                    _hand_shaken(arguments, name, capabilities, options)
            super().__init__(args, **options)

    with mock.patch.object(subprocess, "Popen", Warm):
        yield warm


def _without_its_own(args: Any) -> list[str]:
    """The arguments that start the same server; none where it is no server that is started."""
    if not isinstance(args, list):
        return []
    if tuple(args[-2:]) == STARTED:
        return args
    return [*args[:-1], AS_CODE] if args[-2:-1] == ["-c"] and "comet_mcp" in args[-1] else []


def _hand_shaken(arguments: list[str], name: str, capabilities: dict[str, Any], options: dict[str, Any]) -> None:
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": capabilities,
        "clientInfo": {"name": name, "version": "1"},
    }
    requests = [("initialize", params), ("tools/list", {}), ("ping", {})]
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        for number, (method, params) in enumerate(requests)
    ]
    with _Popen(
        arguments,
        env=options["env"],
        cwd=options.get("cwd"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.communicate("".join(line + "\n" for line in lines).encode(), timeout=60)
