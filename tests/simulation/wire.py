"""The network between a server and the gateways: what takes how long, what is lost, and what answers instead."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextvars import Context
from functools import partial
from random import Random
from typing import Any

import httpx

from tests.simulation.gateway import WRITES, Gateway, Request, unread
from tests.simulation.loop import require_going_on
from tests.simulation.records import CALL

FAULTS_OF_WRITES: dict[str, int] = {
    "unsent": 10,
    "lost before": 10,
    "lost after": 18,
    "hang": 5,
    "hang after": 9,
    "delayed": 8,
    "failed before": 6,
    "failed after": 10,
    "refused before": 6,
    "refused after": 8,
    "limited before": 4,
    "limited after": 3,
    "junk before": 4,
    "junk after": 8,
    "proxy": 3,
    "unlisted": 10,
    "named": 5,
}
"""What can happen to a request that writes, and how often of all that can."""

FAULTS_OF_READS: dict[str, int] = {
    "unsent": 10,
    "lost after": 14,
    "hang": 6,
    "failed before": 8,
    "limited before": 2,
    "junk after": 6,
    "proxy": 3,
    "swapped": 6,
}

_HTML = b"<html><body>Sign in to the network</body></html>"
_ANOTHERS_DATE = "Mon, 01 Jan 2035 00:00:00 GMT"
"""By the clock of whatever answers in the API's place."""
_EMPTY = Context()


class Wire(httpx.AsyncBaseTransport):
    """The network between one server and the gateways: latency, and faults as often as the gateway says."""

    def __init__(self, gateways: dict[str, Gateway], machine: str) -> None:
        self.gateways, self.machine = gateways, machine
        self.told_time_at = math.inf
        """When an answer with the API's time came first."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        require_going_on()
        path = request.url.path
        prefix = next((prefix for prefix in sorted(self.gateways, reverse=True) if path.startswith(prefix)), "")
        gateway = self.gateways[prefix]
        asked = self._asked(gateway, request, path.removeprefix(prefix).replace("/./", "/").replace("//", "/"))
        if asked.call is not None and asked.kind == "create":
            gateway.sent.append((asked.call, json.loads(asked.body)))
        answer: asyncio.Future[httpx.Response | httpx.HTTPError] = gateway.loop.create_future()
        fault = self._fault(gateway, asked)
        there, back = gateway.random.expovariate(30), gateway.random.expovariate(30)

        def arrive(result: httpx.Response | httpx.HTTPError) -> None:
            if not answer.done():
                answer.set_result(result)

        if fault == "unsent":
            _later(gateway, there, arrive, httpx.ConnectError("refused"))
        elif fault.endswith(" before") or fault == "proxy":
            _later(gateway, there + back, arrive, _failed(gateway.random, fault))
        elif fault != "hang":
            self._leaves(gateway, asked, fault, there, partial(_later, gateway, back, arrive))
        result = await answer
        if isinstance(result, httpx.HTTPError):
            raise result
        if result.headers.get("date", _ANOTHERS_DATE) != _ANOTHERS_DATE:
            self.told_time_at = min(self.told_time_at, gateway.loop.now)
        return result

    def _fault(self, gateway: Gateway, asked: Request) -> str:
        """What happens to a request; "" where all goes well."""
        loop, random = gateway.loop, gateway.random
        fault = _drawn(random, asked.kind) if random.random() < gateway.fault_rate else ""
        if gateway.is_overloaded and asked.kind == "update":
            fault = "delayed" if random.random() < 0.4 else ""
        if loop.now < gateway.down_until:
            fault = "unsent"
        if fault:
            gateway.log(loop.now, gateway.name, "%s of %s meets %r", asked.kind, asked.call, fault)
        if fault and asked.kind == "create" and gateway.on_trouble is not None and random.random() < 0.6:
            wanted = {name: value for name, value in json.loads(asked.body).items() if value not in (None, "", False)}
            _later(gateway, random.random() * 4, gateway.on_trouble, wanted)
        return fault

    def _leaves(
        self, gateway: Gateway, asked: Request, fault: str, there: float, answered: Callable[[Any], None]
    ) -> None:
        """The request is on its way to the API, which carries it out."""
        if asked.call is not None and asked.kind in WRITES:
            asked.call.writes += 1
        asked.listed_in = gateway.random.choice((0.5, 2.0, 10.0, 40.0, 90.0)) if fault == "unlisted" else 0.0
        delay = gateway.random.choice((10.0, 20.0, 75.0)) if fault == "delayed" else 0.0
        before = gateway.generation

        def carry_out() -> None:
            if gateway.generation != before:  # what was on its way to the old database is lost with it
                answered(httpx.ReadError("connection reset"))
                return
            response: httpx.Response | httpx.HTTPError = gateway.do(asked)
            if fault == "named" and asked.kind == "create":
                response = _named(gateway, gateway.random, asked) or response
            if fault == "swapped":
                response = _swapped(gateway, response)
            if fault.endswith(" after") and fault != "hang after":
                response = _failed(gateway.random, fault)
            if fault not in ("hang after", "delayed"):
                answered(response)

        _later(gateway, there + delay, carry_out)

    def _asked(self, gateway: Gateway, request: httpx.Request, path: str) -> Request:
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        kind = _kind(request.method, path)
        gateway.requests.append((gateway.loop.now, self.machine, kind))
        call = CALL.get()
        if kind == "reveal" and call is not None:
            gateway.reveals.append((gateway.loop.now, call))
        for number, (name, value) in enumerate(headers):
            if name != b"authorization":
                continue
            if value.startswith(b"Bearer sk-"):
                if call is not None:
                    gateway.asked_with.append((call, value.decode().removeprefix("Bearer sk-"), gateway.generation))
            else:  # the sandbox has one token for good; which is the account's today is known here
                known = gateway.sandbox.access_token if value.decode() == gateway.token else "another"
                headers[number] = (name, known.encode())
        query = request.url.query
        return Request(request.method, path, query, headers, request.content, call, gateway.loop.now, kind)


def _later(gateway: Gateway, seconds: float, work: Callable[..., None], *args: Any) -> None:
    """Do something after a while, whoever may have died meanwhile."""
    gateway.loop.call_later(seconds, work, *args, context=_EMPTY.copy())


def _kind(method: str, path: str) -> str:
    if path == "/api/token/":
        return {"POST": "create", "PUT": "update"}.get(method, "list")
    if method == "DELETE":
        return "delete"
    return "reveal" if method == "POST" else "read"


def _drawn(random: Random, kind: str) -> str:
    table = FAULTS_OF_WRITES if kind in WRITES else FAULTS_OF_READS
    fault = random.choices(list(table), list(table.values()))[0]
    if fault == "swapped":
        return fault if kind == "reveal" else ""
    return "" if kind != "create" and fault in ("unlisted", "named") else fault


def _failed(random: Random, fault: str) -> httpx.Response | httpx.HTTPError:
    what = fault.partition(" ")[0]
    if what == "lost":
        return httpx.ReadError("connection reset")
    if what == "failed":
        return _anothers(random.choice((500, 502, 503, 504)), _HTML)
    if what == "limited":
        return unread(429, b"")
    if what == "proxy":
        return _anothers(random.choice((401, 403, 404)), _HTML)
    if what == "junk":
        return _anothers(200, random.choice((b"", _HTML, b'{"success": tr', b'{"other": 1}')))
    if random.random() < 0.5:
        return unread(200, b'{"success": false, "message": "something went wrong"}')
    return unread(random.choice((400, 409, 499)), b'{"success": false, "message": "no"}')


def _anothers(status: int, body: bytes) -> httpx.Response:
    return unread(status, body, [(b"date", _ANOTHERS_DATE.encode())])


def _swapped(gateway: Gateway, response: Any) -> httpx.Response:
    """The answer of an API that mixes up the values of keys."""
    body = b"".join(response.stream)
    values = [row.key for row in gateway.sandbox.keys]
    for value, other in zip(values, [*values[1:], "A" * 48], strict=True):
        if value.encode() in body:
            body = body.replace(value.encode(), other.encode())
            break
    return unread(response.status_code, body)


def _named(gateway: Gateway, random: Random, asked: Request) -> httpx.Response | None:
    """The answer of a release that names an id in a create's answer: the new key's, or another one's."""
    ids = [row.id for row in gateway.sandbox.keys]
    mine = [write.key_id for write in gateway.writes[-1:] if write.call is asked.call and write.kind == "create"]
    if not mine:
        return None
    answer = {"success": True, "message": "", "data": {"id": random.choice([*mine, random.choice(ids)])}}
    return unread(200, json.dumps(answer).encode())
