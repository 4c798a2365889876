"""A proxy between the server and the API: what fails at it is told as its fault, and its password nowhere."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest
from mcp_types import CallToolResult

from tests.e2e.steps import served
from tests.support import Home, error_of

MakeHome = Callable[..., Home]


@asynccontextmanager
async def proxy(answer: bytes) -> AsyncIterator[str]:
    """The address, with a name and a password, of a proxy that says this to every request."""

    async def refuse(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += await stream.receive()
            await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio's extra, not Django's
        yield f"http://made-up-user:made-up-password@127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def asked(home: Home, address: str, url: str) -> str:
    """What a list says that goes through the proxy."""
    home.url = url
    home.extra["COMETAPI_MCP_PROXY"] = address
    async with served(home) as client:
        result: CallToolResult = await client.call_tool("list_api_keys")
    said = error_of(result)
    assert "made-up" not in said
    return said


@pytest.mark.parametrize("url", ["https://api.example", "http://127.0.0.1:9"])
async def test_a_proxy_that_is_not_there_is_named_and_not_the_api(make_home: MakeHome, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = await asked(make_home(), f"http://made-up-user:made-up-password@127.0.0.1:{port}", url)
    assert said.startswith(f"[unreachable] No connection to the proxy 127.0.0.1:{port} could be made (it refused)")
    assert "COMETAPI_MCP_PROXY" in said
    assert "COMETAPI_BASE_URL" not in said


@pytest.mark.parametrize("url", ["https://api.example", "http://api.example"])
async def test_a_proxy_that_wants_a_password_is_named(make_home: MakeHome, url: str) -> None:
    home = make_home(COMETAPI_MCP_ALLOW_HTTP="1")
    async with proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as address:
        said = await asked(home, address, url)
    assert said.startswith("[unreachable] The proxy 127.0.0.1:")
    assert "did not pass the request on to api.example (407: it wants a name and password" in said
    assert "nothing was sent to the API" in said


async def test_a_proxy_that_forbids_the_way_is_named(make_home: MakeHome) -> None:
    async with proxy(b"HTTP/1.1 403 made-up-secret\r\nContent-Length: 0\r\n\r\n") as address:
        said = await asked(make_home(), address, "https://api.example")
    assert "did not pass the request on to api.example (403: it may not or can't connect there)" in said


async def test_an_api_that_fails_behind_a_proxy_is_named_with_the_proxy(make_home: MakeHome) -> None:
    async with proxy(b"HTTP/1.1 200 Connection established\r\n\r\nnot TLS") as address:
        said = await asked(make_home(), address, "https://api.example")
    assert "No connection to api.example through the proxy 127.0.0.1:" in said
    assert "TLS failed" in said or "network error" in said
    async with proxy(b"not HTTP\r\n\r\n") as address:
        said = await asked(make_home(), address, "https://api.example")
    assert "api.example (asked through the proxy 127.0.0.1:" in said
