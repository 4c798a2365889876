from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from comet_mcp.api.connections import Connections

pytestmark = pytest.mark.anyio

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with what is in `answer`, and counts the connections."""

    def __init__(self) -> None:
        self.answer = WHOLE
        self.closes = False
        self.connections = 0
        self.url = ""
        self.closed = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            while True:
                try:
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    break
                await stream.send(self.answer)
                if self.closes:
                    break
        self.closed.set()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra_attributes[SocketAttribute.local_port]()
        server.url = f"http://127.0.0.1:{port}"
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(keep_alive: float = 20) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    async with serving() as server:
        connections = Connections(None, keep_alive)
        async with httpx.AsyncClient(transport=connections, base_url=server.url, timeout=5) as client:
            yield server, client


async def test_requests_one_after_the_other_share_a_connection() -> None:
    async with connected() as (server, client):
        for _ in range(3):
            assert (await client.get("/")).text == "ok"
        assert server.connections == 1


async def test_requests_at_once_have_a_connection_each_and_leave_them_to_the_next() -> None:
    async with connected() as (server, client):

        async def ask() -> None:
            assert (await client.get("/")).text == "ok"

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(ask)
        assert server.connections == 3


async def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    async with connected() as (server, client):
        server.closes = True
        await client.get("/")
        await server.closed.wait()
        assert (await client.get("/")).text == "ok"
        assert server.connections == 2


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    async with connected(keep_alive=-1) as (server, client):
        for _ in range(2):
            await client.get("/")
        assert server.connections == 2


async def test_an_answer_that_was_not_read_whole_takes_its_connection_with_it() -> None:
    async with connected() as (server, client):
        server.answer = WHOLE.replace(b"2\r\n", b"9\r\n")
        async with client.stream("GET", "/") as response:
            async for _ in response.aiter_raw():
                break
        await server.closed.wait()
        server.answer = WHOLE
        assert (await client.get("/")).text == "ok"
        assert server.connections == 2


async def test_a_request_that_is_given_up_takes_its_connection_with_it() -> None:
    async with connected() as (server, client):
        server.answer = b"HTTP/1.1 200 OK\r\n"
        with anyio.move_on_after(0.1):
            await client.get("/")
        await server.closed.wait()
        server.answer = WHOLE
        assert (await client.get("/")).text == "ok"
        assert server.connections == 2


@pytest.mark.parametrize("answer", [b"H", WHOLE[:-1]])
async def test_an_answer_that_does_not_come_whole_is_said_as_httpx_says_it(answer: bytes) -> None:
    async with connected() as (server, client):
        server.answer = answer
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(20, read=0.2))


async def test_an_answer_that_is_no_http_is_said_as_httpx_says_it() -> None:
    async with connected() as (server, client):
        server.answer = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


async def test_a_host_that_refuses_is_said_as_httpx_says_it() -> None:
    async with httpx.AsyncClient(transport=Connections(None, 20)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:9/")
