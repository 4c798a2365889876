"""What one message or one answer of the API costs a real server: `python -m benchmarks.bounds` prints the table.

Memory is what the process held at most, above what it held at rest (VmHWM and VmRSS of /proc, so Linux only); work is
the processor's time that it took, which other programs do not lengthen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MIB = 2**20
MOST_MIB = 64
"""MiB above the idle server that one message or one answer may cost."""
MOST_SECONDS = 3.0
"""Seconds of the processor that it may cost: several times what each takes on a slow machine, a tenth of the faults."""

_PATIENCE = 150.0
RECORD: dict[str, Any] = {
    "id": 1,
    "user_id": 1,
    "key": "abcdEFGHijklMNOPqrstUVWXyz0123456789abcdEFGHijkl",
    "status": 1,
    "name": "a name",
    "created_time": 1_764_000_000,
    "accessed_time": 1_764_000_000,
    "expired_time": -1,
    "remain_quota": 500_000,
    "unlimited_quota": False,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "198.51.100.10",
    "used_quota": 5,
    "group": "default",
    "cross_group_retry": False,
}
Body = bytes | Callable[[int], bytes]
"""What a path answers; a function gets the number of the page."""


def success(data: Any) -> bytes:
    """An answer of the API."""
    return json.dumps({"success": True, "message": "", "data": data}, separators=(",", ":")).encode()


def page(items: list[dict[str, Any]], total: int) -> bytes:
    """A page of keys."""
    return success({"page": 1, "page_size": 100, "total": total, "items": items})


USUAL: dict[str, Body] = {
    "/api/token/": page([RECORD], 1),
    "/api/token/1": success(RECORD),
    "/v1/models": b'{"object":"list","data":[{"id":"gpt-4o"}]}',
    "/api/usage/token/": b'{"code":true,"data":{"total_available":5,"total_used":1,"unlimited_quota":false}}',
    "/api/models": success([{"id": "gpt-4o", "provider": "openai", "model_type": "text"}]),
    "/api/user/self": success({"id": 1, "username": "me", "quota": 500_000}),
    "/api/user/self/groups": success({"default": {"desc": "d", "ratio": 1}}),
    "/api/status": success({"quota_per_unit": 500_000}),
}


@dataclass(frozen=True)
class Case:
    """A message, and what the API answers where that is not the usual.

    Args:
        name: What is too much, in words.
        message: The tool and its arguments, or the whole line.
        bodies: The answers of the API by path.
        environment: Settings beside the usual ones.
    """

    name: str
    message: tuple[str, dict[str, Any]] | Callable[[], bytes]
    bodies: Callable[[], dict[str, Body]] = dict
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def line(self) -> bytes:
        """The message as it is sent, with the id "heavy"."""
        if callable(self.message):
            return self.message()
        tool, arguments = self.message
        return request("tools/call", {"name": tool, "arguments": arguments}, "heavy")


def request(method: str, params: dict[str, Any], name: str) -> bytes:
    """A line with a request."""
    message = {"jsonrpc": "2.0", "id": name, "method": method, "params": params}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Cost:
    """What a case cost: MiB above rest, seconds of the processor; the answer, "" for none, and that to the ping."""

    mib: float
    seconds: float
    answer: str
    ping: str


@contextmanager
def api(bodies: dict[str, Body]) -> Iterator[str]:
    """An API on a loopback port that answers so; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            body = bodies.get(path, b'{"success":false,"message":"no"}')
            if callable(body):
                number = next((part[2:] for part in query.split("&") if part.startswith("p=")), "1")
                body = body(int(number))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = _API(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _API(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: an answer that is too long is not read to its end."""


class Server:
    """A server over pipes, whose answers are read by a thread of their own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comet_mcp"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: dict[Any, str] = {}
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self._answers[json.loads(line).get("id")] = line.decode()
                self._came.notify_all()

    def write(self, line: bytes) -> None:
        """Put a line on its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def answer(self, name: Any) -> str:
        """The answer to a request, or to one whose id could not be read; "" where none comes."""
        with self._came:
            self._came.wait_for(
                lambda: {name, None} & self._answers.keys() or self.process.poll() is not None, _PATIENCE
            )
            return self._answers.get(name) or self._answers.pop(None, "")

    def call(self, tool: str, arguments: dict[str, Any], name: str) -> str:
        """Call a tool and wait for its answer."""
        self.write(request("tools/call", {"name": tool, "arguments": arguments}, name))
        return self.answer(name)

    def initialize(self) -> None:
        """The handshake."""
        client = {"name": "test", "version": "1"}
        offer = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        self.write(request("initialize", offer, "hello"))
        assert self.answer("hello")
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def memory(self, name: str) -> float:
        """VmRSS or VmHWM in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name))

    def seconds(self) -> float:
        """Seconds of the processor so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def cost(case: Case, directory: Path) -> Cost:
    """Send the message, and a ping right after it; both answers are waited for."""
    bodies = dict(USUAL)
    with api(bodies) as url:
        server = Server(
            {
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "COMETAPI_ACCESS_TOKEN": "made-up-access-token-3",
                "COMETAPI_BASE_URL": url,
                "COMETAPI_MCP_CALLS": "0",
                **case.environment,
            }
        )
        try:
            server.initialize()
            server.call("list_api_keys", {}, "first")
            server.call("plan_api_key", {"name": "n", "lifetime": "30d", "budget_usd": 5}, "second")
            bodies.update(case.bodies())
            line = case.line()
            rest, begun = server.memory("VmRSS"), server.seconds()
            Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")
            server.write(line)
            server.write(request("ping", {}, "ping"))
            answer, ping = server.answer("heavy"), server.answer("ping")
            return Cost(server.memory("VmHWM") - rest, server.seconds() - begun, answer, ping)
        finally:
            server.stop()
