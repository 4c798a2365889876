"""Speed and memory beside a bare server of the same SDK, in one run, as ratios: `python -m benchmarks.run`.

Rounds of both servers alternate, so that a machine that slows down slows both; every figure is a median. The sandbox
is a process of its own. Linux only: peak memory is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "ours": [sys.executable, "-P", "-m", "comet_mcp"],
    "bare": [sys.executable, str(ROOT / "benchmarks" / "bare.py")],
}
KEYS = 20
PIPELINED = 5000


class Process:
    """A server over pipes, spoken to in JSON lines."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self._next = 0

    def send(self, method: str, params: dict[str, Any] | None = None, *, notification: bool = False) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if not notification:
            self._next += 1
            message["id"] = self._next
        self.stdin.write(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        self.stdin.flush()
        answer: dict[str, Any] = json.loads(self.stdout.readline())
        return answer

    def handshake(self) -> None:
        info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.send("initialize", info)
        self.receive()
        self.send("notifications/initialized", notification=True)

    def call(self, tool: str = "list_api_keys", arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        self.send("tools/call", {"name": tool, "arguments": arguments or {}})
        return self.receive()

    def close(self) -> float:
        """Close its input; seconds until it is gone."""
        begun = time.perf_counter()
        self.stdin.close()
        self.process.wait(20)
        self.stdout.close()
        return time.perf_counter() - begun


@contextmanager
def started(name: str, environment: dict[str, str]) -> Iterator[Process]:
    server = Process(COMMANDS[name], environment)
    try:
        server.handshake()
        yield server
    finally:
        if server.process.poll() is None:
            server.close()


def start(name: str, environment: dict[str, str]) -> dict[str, float]:
    """Spawn to the answers of tools/list and of a call right after it; the end of input to the end of the process."""
    return _start(name, {**environment, "COMETAPI_MCP_REPLAY": "0"}, "")


def replayed_start(name: str, environment: dict[str, str]) -> dict[str, float]:
    """The same with the recording that an earlier start has left."""
    return _start(name, environment, ", recorded")


def _start(name: str, environment: dict[str, str], how: str) -> dict[str, float]:
    begun = time.perf_counter()
    server = Process(COMMANDS[name], environment)
    server.handshake()
    server.send("tools/list")
    server.receive()
    listed = time.perf_counter() - begun
    server.call()
    called = time.perf_counter() - begun
    times = {f"spawn to tools/list{how}": listed, f"spawn to the first call{how}": called}
    return {**times, f"EOF to exit{how}": server.close()}


def warm(name: str, environment: dict[str, str]) -> dict[str, float]:
    """The median of single calls, and the time of many with eight in flight."""
    with started(name, environment) as server:
        for _ in range(20):
            server.call()
        times = []
        for _ in range(150):
            begun = time.perf_counter()
            server.call()
            times.append(time.perf_counter() - begun)
        calls, ahead = 400, 8
        begun = time.perf_counter()
        for number in range(calls + ahead):
            if number < calls:
                server.send("tools/call", {"name": "list_api_keys", "arguments": {}})
            if number >= ahead:
                assert "result" in server.receive()
        return {
            "warm list, p50": statistics.median(times),
            "8 in flight, per call": (time.perf_counter() - begun) / calls,
        }


def memory(name: str, environment: dict[str, str]) -> dict[str, float]:
    """Peak memory in MiB while thousands of calls wait in the pipe, each of which is answered."""
    with started(name, environment) as server:

        def send_all() -> None:
            for _ in range(PIPELINED):
                server.send("tools/call", {"name": "list_api_keys", "arguments": {}})
            server.stdin.flush()

        import threading  # noqa: PLC0415

        sender = threading.Thread(target=send_all)
        sender.start()
        for _ in range(PIPELINED):
            assert "result" in json.loads(server.stdout.readline())
        sender.join()
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
        (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return {f"peak memory, {PIPELINED} pipelined": int(peak) / 1024}


def raw_httpx(environment: dict[str, str]) -> float:
    """The median of the same request by httpx alone."""

    async def ask() -> float:
        headers = {"Authorization": environment["COMETAPI_ACCESS_TOKEN"]}
        async with httpx.AsyncClient(base_url=environment["COMETAPI_BASE_URL"], headers=headers) as client:
            times = []
            for number in range(170):
                begun = time.perf_counter()
                (await client.get("/api/token/?p=1&page_size=20")).json()
                if number >= 20:
                    times.append(time.perf_counter() - begun)
            return statistics.median(times)

    return asyncio.run(ask())


def sizes(environment: dict[str, str]) -> dict[str, float]:
    """Bytes: a list of 20 keys, text and structured, beside the API's own body; the tool list by tool."""
    request = urllib.request.Request(environment["COMETAPI_BASE_URL"] + "/api/token/?p=1&page_size=20")
    request.add_header("Authorization", environment["COMETAPI_ACCESS_TOKEN"])
    with urllib.request.urlopen(request) as answer:
        own = len(answer.read())
    with started("ours", environment) as server:
        listed = len(json.dumps(server.call()["result"], separators=(",", ":"), ensure_ascii=False).encode())
        server.send("tools/list")
        tools = server.receive()["result"]["tools"]
    return {
        "list of 20 keys / the API's body": listed / own,
        "tools/list, bytes a tool": len(json.dumps(tools, separators=(",", ":")).encode()) / len(tools),
    }


def creates(environment: dict[str, str], slow: dict[str, str]) -> dict[str, float]:
    """100 creates at 20 ms latency, at once beside one after the other."""
    body = {"name": "bench", "remain_quota": 5000}
    with started("ours", slow) as server:
        server.call("create_api_key", body)
        begun = time.perf_counter()
        for _ in range(20):
            assert not server.call("create_api_key", body)["result"].get("isError")
        one = (time.perf_counter() - begun) * 5
        begun = time.perf_counter()
        for _ in range(100):
            server.send("tools/call", {"name": "create_api_key", "arguments": body})
        for _ in range(100):
            assert not server.receive()["result"].get("isError")
        together = time.perf_counter() - begun
    return {"100 creates at once / one after the other": together / one, "seconds for a create at 20 ms": one / 100}


@contextmanager
def sandbox(*options: str) -> Iterator[dict[str, str]]:
    """A sandbox in a process of its own; gives the settings that point at it."""
    process = subprocess.Popen([*COMMANDS["ours"], "sandbox", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(5)]
        exports = [line.removeprefix("export ").strip().partition("=") for line in lines if line.startswith("export")]
        yield {name: value.strip("'") for name, _, value in exports}
    finally:
        process.terminate()
        process.wait(10)


def seed(environment: dict[str, str]) -> None:
    for number in range(KEYS):
        body = {"name": f"blog summariser {number}", "remain_quota": 2_500_000, "expired_time": 1_820_000_040}
        url = environment["COMETAPI_BASE_URL"] + "/api/token/"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        request.add_header("Authorization", environment["COMETAPI_ACCESS_TOKEN"])
        with urllib.request.urlopen(request):
            pass


def compared(
    measure: Callable[[str, dict[str, str]], dict[str, float]], rounds: int, environment: dict[str, str]
) -> Any:
    """The medians of both servers, measured in turn."""
    figures: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for name in ("ours", "bare"):
            for what, value in measure(name, environment).items():
                figures.setdefault(what, {}).setdefault(name, []).append(value)
    for what, by_name in figures.items():
        ours, bare = statistics.median(by_name["ours"]), statistics.median(by_name["bare"])
        yield what, ours, bare


TARGETS = {
    "spawn to tools/list": 0.72,
    "spawn to the first call": 0.82,
    "EOF to exit": 0.06,
    "spawn to tools/list, recorded": 0.10,
    "spawn to the first call, recorded": 0.80,
    "EOF to exit, recorded": 0.06,
    "warm list, p50": 0.58,
    "8 in flight, per call": 1 / 2.2,
    f"peak memory, {PIPELINED} pipelined": 0.42,
    "list of 20 keys / the API's body": 1.05,
    "tools/list, bytes a tool": 1000,
    "100 creates at once / one after the other": 0.2,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of starting; the longer ones have a third (9)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, sandbox() as settings:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "COMETAPI_MCP_CALLS": "0",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        seed(environment)
        start("ours", environment)
        with started("ours", environment) as server:  # leaves the recording
            server.send("tools/list")
            server.receive()
        print("| what | ours | bare SDK server | ratio | target |\n|---|---|---|---|---|")
        for measure, count in ((start, rounds), (replayed_start, rounds), (warm, max(rounds // 3, 1)), (memory, 1)):
            for what, ours, bare in compared(measure, count, environment):
                unit, scale = ("MiB", 1) if "memory" in what else ("ms", 1000)
                row = f"| {what} | {ours * scale:.2f} {unit} | {bare * scale:.2f} {unit} | {ours / bare:.2f} "
                print(f"{row}| {TARGETS[what]:.2f} |", flush=True)
        print(f"| (raw httpx, p50) | {raw_httpx(environment) * 1000:.2f} ms | | | |")
        for what, value in sizes(environment).items():
            print(f"| {what} | {value:.2f} | | | {TARGETS[what]:g} |")
        with sandbox("--fault", "*:latency=0.02*100000") as slow:
            for what, value in creates(environment, {**environment, **slow}).items():
                print(f"| {what} | {value:.3f} | | | {TARGETS.get(what, '')} |", flush=True)


if __name__ == "__main__":
    main()
