"""Many calls through one process, with faults at random: what it holds at the end is what it held at the start."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

from comet_mcp.api.transport import MAX_CONNECTIONS
from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import blocking_until
from tests.robustness.test_stdio_fuzz import Pipes, piped
from tests.support import Home

MakeHome = Callable[..., Home]

IN_FLIGHT = 8
FAULTS = [
    ("reset_before", None),
    ("reset_after", None),
    ("truncated", None),
    ("garbage", None),
    ("html", None),
    ("wrong_json", None),
    ("empty_after", None),
    ("status", "500"),
    ("status", "503"),
    ("status_after", "502"),
    ("rate_limit", None),
    ("redirect", None),
    ("huge", "9"),
    ("gzip_bomb", "16"),
    ("latency", "0.2"),
    ("hang", None),
]
CALLS = ["list", "get", "update", "delete", "create", "reveal", "account", "groups", "catalog", "models", "usage"]

if sys.platform == "linux":

    def _held(pid: int) -> tuple[int, int, int, int]:
        """Memory in MiB, files other than sockets, sockets, and threads."""
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        links = []
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                links.append(str(entry.readlink()))
            except FileNotFoundError:
                continue
        sockets = sum(link.startswith("socket:") for link in links)
        memory = int(status.split("VmRSS:")[1].split()[0]) // 1024
        return memory, len(links) - sockets, sockets, int(status.split("Threads:")[1].split()[0])

    def _call(chance: random.Random, sandbox: Sandbox, number: int) -> tuple[str, dict[str, Any]]:
        """Some call, mostly one that works."""
        keys = [key.id for key in list(sandbox.keys)]
        some = chance.choice(keys) if keys else 1
        calls: list[tuple[str, dict[str, Any]]] = [
            ("list_api_keys", {}),
            ("list_api_keys", {"keyword": "soak"}),
            ("get_api_key", {"id": some}),
            ("get_api_key", {"id": 10**9}),
            ("create_api_key", {"name": f"soak {number}", "remain_quota": 5}),
            ("update_api_key", {"id": some, "name": f"soaked {number}"}),
            ("delete_api_key", {"id": some}),
            ("save_api_key", {"id": some}),
            ("verify_api_key", {"id": some}),
            ("rotate_api_key", {"id": some, "old_key": "delete"}),
            ("list_models", {"search": "gpt"}),
            ("get_account", {}),
            ("plan_api_key", {"name": "p", "lifetime": "30d", "budget_usd": 1, "models": ["gpt-4o"]}),
            ("create_api_key", {"name": "x" * 51}),
        ]
        return chance.choices(calls, [20, 5, 20, 3, 15, 6, 8, 5, 5, 3, 4, 4, 4, 2])[0]

    def _run(server: Pipes, home: Home, chance: random.Random, count: int, *, faults: float) -> int:
        """So many calls, some at once, and wait for the last answer. Gives how many of them may make a key."""
        sent: list[str] = []
        making = 0
        for number in range(count):
            if chance.random() < faults:
                fault, value = chance.choice(FAULTS)
                home.sandbox.faults.add(chance.choice(CALLS), fault, value=value)
            tool, arguments = _call(chance, home.sandbox, number)
            sent.append(server.call(tool, arguments))
            making += tool in ("create_api_key", "rotate_api_key")
            if len(sent) > IN_FLIGHT:
                server.answer(sent[-IN_FLIGHT])
            if len(home.sandbox.keys) > 60:
                del home.sandbox.keys[:30]
        for name in sent:
            server.answer(name)
        home.sandbox.faults.clear()
        texts = [server.results[name]["result"]["content"][0]["text"] for name in sent]
        assert not [text for text in texts if "internal_error" in text[:20]]
        return making

    def _quiet(server: Pipes) -> None:
        """Wait until the last thread that waits for work has had its time; a call then ends it."""
        sleep(11)
        server.answer(server.call("save_api_key", {"id": 10**9}))

    def test_memory_files_and_threads_end_where_they_began(make_home: MakeHome) -> None:
        chance = random.Random(10)  # noqa: S311 - no secret
        home = make_home(COMETAPI_MCP_TIMEOUT="2", COMETAPI_MCP_CALLS="0")
        with piped(home) as server:
            making = _run(server, home, chance, 600, faults=0.15)
            _quiet(server)
            before = _held(server.process.pid)
            making += _run(server, home, chance, 3_000, faults=0.15)
            _quiet(server)
            blocking_until(lambda: _held(server.process.pid)[2] <= MAX_CONNECTIONS + 1)
            memory, files, sockets, threads = _held(server.process.pid)
            assert files <= before[1] + 2, (before, files)
            assert sockets <= MAX_CONNECTIONS + 1
            assert threads <= before[3] + 2, (before, threads)
            assert memory - before[0] < 12, (before, memory)
            server.close()
            assert server.ended() == 0
        assert server.wrong == []
        assert set(server.answers.values()) == {1}
        assert home.sandbox.add_key("last").id - 1 <= making, "a call made two keys"
