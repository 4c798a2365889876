"""The access token and the keys' values, looked for in everything a server writes, down to its debug log."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from comet_mcp.sandbox import Fault, Sandbox
from tests.e2e.steps import Process, served, started, stored, values
from tests.support import Home, error_of

MakeHome = Callable[..., Home]

TOKEN = "canary+access/token=0123456789abcdef=="
FAULTS = [
    "create:reset_after",
    "create:garbage",
    "create:truncated",
    "create:create_with_id",
    "create:duplicate",
    "create:status=401",
    "list:html",
    "get:truncated*9",
    "get:wrong_json*9",
    "list:reset_after*9",
    "reveal:garbage*9",
    "reveal:truncated*9",
    "reveal:status=500*9",
]


@dataclass
class Written:
    """All that a server wrote: what came over stdout, stderr, files, and what the system shows of it."""

    stdout: list[bytes] = field(default_factory=list)
    stderr: bytes = b""
    journal: bytes = b""
    command_line: bytes = b""

    @property
    def everything(self) -> bytes:
        return b"\n".join([*self.stdout, self.stderr, self.journal, self.command_line])


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """The secret as it may be written, each form with its name."""
    raw = secret.encode()
    yield "raw", raw
    yield "URL-encoded", quote(secret, safe="").encode()
    yield "URL-encoded in a path", quote(secret).encode()
    yield "JSON", json.dumps(secret).encode()[1:-1]
    yield "backwards", raw[::-1]
    yield "hex", raw.hex().encode()
    yield "half of it", raw[: len(raw) // 2]
    yield "the other half", raw[len(raw) // 2 :]
    for start in range(3):  # base64 has three forms, by what stands before it; the ends depend on their neighbours
        packed = base64.b64encode(b"\0" * start + raw)[4 if start else 0 : -4]
        yield f"base64 {start}", packed
        yield f"URL-safe base64 {start}", packed.replace(b"+", b"-").replace(b"/", b"_")


def leaks(secrets: list[str], where: bytes) -> list[str]:
    """The forms of the secrets that are in there, hexadecimal digits in any case."""
    lower = where.lower()
    return [
        f"{name} of secret {number}"
        for number, secret in enumerate(secrets)
        for name, form in forms(secret)
        if form in where or (name == "hex" and form.lower() in lower)
    ]


@pytest.fixture
def make_canary(make_home: MakeHome) -> Callable[..., Home]:
    """Makes homes whose server logs all it can."""

    def make(dialect: str = "gateway", store: str = "file", **extra: str) -> Home:
        sandbox = Sandbox(dialect, access_token=TOKEN)
        return make_home(
            sandbox, COMETAPI_MCP_LOG="DEBUG", COMETAPI_MCP_TIMEOUT="2", COMETAPI_MCP_SECRETS=store, **extra
        )

    return make


def _run(home: Home, play: Callable[[Process], list[bytes]]) -> Written:
    """Play with a server, and gather what it wrote. `play` returns what counts of stdout."""
    log = home.directory / "stderr"
    written = Written()
    with log.open("wb") as stderr, started(home.environment, stderr=stderr) as server:
        server.initialize()
        server.ask("tools/list")
        written.stdout = play(server)
        if sys.platform == "linux":
            written.command_line = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        written.journal = _files(home.state.parent)  # while it is open: the write-ahead log is there
        before = len(server.written)
        server.close()
        written.stdout.append(server.written[before:])
    written.stderr = log.read_bytes()
    written.journal += _files(home.state.parent)
    return written


def _files(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def _all_tools(server: Process) -> dict[str, list[dict[str, Any]]]:
    """Every tool, with arguments that work and some that don't."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_api_key", {"name": "first"}),
        ("create_api_key", {"name": "second", "remain_quota": 1}),
        ("list_api_keys", {}),
        ("list_api_keys", {"keyword": "i"}),
        ("get_api_key", {"id": 1}),
        ("save_api_key", {"id": 1}),
        ("get_api_key", {"id": 404}),
        ("save_api_key", {"id": 404}),
        ("get_api_key", {"id": "one"}),
        ("create_api_key", {"budget": 5}),
    ]
    results: dict[str, list[dict[str, Any]]] = {}
    for tool, arguments in calls:
        results.setdefault(tool, []).append(server.call(tool, arguments))
    return results


@pytest.mark.parametrize(
    ("dialect", "store"),
    [
        ("documented", "file"),
        ("gateway", "file"),
        ("gateway", "none"),
        ("documented", "result"),
        ("gateway", "result"),
    ],
)
def test_no_secret_is_in_anything_a_server_writes_but_the_key_files(
    make_canary: Callable[..., Home], dialect: str, store: str
) -> None:
    home = make_canary(dialect, store)
    shown: list[dict[str, Any]] = []
    hidden: list[bytes] = []

    def play(server: Process) -> list[bytes]:
        for tool, results in _all_tools(server).items():
            for result in results:
                if store == "result" and tool in ("create_api_key", "save_api_key") and not result.get("isError"):
                    shown.append(result["structuredContent"])
                else:
                    hidden.append(json.dumps(result, ensure_ascii=False).encode())
        return hidden

    written = _run(home, play)
    keys = [row.key for row in home.sandbox.keys]
    assert len(keys) == 2
    assert leaks([TOKEN, *keys], written.everything) == []
    assert b"create_api_key" in written.stderr, "the debug log is on"
    assert [key["secret"]["value"] for key in shown] == ([f"sk-{keys[n]}" for n in (0, 1, 0)] if shown else [])
    assert stored(home) == (values(home) if store == "file" else [])
    others = [path for path in home.directory.rglob("*") if path.is_file() and path not in home.key_files]
    assert leaks([TOKEN, *keys], b"\n".join(path.read_bytes() for path in others)) == []


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_no_secret_is_in_what_a_server_writes_when_the_api_fails(
    make_canary: Callable[..., Home], dialect: str
) -> None:
    home = make_canary(dialect)
    home.sandbox.add_key("here before")

    def play(server: Process) -> list[bytes]:
        results = []
        for fault in FAULTS:
            home.sandbox.faults.clear()
            home.sandbox.faults.order(Fault.parse(fault))
            results.append(server.call("create_api_key", {"name": f"with {fault}"}))
            results += [server.call(tool, {"id": 1}) for tool in ("get_api_key", "save_api_key")]
            results.append(server.call("list_api_keys", {}))
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    secrets = [TOKEN, *(row.key for row in home.sandbox.keys)]
    assert len(secrets) > len(FAULTS) / 2
    assert leaks(secrets, written.everything) == []


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_an_api_that_repeats_the_token_or_a_key_in_its_message_is_quoted_without_it(
    make_canary: Callable[..., Home], dialect: str
) -> None:
    home = make_canary(dialect)
    key = home.sandbox.add_key("here before").key
    for call in ("create", "list", "get"):
        home.sandbox.faults.add(call, "refused", value=f"bad access token {TOKEN}")
        home.sandbox.faults.add(call, "refused", value=f"no luck with {TOKEN} and sk-{key}")

    def play(server: Process) -> list[bytes]:
        results = []
        for _ in range(4):
            results.append(server.call("list_api_keys", {}))
            results.append(server.call("get_api_key", {"id": 1}))
            results.append(server.call("create_api_key", {"name": "x"}))
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert b"refused" in written.everything
    assert leaks([TOKEN, key], written.everything) == []


WRONG_TOKENS = {
    "Bearer": "Bearer {}",
    "bearer without a space after it": "bearer\t{}",
    "double quotes": '"{}"',
    "single quotes": "'{}'",
    "typographic quotes": "“{}”",
    "a line break after it": "{}\n",
    "a line break inside": "{}\n{}",
    "a space inside": "{} {}",
    "spaces around": "  {}  ",
    "a letter no token has": "{}é",
    "an invisible mark": "\u200b{}",
}


@pytest.mark.parametrize("wrong", ["Bearer", "double quotes", "a line break inside"])
def test_a_token_pasted_wrong_is_explained_and_not_repeated(make_canary: Callable[..., Home], wrong: str) -> None:
    home = make_canary(COMETAPI_ACCESS_TOKEN=WRONG_TOKENS[wrong].format(TOKEN, TOKEN))

    def play(server: Process) -> list[bytes]:
        results = _all_tools(server)
        for tool, arguments in (("create_api_key", {"name": "x"}), ("get_api_key", {"id": 1}), ("list_api_keys", {})):
            result = server.call(tool, arguments)
            assert result["isError"]
            assert result["content"][0]["text"].startswith("[not_configured] COMETAPI_ACCESS_TOKEN")
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert b"COMETAPI_ACCESS_TOKEN" in written.stderr
    assert leaks([TOKEN], written.everything) == []
    assert home.sandbox.requests == []


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
async def test_whatever_is_wrong_with_a_token_it_is_not_in_the_answer(
    make_canary: Callable[..., Home], wrong: str
) -> None:
    home = make_canary(COMETAPI_ACCESS_TOKEN=WRONG_TOKENS[wrong].format(TOKEN, TOKEN))
    async with served(home) as client:
        told = error_of(await client.call_tool("list_api_keys"))
    assert told.startswith("[not_configured] COMETAPI_ACCESS_TOKEN")
    assert leaks([TOKEN], f"{told} {home.settings!r}".encode()) == []


@pytest.mark.parametrize("url", ["https://user:{}@example.com", "https://example.com/?token={}", "ht!tp://{}"])
async def test_a_token_in_the_wrong_setting_is_not_in_the_answer(make_canary: Callable[..., Home], url: str) -> None:
    home = make_canary(COMETAPI_BASE_URL=url.format(TOKEN))
    async with served(home) as client:
        told = error_of(await client.call_tool("list_api_keys"))
    assert "COMETAPI_BASE_URL" in told
    assert leaks([TOKEN], f"{told} {home.settings!r}".encode()) == []


def test_the_search_for_leaks_finds_them() -> None:
    secret = "Zm9v+canary/0123456789=="
    packed = base64.b64encode(b"user:" + secret.encode() + b":rest")
    for text in (secret.encode(), b"x" + secret.encode().hex().upper().encode(), quote(secret).encode(), packed):
        assert leaks([secret], b"before " + text + b" after"), text
    assert leaks([secret], b"nothing here") == []
