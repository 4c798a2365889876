"""A proxy between the server and the API: what fails at it is told as its fault, and its password nowhere."""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest
from mcp_types import CallToolResult

from tests.e2e.steps import served
from tests.support import Home, data_of, error_of

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


@pytest.mark.parametrize("url", ["https://api.example", "http://api.example"])
async def test_a_proxy_that_is_not_there_is_named_and_not_the_api(make_home: MakeHome, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    home = make_home(COMETAPI_MCP_ALLOW_HTTP="1")
    said = await asked(home, f"http://made-up-user:made-up-password@127.0.0.1:{port}", url)
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


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_proxy_is_not_used_for_this_machine_and_never_sees_the_token(make_home: MakeHome, name: str) -> None:
    home = make_home()
    home.url = home.url.replace("127.0.0.1", name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        home.extra["COMETAPI_MCP_PROXY"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with served(home) as client:
            data_of(await client.call_tool("list_api_keys"))
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_plain_http_to_another_machine_is_refused_with_a_proxy_too(make_home: MakeHome) -> None:
    said = await asked(make_home(), "http://127.0.0.1:9", "http://api.example")
    assert said.startswith("[not_configured] COMETAPI_BASE_URL is plain http to another machine")


async def test_what_a_proxy_says_of_its_password_is_not_repeated(make_home: MakeHome) -> None:
    """It repeats what it was sent: the password as it stands in the header."""
    sent = base64.b64encode(b"made-up-user:made-up-password").decode()
    said = f'{{"success": false, "message": "no {sent[:20]}"}}'.encode()
    home = make_home(COMETAPI_MCP_ALLOW_HTTP="1")
    async with proxy(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)) as address:
        told = await asked(home, address, "http://api.example")
    assert 'The API refused: "no ***"' in told
