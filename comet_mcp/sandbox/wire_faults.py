"""What a faulty answer looks like on the wire."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comet_mcp.sandbox.answers import PAGE, too_many
from comet_mcp.sandbox.bodies import at_once, gzip_bomb, in_drops, padded
from comet_mcp.sandbox.connection import reset
from comet_mcp.sandbox.faults import Fault

LONGEST_HANG = 60.0
"""Seconds after which a request that hangs is dropped."""
DRIP_INTERVAL = 0.05
"""Seconds between two bytes of a dripping body."""

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

    @classmethod
    def json(cls, content: Any, status: int = 200) -> "Answer":
        """A JSON answer made up here."""
        return cls.of(json.dumps(content, ensure_ascii=False), _JSON, status)

    def without_length(self) -> list[tuple[bytes, bytes]]:
        """The headers for a body whose length is not told."""
        return [(name, value) for name, value in self.headers if name != b"content-length"]

    async def send(self, send: Send) -> None:
        """Send it as it is."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that has a fault: the order, the ASGI connection, and the application's answer, if it gave one."""

    fault: Fault
    scope: Scope
    receive: Receive
    send: Send
    answer: Answer = field(default_factory=Answer)


Act = Callable[[Exchange], Awaitable[None]]


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


async def before(it: Exchange) -> bool:
    """Do what the fault does before the request is processed; True when that was the whole answer."""
    if it.fault.fault == "latency":
        await anyio.sleep(it.fault.number)
    act = _BEFORE.get(it.fault.fault)
    if act is not None:
        await act(it)
    return act is not None


async def after(it: Exchange) -> None:
    """Give the answer of a request that has been processed, spoilt as the fault says."""
    act = _AFTER.get(it.fault.fault)
    await (it.answer.send(it.send) if act is None else act(it))


def _made_up(make: Callable[[Exchange], Answer]) -> Act:
    async def act(it: Exchange) -> None:
        await make(it).send(it.send)

    return act


async def _hang(it: Exchange) -> None:
    with anyio.move_on_after(LONGEST_HANG):
        while (await it.receive())["type"] != "http.disconnect":
            pass
        return
    await _reset(it)


async def _reset(it: Exchange) -> None:
    await reset(it.scope, it.receive)


async def _limit(it: Exchange) -> None:
    accepted = dict(it.scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
    await too_many(accepted, it.fault.value)(it.scope, it.receive, it.send)


async def _truncate(it: Exchange) -> None:
    half = it.answer.body[: len(it.answer.body) // 2]
    await it.send({"type": "http.response.start", "status": it.answer.status, "headers": it.answer.headers})
    await it.send({"type": "http.response.body", "body": half, "more_body": True})
    await reset(it.scope, it.receive, politely=True)


async def _drip(it: Exchange) -> None:
    await _stream(it, it.answer.headers, in_drops(it.answer.body, DRIP_INTERVAL))


async def _pad(it: Exchange) -> None:
    await _stream(it, it.answer.without_length(), padded(it.answer.body, int(it.fault.number)))


async def _blow_up(it: Exchange) -> None:
    headers = [*it.answer.without_length(), (b"content-encoding", b"gzip")]
    await _stream(it, headers, at_once(gzip_bomb(it.answer.body, int(it.fault.number))))


async def _stream(it: Exchange, headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> None:
    await it.send({"type": "http.response.start", "status": it.answer.status, "headers": headers})
    async for chunk in chunks:
        await it.send({"type": "http.response.body", "body": chunk, "more_body": True})
    await it.send({"type": "http.response.body", "body": b""})


def _json_status(it: Exchange) -> Answer:
    message = f"Sandbox fault: HTTP status {it.fault.number:.0f}"
    return Answer.json({"success": False, "message": message}, int(it.fault.number))


def _refusal(it: Exchange) -> Answer:
    return Answer.json({"success": False, "message": it.fault.value or "Sandbox fault: refused"})


def _echo(it: Exchange) -> dict[str, Any]:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in it.scope["headers"]}
    return {"headers": headers, "body": it.scope["sandbox.body"].decode("utf-8", "replace")}


def _redirect(it: Exchange) -> Answer:
    get = it.scope["method"] == "GET"
    path: bytes = it.scope["raw_path"].split(b"?")[0] + b"/"
    location = it.fault.value.encode() if it.fault.value else path
    return Answer(301 if get else 307, [(b"location", location), (b"content-length", b"0")])


def _proxy_page(it: Exchange) -> Answer:
    status = int(it.fault.number)
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = f"{status}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer.of(page, "text/html", status)


_PAGE = _made_up(lambda _: Answer.of(PAGE, _HTML))

_BEFORE: Mapping[str, Act] = {
    "hang": _hang,
    "reset_before": _reset,
    "status": _made_up(_json_status),
    "rate_limit": _limit,
    "page": _made_up(_proxy_page),
    "html": _PAGE,
    "refused": _made_up(_refusal),
    "echo": _made_up(lambda it: Answer.json({"success": False, "message": json.dumps(_echo(it))}, 400)),
    "redirect": _made_up(_redirect),
}
_AFTER: Mapping[str, Act] = {
    "hang_after": _hang,
    "reset_after": _reset,
    "deferred_reset": _reset,
    "status_after": _made_up(_proxy_page),
    "json_status_after": _made_up(_json_status),
    "rate_limit_after": _limit,
    "refused_after": _made_up(_refusal),
    "echo_after": _made_up(lambda it: Answer.json({"success": True, "message": "", "data": _echo(it)})),
    "html_after": _PAGE,
    "garbage": _made_up(lambda _: Answer.of('{"success":tru', _JSON)),
    "truncated": _truncate,
    "empty_after": _made_up(lambda _: Answer.of("", _JSON)),
    "wrong_json": _made_up(lambda _: Answer.of("[1,2]", _JSON)),
    "drip": _drip,
    "huge": _pad,
    "gzip_bomb": _blow_up,
}
