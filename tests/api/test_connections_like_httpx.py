"""Our connections beside httpx's own pool: whatever a server does, the same comes of it, and no connection is left."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream
from pydantic import SecretStr

from comet_mcp.api.connections import Connections
from comet_mcp.api.transport import Transport
from comet_mcp.clock import SYSTEM
from comet_mcp.errors import UnclearError
from comet_mcp.settings import Settings

pytestmark = pytest.mark.anyio

CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "valid.pem"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SPOILT_RECORD = b"\x17\x03\x03\x00\x20" + b"x" * 32

Behaviour = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection as the server has it: what is said within TLS, and the wire below it."""

    def __init__(self, stream: ByteStream, wire: SocketStream) -> None:
        self.stream, self.wire = stream, wire

    async def heard(self) -> bytes:
        """The head of a request, with what came of its body."""
        text = b""
        while b"\r\n\r\n" not in text:
            text += await self.stream.receive()
        return text

    async def say(self, text: bytes) -> None:
        await self.stream.send(text)


class Server:
    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None) -> None:
        self.behaviour, self.context = behaviour, context
        self.connections = self.open = 0
        self.url = ""

    async def serve(self, wire: SocketStream) -> None:
        self.connections += 1
        self.open += 1
        try:
            async with wire:
                stream: ByteStream = wire
                if self.context is not None:
                    stream = await TLSStream.wrap(
                        wire, server_side=True, ssl_context=self.context, standard_compatible=False
                    )
                await self.behaviour(Peer(stream, wire))
        except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
            pass  # the client has left
        finally:
            self.open -= 1


@asynccontextmanager
async def serving(behaviour: Behaviour, *, tls: bool) -> AsyncIterator[Server]:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    server = Server(behaviour, context)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's extra, not Django's
        server.url = f"http{'s' * tls}://127.0.0.1:{port}"
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTIFICATE)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def outcome(transport: httpx.AsyncBaseTransport, url: str, body: bytes, deadline: float) -> tuple[object, ...]:
    """Status and body, or the kind of the error."""
    method = "POST" if body else "GET"
    try:
        with anyio.fail_after(deadline):
            request = httpx.Request(method, url, content=body, extensions={"timeout": {"connect": 3.0}})
            response = await transport.handle_async_request(request)
            try:
                text = b"".join([part async for part in response.aiter_raw()])
            finally:
                await response.aclose()
    except (httpx.HTTPError, ssl.SSLError, TimeoutError) as error:
        return (type(error),)
    return response.status_code, text


async def always(peer: Peer) -> None:
    while True:
        await peer.heard()
        await peer.say(OK)


def once(answer: bytes) -> Behaviour:
    """Answer one request, and close."""

    async def behave(peer: Peer) -> None:
        await peer.heard()
        await peer.say(answer)

    return behave


async def in_chunks(peer: Peer) -> None:
    while True:
        await peer.heard()
        for part in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"):
            await peer.say(part)
            await anyio.lowlevel.checkpoint()


async def closed_as_it_is_asked_again(peer: Peer) -> None:
    await peer.heard()
    await peer.say(OK)
    await peer.heard()


async def never(peer: Peer) -> None:
    while True:
        await peer.stream.receive()


async def before_the_body_was_sent(peer: Peer) -> None:
    await peer.heard()
    await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    await never(peer)


async def half(peer: Peer) -> None:
    await peer.heard()
    await peer.say(OK[:-1])
    await never(peer)


async def body_not_taken(_: Peer) -> None:
    await anyio.sleep_forever()


async def spoilt_record(peer: Peer) -> None:
    await peer.heard()
    await peer.say(OK[:-1])
    await peer.wire.send(SPOILT_RECORD)
    await never(peer)


LARGE = b"x" * 6_000_000
CASES: dict[str, tuple[Behaviour, bytes, int]] = {
    # what the server does, the body that is sent, and the connections that three requests take, or the one that is cut
    "kept alive": (always, b"", 1),
    "kept alive with bodies": (always, b"a body", 1),
    "in chunks": (in_chunks, b"", 1),
    "closed": (once(OK), b"", 3),
    "closed when it is asked again": (closed_as_it_is_asked_again, b"", 2),
    "says that it closes": (once(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)), b"", 3),
    "HTTP/1.0": (once(OK.replace(b"1.1", b"1.0")), b"", 3),
    "no length": (once(b"HTTP/1.1 200 OK\r\n\r\nok"), b"", 3),
    "100 and 103 first": (once(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + OK), b"", 3),
    "too short": (once(OK[:-1]), b"", 3),
    "too long": (once(OK + b"more"), b"", 3),
    "a head that ends": (once(b"HTTP/1.1 200"), b"", 3),
    "no HTTP": (once(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), b"", 3),
    "a length that is none": (once(OK.replace(b"2\r", b"two\r")), b"", 3),
    "nothing": (once(b""), b"", 3),
    "an answer before the body": (before_the_body_was_sent, LARGE, 3),
    "no answer": (never, b"", 1),
    "half an answer": (half, b"", 1),
    "a body that is not taken": (body_not_taken, LARGE, 1),
}
CUT = {"no answer", "half an answer", "a body that is not taken"}
"""What never ends, and is given up."""


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("name", CASES)
async def test_the_same_comes_of_it_as_with_httpx(name: str, tls: bool) -> None:
    behaviour, body, connections = CASES[name]
    deadline, requests = (0.5, 1) if name in CUT else (20, 3)
    seen = []
    for of_httpx in (True, False):
        trust = trusting()
        async with serving(behaviour, tls=tls) as server:
            transport = httpx.AsyncHTTPTransport(verify=trust) if of_httpx else Connections(trust, 20)
            found = [await outcome(transport, server.url, body, deadline) for _ in range(requests)]
            await transport.aclose()
            if not of_httpx:
                assert server.connections == connections
                if name != "a body that is not taken":  # the server does not look
                    with anyio.fail_after(20):
                        while server.open:
                            await anyio.lowlevel.checkpoint()
        seen.append(found)
    assert seen[0] == seen[1]


async def test_a_certificate_that_is_not_trusted_is_said_as_httpx_says_it() -> None:
    async with serving(always, tls=True) as server:
        transport = Connections(ssl.create_default_context(), 20)
        assert await outcome(transport, server.url, b"", 20) == (httpx.ConnectError,)


async def test_many_at_once_take_a_connection_each_and_leave_none(anyio_backend_name: str) -> None:
    assert anyio_backend_name == "asyncio"
    async with serving(always, tls=True) as server:
        transport = Connections(trusting(), 20)
        found: list[tuple[object, ...]] = []

        async def ask() -> None:
            found.append(await outcome(transport, server.url, b"a body", 20))

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(16):
                    tasks.start_soon(ask)
        assert found == [(200, b"ok")] * 32
        assert server.connections == 16
        await transport.aclose()
        with anyio.fail_after(20):
            while server.open:
                await anyio.lowlevel.checkpoint()


async def test_those_that_the_server_closed_are_closed_as_others_are_used() -> None:
    closing = anyio.Event()
    kept = 0

    async def until_told(peer: Peer) -> None:
        nonlocal kept
        kept += 1
        if kept == 4:
            await always(peer)
        await peer.heard()
        await peer.say(OK)
        await closing.wait()

    async with serving(until_told, tls=False) as server:
        transport = Connections(None, 20)

        async def ask() -> None:
            assert await outcome(transport, server.url, b"", 20) == (200, b"ok")

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
        closing.set()
        with anyio.fail_after(20):
            while server.open > 1:
                await anyio.lowlevel.checkpoint()
        for _ in range(4):
            await ask()
        assert len(transport._idle) == 1
        await transport.aclose()


async def test_tls_that_breaks_in_the_middle_of_an_answer_leaves_a_write_unclear() -> None:
    async with serving(spoilt_record, tls=True) as server:
        settings = Settings(
            access_token=SecretStr("made-up"), base_url=server.url, ca_bundle=CERTIFICATE, state=Path("unused")
        )
        transport = Transport(settings, SYSTEM)
        with pytest.raises(UnclearError, match="broke the connection"):
            await transport.send("POST", "/", {}, {}, SYSTEM.monotonic() + 20)
        await transport.aclose()
