"""The real process over pipes: lines that no client should send, and every way in which it can end."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from comet_mcp.transports.lines import MAX_LINE
from comet_mcp.transports.stdio import MAX_UNANSWERED
from tests.e2e.steps import LONG, blocking_until, let_pass, operations, started, stored, values
from tests.support import Home

MakeHome = Callable[..., Home]

GONE_AFTER = 20.0
"""Seconds within which a server has to be gone that promises two, on a busy machine too; what hangs does so longer."""
DEAD = 31
"""Seconds after which a create in flight has no server any more."""
ROOT = Path(__file__).parents[2]


class Pipes:
    """A server process whose output is read all the time, so that nothing is ever held up by the test."""

    def __init__(self, environment: dict[str, str], code: str = "") -> None:
        arguments = ["-c", code] if code else ["-m", "comet_mcp"]
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.lines: list[bytes] = []
        self.answers: Counter[Any] = Counter()
        self.results: dict[Any, dict[str, Any]] = {}
        self.questions: list[dict[str, Any]] = []
        self.wrong: list[bytes] = []
        self._watchdog = threading.Timer(LONG * 6, self.process.kill)
        self._watchdog.start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._serial = 0

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
                assert "id" in message or "method" in message
            except (ValueError, TypeError, KeyError, AssertionError):
                self.wrong.append(line)
                continue
            if "id" in message and "method" in message:
                self.questions.append(message)
            elif "id" in message:
                self.answers[message["id"]] += 1
                self.results[message["id"]] = message

    def write(self, text: bytes) -> None:
        """Put bytes on its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def send(self, method: str, params: dict[str, Any] | None = None) -> str:
        """Send a request; gives its id."""
        self._serial += 1
        name = f"sent-{self._serial}"
        message = {"jsonrpc": "2.0", "id": name, "method": method, "params": params or {}}
        self.write(json.dumps(message).encode() + b"\n")
        return name

    def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Send a tool call; gives its id."""
        return self.send("tools/call", {"name": tool, "arguments": arguments})

    def answer(self, name: Any) -> dict[str, Any]:
        """The answer to a request."""
        blocking_until(lambda: name in self.results or self.process.poll() is not None)
        return self.results[name]

    def initialize(self, **capabilities: Any) -> None:
        """The handshake."""
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": client}
        sent = self.send("initialize", params)
        assert "result" in self.answer(sent)
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def close(self) -> None:
        """Close its stdin."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def ended(self, within: float = LONG) -> int:
        """The exit status, once it is gone and all it wrote is read."""
        status = self.process.wait(within)
        self._reader.join(within)
        return status

    def stop(self) -> None:
        """End it, whatever it does."""
        self._watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self._reader.join(LONG)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def piped(home: Home, code: str = "", **capabilities: Any) -> Iterator[Pipes]:
    """A server process, initialized by a client with these capabilities."""
    pipes = Pipes(home.environment, code)
    try:
        pipes.initialize(**capabilities)
        yield pipes
    finally:
        pipes.stop()


# Lines that no client should send.

METHODS = [
    "tools/list",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "initialize",
    "server/discover",
    "tools/call",
    "prompts/get",
    "resources/read",
    "completion/complete",
    "logging/setLevel",
    "no/such/method",
    "",
    "rpc.discover",
    "\x00",
    "x" * 3000,
]
PARAMS: list[Any] = [
    {},
    {"name": "no_such_tool", "arguments": {}},
    {"name": "get_api_key", "arguments": {"id": "seven"}},
    {"name": "get_api_key", "arguments": None},
    {"name": "create_api_key", "arguments": {"name": 5, "x": [[]]}},
    {"name": "plan_api_key", "arguments": {"name": "n" * 60, "lifetime": "soon"}},
    {"name": 5},
    {"name": "delete_api_key", "arguments": []},
    {"uri": "cometapi://keys/x"},
    {"cursor": "nonsense"},
    {"_meta": {"progressToken": {}}},
    {"_meta": 5},
    {"level": "loud"},
    {"ref": {"type": "ref/none"}, "argument": {"name": "a", "value": ""}},
]
JUNK: list[Any] = [None, True, 0, -1, 1.5, "", "text", [], {}, [1], {"a": 1}, "\x00", "é" * 50, 10**30]


class Lines:
    """Makes lines from a seed. `expected` counts the answers that each id must get."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.expected: Counter[Any] = Counter()
        self.number = 0

    def next(self) -> bytes:
        """One line, without its end."""
        kind = self.random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        return KINDS[kind][1](self)

    def request(self) -> tuple[dict[str, Any], Any]:
        """A request that is well formed as JSON-RPC, and its id."""
        self.number += 1
        name: Any = self.random.choice([self.number, f"f-{self.number}", f"é-{self.number}"])
        message = {
            "jsonrpc": "2.0",
            "id": name,
            "method": self.random.choice(METHODS),
            "params": self.random.choice(PARAMS),
        }
        return message, name

    def good(self) -> bytes:
        """A request of some kind."""
        message, name = self.request()
        self.expected[name] += 1
        return json.dumps(message, ensure_ascii=self.random.random() < 0.5).encode()

    def shapeless(self) -> bytes:
        """JSON with an id, which is no message."""
        message, name = self.request()
        for field in self.random.sample(["jsonrpc", "method", "params"], self.random.randint(1, 3)):
            if self.random.random() < 0.5:
                del message[field]
            else:
                message[field] = self.random.choice(JUNK)
        if message.get("jsonrpc") == "2.0" and "method" not in message:
            message["jsonrpc"] = "1.0"  # else it could be a response
        if isinstance(message.get("params"), list | str | int | float | bool) or message.get("params") is None:
            message.setdefault("jsonrpc", "3.0")
        self.expected[name] += 1
        return json.dumps(message).encode()

    def surrogate(self) -> bytes:
        """A request with a lone surrogate in it."""
        message, name = self.request()
        message["params"] = {"name": "list_api_keys", "arguments": {"keyword": "SURROGATE"}}
        message["method"] = "tools/call"
        self.expected[name] += 1
        place = self.random.choice([r"\ud800", r"\udfff", r"a\udc00b"])
        return json.dumps(message).replace("SURROGATE", place).encode()

    def bad_utf8(self) -> bytes:
        """A request with bytes that are no UTF-8."""
        message, name = self.request()
        message["params"] = {"name": "BYTES"}
        self.expected[name] += 1
        junk = self.random.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x80"])
        return json.dumps(message).encode().replace(b"BYTES", junk)

    def cut(self) -> bytes:
        """The first part of a message."""
        text = json.dumps(self.request()[0]).encode()
        return text[: self.random.randint(1, len(text) - 1)]

    def junk(self) -> bytes:
        """Any bytes."""
        return self.random.randbytes(self.random.randint(1, 200)).replace(b"\n", b"")

    def bare(self) -> bytes:
        """JSON that is no object, or an object without an id."""
        value = self.random.choice([*JUNK, {"jsonrpc": "2.0"}, {"id": None, "method": "ping"}, {"id": [1]}])
        return json.dumps(value).encode()

    def batch(self) -> bytes:
        """Several requests in a list, which this protocol has not."""
        return json.dumps([self.request()[0] for _ in range(self.random.randint(0, 3))]).encode()

    def notification(self) -> bytes:
        """Something that gets no answer."""
        method = self.random.choice(["notifications/cancelled", "notifications/progress", "notifications/x", "x"])
        params = self.random.choice([{}, {"requestId": "nobody's"}, {"progressToken": 1, "progress": "x"}, None])
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        return json.dumps(message if params is not None else {"jsonrpc": "2.0", "method": method}).encode()

    def response(self) -> bytes:
        """The answer to a request that the server never sent."""
        self.number += 1
        error = {"code": 1, "message": "no"}
        outcomes: list[dict[str, Any]] = [{"result": {}}, {"error": error}, {"result": {"x": 1}}]
        return json.dumps({"jsonrpc": "2.0", "id": f"r-{self.number}", **self.random.choice(outcomes)}).encode()

    def twice(self) -> bytes:
        """Two requests with one id, one after the other."""
        message, name = self.request()
        self.expected[name] += 1
        text = json.dumps({**message, "method": "ping", "params": {}}).encode()
        return text + b"\n" + text

    def deep(self) -> bytes:
        """Deep nesting."""
        depth = self.random.choice([50, 500, 20_000])
        return self.random.choice([b"[" * depth, b"[" * depth + b"]" * depth, b'{"id":' * depth])

    def blank(self) -> bytes:
        """Nothing."""
        return self.random.choice([b"", b" ", b"\r", b"\t \r"])

    def long(self) -> bytes:
        """A message of some length, within the cap."""
        message, name = self.request()
        message["params"] = {"name": "x" * self.random.choice([70_000, 300_000])}
        self.expected[name] += 1
        return json.dumps(message).encode()

    def too_long(self) -> bytes:
        """A message beyond the cap, whose id is at the start."""
        self.number += 1
        self.expected[f"long-{self.number}"] += 1
        start = b'{"jsonrpc":"2.0","id":"long-%d","method":"tools/call","params":{"name":"' % self.number
        return start + b"x" * (MAX_LINE + self.random.randint(1, 100_000)) + b'"}}'


KINDS: dict[str, tuple[float, Callable[[Lines], bytes]]] = {
    "good": (30, Lines.good),
    "shapeless": (10, Lines.shapeless),
    "surrogate": (4, Lines.surrogate),
    "bad UTF-8": (4, Lines.bad_utf8),
    "cut": (10, Lines.cut),
    "junk": (10, Lines.junk),
    "bare": (6, Lines.bare),
    "batch": (4, Lines.batch),
    "notification": (6, Lines.notification),
    "response": (4, Lines.response),
    "twice": (4, Lines.twice),
    "deep": (1, Lines.deep),
    "blank": (4, Lines.blank),
    "long": (0.3, Lines.long),
    "too long": (0.05, Lines.too_long),
}


# Only our own transport does all this; the tests of the other one are at the end.

if sys.platform != "win32":

    def test_whatever_lines_come_every_request_is_answered_and_the_next_call_works(make_home: MakeHome) -> None:
        lines = Lines(seed=20261124)
        home = make_home()
        home.sandbox.add_key("here")
        with piped(home) as server:
            for _ in range(500):
                text = b"\n".join(lines.next() for _ in range(100)) + b"\n"
                middle = lines.random.randrange(len(text))  # the pipe cuts where it likes
                server.write(text[:middle])
                server.write(text[middle:])
            last = server.call("list_api_keys", {})
            listed = server.answer(last)
            blocking_until(lambda: not lines.expected - server.answers)
            server.close()
            assert server.ended() == 0
        assert [item["name"] for item in listed["result"]["structuredContent"]["items"]] == ["here"]
        assert server.wrong == []
        assert not lines.expected - server.answers
        unasked = set(server.answers) - set(lines.expected) - {None} - {f"sent-{number}" for number in range(10)}
        assert all(isinstance(name, str | int) for name in unasked)
        assert home.sandbox.count("create") == 0

    @pytest.mark.parametrize("before", [b"", b"half a line", b'{"jsonrpc":"2.0","id":1,"method":"ping"', b"\xff" * 5])
    def test_a_last_line_without_its_end_is_read_and_ends_nothing_badly(make_home: MakeHome, before: bytes) -> None:
        with piped(make_home()) as server:
            server.write(b'{"jsonrpc":"2.0","id":"last","method":"ping"}\n' + before)
            server.close()
            assert server.ended(GONE_AFTER) == 0
        assert server.answers["last"] == 1
        assert server.wrong == []

    if sys.platform == "linux":

        def _memory(process: subprocess.Popen[bytes]) -> int:
            """The most that a process ever held, in MiB."""
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            return int(status.split("VmHWM:")[1].split()[0]) // 1024

        def test_an_endless_line_is_not_held_in_memory_and_is_answered(make_home: MakeHome) -> None:
            with piped(make_home()) as server:
                before = _memory(server.process)
                server.write(b'{"jsonrpc":"2.0","id":"endless","method":"ping","params":{"x":"')
                for _ in range(1024):
                    server.write(b"x" * 2**20)
                server.write(b'"}}\n')
                assert server.answer("endless")["error"]["code"] == -32600
                assert "result" in server.answer(server.send("ping"))
                assert _memory(server.process) - before < 24
            assert server.wrong == []

        def test_long_lines_one_after_the_other_are_not_gathered_in_memory(make_home: MakeHome) -> None:
            home = make_home()
            with piped(home) as server:
                before = _memory(server.process)
                line = (
                    b'{"jsonrpc":"2.0","id":"big-%d","method":"ping","params":{"x":"'
                    + b"x" * (MAX_LINE - 100)
                    + b'"}}\n'
                )
                for number in range(40):
                    server.write(line % number)
                blocking_until(lambda: server.answers["big-39"])
                assert _memory(server.process) - before < 100
            assert sum(server.answers[f"big-{number}"] for number in range(40)) == 40

    def test_five_thousand_calls_sent_at_once_are_all_answered(make_home: MakeHome) -> None:
        """More than may wait: meanwhile reading pauses, and goes on."""
        count = 5_000
        assert count > 4 * MAX_UNANSWERED
        home = make_home()
        with piped(home) as server:
            text = b"".join(
                json.dumps(
                    {
                        "jsonrpc": "2.0",
                        "id": number,
                        "method": "tools/call",
                        "params": {"name": "get_api_key", "arguments": {"id": "seven"}},
                    }
                ).encode()
                + b"\n"
                for number in range(count)
            )
            server.write(text)
            blocking_until(lambda: len(server.results) > count)
            assert all(server.answers[number] == 1 for number in range(count))
            server.close()
            assert server.ended(GONE_AFTER) == 0

    def test_while_too_many_calls_wait_no_more_are_read(make_home: MakeHome) -> None:
        home = make_home(COMETAPI_MCP_TIMEOUT="1", COMETAPI_MCP_CALLS="0")
        home.sandbox.faults.add("get", "hang", times=10_000)
        # so long that what the pipe and one read hold are a few
        call = (
            b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"get_api_key","arguments":{"id":1}%s}}\n'
        )
        count = 4 * MAX_UNANSWERED
        with piped(home) as server:
            server.write(b"".join(call % (number, b" " * 16_000) for number in range(count)))
            assert len(server.results) > count - 2 * MAX_UNANSWERED
            server.answer(server.send("ping"))
            blocking_until(lambda: all(server.answers[number] == 1 for number in range(count)))


# How it ends.

if sys.platform != "win32":
    ENDS = [None, signal.SIGTERM, signal.SIGINT]

    def _end(server: Pipes, how: signal.Signals | None) -> float:
        """End it so; gives the moment."""
        if how is None:
            server.close()
        else:
            server.process.send_signal(how)
        return monotonic()

    def _gone(server: Pipes, how: signal.Signals | None, since: float) -> None:
        status = server.ended(LONG)
        assert monotonic() - since < GONE_AFTER
        assert status == (0 if how is None else -how)
        assert server.wrong == []

    @pytest.fixture(params=ENDS, ids=["end of input", "SIGTERM", "SIGINT"])
    def how(request: pytest.FixtureRequest) -> signal.Signals | None:
        """How the client ends the server."""
        found: signal.Signals | None = request.param
        return found

    def test_an_idle_server_ends_at_once(make_home: MakeHome, how: signal.Signals | None) -> None:
        with piped(make_home()) as server:
            _gone(server, how, _end(server, how))

    def test_a_read_in_flight_does_not_hold_the_server(make_home: MakeHome, how: signal.Signals | None) -> None:
        home = make_home()
        home.sandbox.faults.add("list", "hang", times=100)
        with piped(home) as server:
            server.call("list_api_keys", {})
            blocking_until(lambda: home.sandbox.count("list"))
            _gone(server, how, _end(server, how))

    @pytest.mark.parametrize("dialect", ["documented", "gateway"])
    def test_a_create_in_flight_is_finished_stored_and_recorded(
        make_home: MakeHome, how: signal.Signals | None, dialect: str
    ) -> None:
        home = make_home(dialect=dialect)
        home.sandbox.faults.add("create", "latency", value="0.6")
        with piped(home) as server:
            sent = server.call("create_api_key", {"name": "in flight"})
            blocking_until(lambda: home.sandbox.count("create"))
            _gone(server, how, _end(server, how))
        (row,) = home.sandbox.keys
        assert stored(home) == values(home)
        ((phase, key_id),) = operations(home)
        assert (phase, key_id) in [("stored", row.id), ("undelivered", row.id)]
        assert server.results[sent]["result"]["structuredContent"]["id"] == row.id

    def test_a_create_that_hangs_does_not_hold_the_server_and_is_found_by_the_next_one(
        make_home: MakeHome, how: signal.Signals | None
    ) -> None:
        home = make_home()
        home.sandbox.faults.add("create", "hang_after", times=1)
        home.sandbox.faults.add("list", "hang", after=1, times=1000)
        with piped(home) as server:
            server.call("create_api_key", {"name": "hanging"})
            blocking_until(lambda: home.sandbox.keys)
            _gone(server, how, _end(server, how))
        home.sandbox.faults.clear()
        let_pass(home, DEAD)
        with piped(home) as server:
            again = server.answer(server.call("create_api_key", {"name": "hanging"}))
        assert again["result"]["structuredContent"]["id"] == home.sandbox.keys[0].id
        assert (home.sandbox.count("create"), stored(home)) == (1, values(home))

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_after_a_signal_no_call_starts(make_home: MakeHome, number: signal.Signals) -> None:
        home = make_home()
        home.sandbox.faults.add("create", "latency", value="0.8")
        with piped(home) as server:
            server.call("create_api_key", {"name": "first"})
            blocking_until(lambda: home.sandbox.count("create"))
            begun = _end(server, number)
            sleep(0.1)
            with contextlib.suppress(BrokenPipeError):
                server.call("create_api_key", {"name": "second"})
                server.call("get_account", {})
            _gone(server, number, begun)
        assert [row.name for row in home.sandbox.keys] == ["first"]
        assert home.sandbox.count("account") == 0

    def test_calls_sent_before_the_end_of_input_are_answered(make_home: MakeHome) -> None:
        home = make_home()
        home.sandbox.add_key("here")
        with piped(home) as server:
            sent = [server.call("get_api_key", {"id": 1}) for _ in range(20)]
            _gone(server, None, _end(server, None))
        assert all(server.results[name]["result"]["structuredContent"]["name"] == "here" for name in sent)

    @pytest.mark.parametrize("too", [False, True], ids=["only that", "and stdin"])
    def test_a_server_whose_client_reads_nothing_any_more_ends(make_home: MakeHome, *, too: bool) -> None:
        """A key it made now would be told to nobody."""
        with started(make_home().environment) as server:
            server.initialize()
            assert server.process.stdout is not None
            assert server.process.stdin is not None
            server.process.stdout.close()
            begun = monotonic()
            with contextlib.suppress(BrokenPipeError):
                server.send("tools/list")
            if too:
                with contextlib.suppress(BrokenPipeError):
                    server.process.stdin.close()
            try:
                assert server.process.wait(2 * GONE_AFTER) == 0
            except subprocess.TimeoutExpired:
                pytest.fail("it serves on")
            assert monotonic() - begun < GONE_AFTER


# Input that ends at once, files, other transports.

HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    b'"clientInfo":{"name":"t","version":"1"}}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
)
ASK = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_api_key","arguments":{"id":1}}}\n'


def _answers(output: bytes) -> dict[Any, dict[str, Any]]:
    """The answers in an output that has nothing else in it."""
    messages = [json.loads(line) for line in output.splitlines()]
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    return {message["id"]: message for message in messages}


def _run(home: Home, *, code: str = "", source: Any = None) -> bytes:
    arguments = ["-c", code] if code else ["-m", "comet_mcp"]
    given = {"stdin": source} if source is not None else {"input": HELLO + ASK}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=home.environment,
        cwd=ROOT,
        capture_output=True,
        timeout=LONG,
        check=False,
        **given,
    )
    assert done.returncode == 0, done.stderr
    output: bytes = done.stdout
    return output


def test_input_that_ends_at_once_is_answered(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("here")
    answers = _answers(_run(home))
    assert answers[2]["result"]["structuredContent"]["name"] == "here"


NO_PIPES = """
import sys
from comet_mcp.transports import stdio
stdio.pipes_serve = lambda: False
from comet_mcp.__main__ import main
sys.exit(main([]))
"""


def test_where_asyncio_has_no_pipes_the_other_transport_serves(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("here")
    with piped(home, NO_PIPES) as server:
        server.write(b"this is no JSON\n\n")
        answer = server.answer(server.call("get_api_key", {"id": 1}))
        assert answer["result"]["structuredContent"]["name"] == "here"
        server.close()
        assert server.ended() == 0
    assert server.wrong == []


TALKATIVE = """
import os, sys, subprocess
from comet_mcp.tools.get_api_key import TOOL
real = TOOL.fn
async def get_api_key(context, *, id, key_name):
    print("a library's print")
    sys.stdout.write("without an end")
    sys.stdout.flush()
    sys.__stdout__.write("by the original")
    sys.__stdout__.flush()
    os.write(1, b"to the descriptor\\n")
    subprocess.run(["echo", "a child"], check=True)
    assert sys.stdin.read() == ""
    return await real(context, id=id, key_name=key_name)
object.__setattr__(TOOL, "fn", get_api_key)
from comet_mcp.__main__ import main
sys.exit(main([]))
"""


if sys.platform != "win32":

    def test_what_a_library_prints_never_reaches_the_client(make_home: MakeHome) -> None:
        home = make_home()
        home.sandbox.add_key("here")
        with piped(home, TALKATIVE) as server:
            for _ in range(3):
                answer = server.answer(server.call("get_api_key", {"id": 1}))
                assert answer["result"]["structuredContent"]["name"] == "here"
            server.close()
            assert server.ended() == 0
        assert server.wrong == []
