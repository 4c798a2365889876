"""What a faulty answer looks like on the wire."""

import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comet_mcp.sandbox.answers import PAGE, too_many
from comet_mcp.sandbox.connection import reset
from comet_mcp.sandbox.faults import Fault

LONGEST_HANG = 60.0
"""Seconds after which a request that hangs is dropped."""
DRIP_INTERVAL = 0.05
"""Seconds between two bytes of a dripping body."""

_MIB = 1024 * 1024
_HTML = "text/html; charset=utf-8"
_JSON = "application/json; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """An answer that the application gave, or one made up in its place."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def of(cls, content: str | bytes, content_type: str | None = None, status: int = 200) -> "Answer":
        """An answer made up here."""
        headers = [] if content_type is None else [(b"content-type", content_type.encode())]
        body = content.encode() if isinstance(content, str) else content
        if status >= HTTPStatus.OK and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            return cls(status, [*headers, (b"content-length", f"{len(body)}".encode())], body)
        return cls(status)

    def without_length(self) -> list[tuple[bytes, bytes]]:
        """The headers for a body whose length is not told."""
        return [(name, value) for name, value in self.headers if name != b"content-length"]

    async def send(self, send: Send) -> None:
        """Send it as it is."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


async def answered(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """What the application answers, sent to nobody yet."""
    answer = Answer()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, keep)
    return answer


async def before(fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
    """Do what the fault does before the request is processed; True when that was the whole answer."""
    match fault.fault:
        case "latency":
            await anyio.sleep(fault.number)
            return False
        case "hang":
            await _hang(scope, receive)
        case "reset_before":
            await reset(scope, receive)
        case "status":
            message = {"success": False, "message": f"Sandbox fault: HTTP status {fault.number:.0f}"}
            await Answer.of(json.dumps(message), _JSON, int(fault.number)).send(send)
        case "rate_limit":
            accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
            await too_many(accepted, fault.value)(scope, receive, send)
        case "html":
            await Answer.of(PAGE, _HTML).send(send)
        case "refused":
            message = {"success": False, "message": fault.value or "Sandbox fault: refused"}
            await Answer.of(json.dumps(message, ensure_ascii=False), _JSON).send(send)
        case "redirect":
            await _redirect(fault.value, scope).send(send)
        case _:
            return False
    return True


async def after(fault: Fault, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Give the answer of a request that has been processed, spoilt as the fault says."""
    match fault.fault:
        case "hang_after":
            await _hang(scope, receive)
        case "reset_after":
            await reset(scope, receive)
        case "status_after":
            await _proxy_page(int(fault.number)).send(send)
        case "html_after":
            await Answer.of(PAGE, _HTML).send(send)
        case "garbage":
            await Answer.of('{"success":tru', _JSON).send(send)
        case "truncated":
            await _truncate(answer, scope, receive, send)
        case "empty_after":
            await Answer.of("", _JSON).send(send)
        case "wrong_json":
            await Answer.of("[1,2]", _JSON).send(send)
        case "drip":
            await _stream(answer.status, answer.headers, _drops(answer.body), send)
        case "huge":
            await _stream(answer.status, answer.without_length(), _padded(answer.body, int(fault.number)), send)
        case "gzip_bomb":
            headers = [*answer.without_length(), (b"content-encoding", b"gzip")]
            await _stream(answer.status, headers, _once(gzip_bomb(answer.body, int(fault.number))), send)
        case _:
            await answer.send(send)


async def _hang(scope: Scope, receive: Receive) -> None:
    with anyio.move_on_after(LONGEST_HANG):
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await reset(scope, receive)


def _redirect(target: str | None, scope: Scope) -> Answer:
    get = scope["method"] == "GET"
    path: bytes = scope["raw_path"].split(b"?")[0] + b"/"
    location = target.encode() if target else path
    return Answer(301 if get else 307, [(b"location", location), (b"content-length", b"0")])


def _proxy_page(status: int) -> Answer:
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = f"{status}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer.of(page, "text/html", status)


async def _truncate(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await reset(scope, receive, politely=True)


async def _stream(status: int, headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes], send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _drops(body: bytes) -> AsyncIterator[bytes]:
    for byte in body:
        yield bytes([byte])
        await anyio.sleep(DRIP_INTERVAL)


async def _padded(body: bytes, mebibytes: int) -> AsyncIterator[bytes]:
    # Spaces after a JSON value belong to it.
    yield body
    for _ in range(mebibytes):
        yield b" " * _MIB
        # Nobody else would be served in the meantime.
        await anyio.lowlevel.checkpoint()


@lru_cache(maxsize=4)
def gzip_bomb(body: bytes, mebibytes: int) -> bytes:
    """`body` and that many MiB of spaces, as gzip of about a thousandth of the size."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = deflate.compress(body) + deflate.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so the packed MiB can be repeated instead of packed again.
    block = deflate.compress(b" " * _MIB) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(body)
    for _ in range(mebibytes):
        checksum = zlib.crc32(b" " * _MIB, checksum)
    size = (len(body) + mebibytes * _MIB) % 2**32
    tail = deflate.flush(zlib.Z_FINISH) + checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + head + block * mebibytes + tail
