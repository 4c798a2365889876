"""Answers that no API should give, to every tool that reads: a result or a sentence with a code, and nothing else."""

from __future__ import annotations

import gzip
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import jsonschema
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from comet_mcp import server
from comet_mcp.settings import load
from tests.e2e.steps import LONG
from tests.robustness.bounds import RECORD
from tests.support import text_of

TOKEN = "made-up-access-token-3"
KEY: str = RECORD["key"]

MODEL: dict[str, Any] = {
    "id": "gpt-4o",
    "provider": "openai",
    "model_type": "text",
    "features": ["x"],
    "pricing": {"currency": "USD", "input": 2.5, "output": 10, "per_request": None, "per_second": None},
}
LOGGED = {
    "created_at": int(time.time()) - 100,
    "type": 2,
    "token_id": 1,
    "token_name": "a name",
    "model_name": "gpt-4o",
    "quota": 5,
}
PAYLOADS: dict[str, Any] = {
    "/api/token/": {"success": True, "data": {"page": 1, "page_size": 20, "total": 1, "items": [RECORD]}},
    "/api/token/1": {"success": True, "message": "", "data": RECORD},
    "/v1/models": {"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]},
    "/api/usage/token/": {
        "code": True,
        "data": {"total_available": 5, "total_used": 1, "unlimited_quota": False, "expires_at": 0},
    },
    "/api/models": {"success": True, "data": [MODEL]},
    "/api/user/models": {"success": True, "data": ["gpt-4o"]},
    "/api/user/self": {
        "success": True,
        "data": {"username": "me", "group": "default", "quota": 500_000, "used_quota": 5, "request_count": 2},
    },
    "/api/user/self/groups": {"success": True, "data": {"default": {"desc": "d", "ratio": 1}}},
    "/api/log/self": {"success": True, "data": {"page": 1, "page_size": 100, "total": 600, "items": [LOGGED]}},
    "/api/log/self/stat": {"success": True, "data": {"quota": 5, "rpm": 0, "tpm": 0}},
    "/api/data/self": {"success": True, "data": [LOGGED | {"count": 1, "token_used": 3}]},
    "/api/data/flow/self": {"success": True, "data": [LOGGED | {"count": 1, "token_used": 3}]},
}


@dataclass(frozen=True)
class Reader:
    """A tool that reads, and which of its answers is hostile."""

    tool: str
    path: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.tool} {self.path}"


PLAN = {"name": "n", "lifetime": "30d", "budget_usd": 5, "models": ["gpt-4o"], "group": "default"}
READERS = [
    Reader("list_api_keys", "/api/token/", {}),
    Reader("list_api_keys", "/api/token/", {"keyword": "a"}),
    Reader("tidy_api_keys", "/api/token/", {}),
    Reader("get_api_key", "/api/token/1", {"id": 1}),
    Reader("verify_api_key", "/api/token/1", {"id": 1}),
    Reader("verify_api_key", "/v1/models", {"id": 1}),
    Reader("verify_api_key", "/api/user/self", {"id": 1}),
    Reader("verify_api_key", "/api/user/self/groups", {"id": 1}),
    Reader("list_models", "/api/models", {"search": "gpt"}),
    Reader("list_models", "/api/user/models", {"search": "gtp"}),
    Reader("get_account", "/api/user/self", {}),
    Reader("get_usage", "/api/log/self", {}),
    Reader("get_usage", "/api/log/self/stat", {}),
    Reader("get_usage", "/api/data/flow/self", {"by": "key,day"}),
    Reader("get_usage", "/api/data/self", {"by": "model,day"}),
    Reader("get_account", "/api/user/self/groups", {}),
    Reader("plan_api_key", "/api/models", PLAN),
    Reader("plan_api_key", "/api/user/self/groups", PLAN),
]


class Raw(str):
    """JSON text that no value stands for."""

    __slots__ = ()


HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    1.5,
    -0.0,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    10**400,
    Raw("1" + "0" * 5000),
    Raw("-" + "9" * 100_000),
    Raw("1e400"),
    Raw("-1e400"),
    Raw("1e-400"),
    Raw("1E9"),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-Infinity"),
    "",
    " ",
    "7",
    "true",
    "null",
    "NaN",
    "\x00",
    "nul\x00inside",
    "\x1b[31mred\x1b[0m\x07",
    "line\nline\r\n\u2028\u2029",
    "\u202egnp.exe\u2066",
    "\ufeffbom",
    "\U0001f469\u200d\U0001f4bb" * 20,
    Raw('"\\ud800"'),
    Raw('"\\udc00\\ud800"'),
    Raw('"\\ud83d\\ude00"'),
    Raw('"a\x01b"'),
    "a" * 1_000_000,
    "*" * 48,
    "gLEC**********DQNw",
    "<script>alert(1)</script>",
    "[internal_error] ]",
    "%s%n{0}${x}",
    [],
    [[]],
    [None],
    [1, "2", {}],
    {},
    {"id": {}},
    {"": ""},
    {"$ref": "#"},
    Raw("[" * 90 + "]" * 90),
    Raw("[" * 100_000),
    Raw("[" * 100_000 + "]" * 100_000),
    Raw('{"a":' * 50_000 + "1" + "}" * 50_000),
]
SMALL = [value for value in HOSTILE if len(str(value)) < 10_000]


def written(value: Any) -> str:
    """The JSON text of a value with `Raw` in it."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:d}"
    return json.dumps(value, ensure_ascii=False)


def spoilt(value: Any, hostile: list[Any]) -> list[Any]:
    """`value` with each part of it in turn left out, or replaced by each hostile value."""
    found = list(hostile)
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [{**value, key: other} for other in spoilt(inner, hostile)]
            found.append({name: kept for name, kept in value.items() if name != key})
        found.append({**value, "novelty": hostile[-1]})
    elif isinstance(value, list) and value:
        found += [[other, *value[1:]] for other in spoilt(value[0], hostile)]
        found += [value * 3, [value[0], [], None], value * 150]
    return found


def raw_bodies(good: str) -> list[bytes]:
    """Bodies that are wrong as bytes."""
    utf8 = good.encode()
    return [
        b"",
        b" ",
        b"\x00",
        b"\x00" * 5000,
        b"\xff\xfe",
        utf8[:-1],
        utf8[: len(utf8) // 2],
        utf8 + utf8,
        utf8 + b"x",
        utf8 + b"\x00",
        b"\xef\xbb\xbf" + utf8,
        good.encode("utf-16"),
        good.encode("utf-32-be"),
        utf8.replace(b"a", b"\xff"),
        utf8.replace(b"a", b"\xc3\x28"),
        utf8.replace(b"a", b"\xed\xa0\x80"),
        utf8.replace(b"a", b"\xf4\x90\x80\x80"),
        *(
            utf8.replace(text, rb'"\ud800 \udfff"')
            for text in (b'"a name"', b'"gpt-4o"', b'"me"', b'"d"', b'"default"')
        ),
        utf8.replace(b'"', b"'"),
        utf8.replace(b"{", b'{"id":"twice","success":"x",'),
        utf8.replace(b"}", b',"id":"twice","success":false}'),
        utf8.replace(b"}", b",}"),
        utf8.replace(b":", b"::"),
        b"// comment\n" + utf8,
        b")]}',\n" + utf8,
        b"<html>" + utf8,
        b"<?xml version='1.0'?><a>&b;</a>",
        b"HTTP/1.1 200 OK\r\n\r\n" + utf8,
        b"event: message\ndata: " + utf8 + b"\n\n",
        b"\n" * 10_000 + utf8,
        utf8 + b" " * 3_000_000,
        gzip.compress(utf8),
        zlib.compress(utf8),
        b"NaN",
        b"nul",
        b"True",
        b'"\\ud800"',
        b'{"success":true,"data":' * 3000,
        b'{"success":false,"message":"' + b"x" * 3_000_000 + b'"}',
        b'{"success":false,"message":"\\u0000\\u001b[2J\\ud800\\u202e"}',
        b'{"success":false,"message":{"success":true}}',
        b'{"success":"false","message":"no"}',
        b'{"success":1}',
        b'{"success":true}',
        b'{"success":true,"data":{"data":{"data":[]}}}',
        b'{"error":{"message":[1,2]}}',
        b'{"error":"x"}',
        b"[" * 5_000_000,
    ]


def bodies(path: str) -> list[bytes]:
    """All hostile bodies of one call."""
    good = PAYLOADS[path]
    texts = [written(value) for value in spoilt(good, SMALL)] + [
        written(value) for value in spoilt(good, HOSTILE[17:19])
    ]
    large = [value for value in HOSTILE if len(str(value)) >= 10_000]
    texts += [written(value) for inner in _places(good) for value in map(inner, large)]
    return [*raw_bodies(json.dumps(good)), *(text.encode("utf-8", "surrogatepass") for text in texts)]


def _places(value: Any) -> list[Callable[[Any], Any]]:
    """Where a large value goes: the whole, its data, and one text inside."""
    return [
        lambda large: large,
        lambda large: {**value, "data": large},
        lambda large: {**value, "message": large, "success": False},
        lambda large: {**value, "data": [large]},
    ]


class Network:
    """Gives `body` for `path`, and what is right for everything else."""

    def __init__(self) -> None:
        self.path = ""
        self.answer = httpx.Response(200)
        self.good = {path: json.dumps(value).encode() for path, value in PAYLOADS.items()}

    def respond(self, request: httpx.Request) -> httpx.Response:
        """The answer, as a stream."""
        path = request.url.path
        if path == self.path:
            answer = self.answer
            return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
        if path == "/api/models" and self.path == "/api/user/models":
            return httpx.Response(200, stream=httpx.ByteStream(b'{"success":true,"data":{"1":["gpt-4o"]}}'))
        return httpx.Response(200, stream=httpx.ByteStream(self.good.get(path, b"")))


@asynccontextmanager
async def reading(directory: Path) -> AsyncIterator[tuple[Client, Network]]:
    """A client of a server whose network is made up."""
    network = Network()
    settings = load(
        {
            "HOME": str(directory),
            "COMETAPI_ACCESS_TOKEN": TOKEN,
            "COMETAPI_BASE_URL": "https://api.example",
            "COMETAPI_MCP_STATE": str(directory / "journal.sqlite3"),
            "COMETAPI_MCP_KEY_DIR": str(directory / "keys"),
            "COMETAPI_MCP_CALLS": "0",
        }
    )
    transport = httpx.MockTransport(network.respond)
    async with Client(server.create_server(settings, transport=transport)) as client:
        yield client, network


SCHEMAS = {tool.description.name: tool.description.output_schema for tool in server.TOOLS}


def complaint(tool: str, result: CallToolResult) -> str:
    """What is wrong with a result; "" for nothing."""
    text = text_of(result)
    if "Traceback" in text or TOKEN in text or KEY in text:
        return f"has what it must not have: {text[:200]}"
    if result.is_error:
        fine = re.match(r"\[([a-z_]+)\] \S", text) and text.isprintable() and len(text) < 1500
        if not fine or "internal_error" in text[:20]:
            return f"is no sentence with a code: {text[:200]!r}"
        return ""
    schema = SCHEMAS[tool]
    assert schema is not None
    if not all(char >= " " for char in text):
        return "has control characters"
    try:
        text.encode()
        assert json.loads(text) == result.structured_content
        jsonschema.validate(result.structured_content, schema)
    except (ValueError, AssertionError, jsonschema.ValidationError) as error:
        return f"is no result ({type(error).__name__}): {text[:200]}"
    return ""


async def asked(client: Client, reader: Reader) -> str:
    """What is wrong with the answer of a tool; "" for nothing."""
    try:
        with anyio.fail_after(LONG):
            return complaint(reader.tool, await client.call_tool(reader.tool, reader.arguments))
    except (MCPError, RuntimeError) as error:
        return f"fails: {error!r}"[:300]


@pytest.mark.parametrize("reader", READERS, ids=str)
async def test_a_hostile_body_becomes_a_result_or_a_sentence_with_a_code(tmp_path: Path, reader: Reader) -> None:
    found: list[str] = []
    hostile = bodies(reader.path)
    async with reading(tmp_path) as (client, network):
        assert await asked(client, reader) == ""
        network.path = reader.path
        for body in hostile:
            network.answer = httpx.Response(200, content=body)
            if wrong := await asked(client, reader):
                found.append(f"{_short(body, network.good[reader.path])}: {wrong}")
        network.path = ""
        assert await asked(client, reader) == ""
    assert not found, f"{len(found)} of {len(hostile)}:\n" + "\n".join(found[:20])


def _short(body: bytes, good: bytes) -> str:
    """The body from where it differs."""
    start = next((place for place, (one, other) in enumerate(zip(body, good, strict=False)) if one != other), 0)
    return f"{len(body)} bytes ...{body[max(start - 25, 0) : start + 45]!r}"


HEADERS = [
    {name: value}
    for name, values in {
        "Date": ["", "x", "0", "Tue, 99 Foo 99999 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "9" * 5000, "\xff"],
        "Retry-After": [
            "",
            "-1",
            "1e9",
            "99999999999",
            "\xb2",
            "\xd9\xa3",
            "NaN",
            "Tue, 24 Nov 2026 00:00:00 GMT",
            "1" * 5000,
        ],
        "X-Oneapi-Request-Id": ["", "\x80\xff", "a\tb", "x" * 60_000, "] [internal_error"],
        "Content-Encoding": ["gzip", "br", "deflate", "gzip, gzip", "zstd", "\xff", "GZIP", "x" * 5000],
        "Content-Type": ["", "text/html; charset=utf-32", "application/json; charset=\xff", "x" * 5000],
        "Location": ["", "//", "http://[", "http://x:99999/", "\xff", "/" * 5000, "data:,x", "?", "//\xed\x9f\xbf:1:2"],
        "Set-Cookie": ["a=b", "\xff=\xff; expires=never", "a=b; domain=.example"],
    }.items()
    for value in values
]


@pytest.mark.parametrize("status", [200, 301, 307, 400, 401, 403, 404, 408, 429, 500, 503, 599])
async def test_a_hostile_header_becomes_a_result_or_a_sentence_with_a_code(tmp_path: Path, status: int) -> None:
    found: list[str] = []
    async with reading(tmp_path) as (client, network):
        for reader in (READERS[0], READERS[2], READERS[4]):
            network.path = reader.path
            for headers in HEADERS:
                for body in (network.good[reader.path], b""):
                    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
                    network.answer = httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))
                    network.answer._content = body  # httpx would decode it
                    if wrong := await asked(client, reader):
                        found.append(f"{reader} {str(headers)[:100]}: {wrong}")
    assert not found, f"{len(found)}:\n" + "\n".join(found[:20])


def test_there_are_more_hostile_bodies_than_were_asked_for() -> None:
    assert all(len(bodies(path)) >= 100 for path in PAYLOADS)
    assert sum(len(set(bodies(path))) for path in PAYLOADS) >= 300
