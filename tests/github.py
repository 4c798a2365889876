"""GitHub's API for the secrets of Actions, as far as it is used: it decrypts what it gets with its private keys."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from nacl.public import PrivateKey, SealedBox
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from comet_mcp.sandbox.server import serve

TOKEN = "ghp_" + "madeUpTokenOfAPerson0123456789abcdef"
REPOSITORY = "me/shop"
HANGS = "hangs"


@dataclass
class Fault:
    """What a method answers instead, or beside what it does: a status with headers and body, or no answer at all."""

    status: int | str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "made-up"}'
    after: bool = False
    """Whether it does what it was asked for all the same."""


class GitHub:
    """An account with one repository."""

    def __init__(self) -> None:
        self.key = PrivateKey.generate()
        self.secrets: dict[str, str] = {}
        """What was put, decrypted, by the secret's name."""
        self.faults: dict[str, Fault] = {}
        """By method; that of the public key is KEY."""
        self.calls: list[str] = []
        self.received = b""
        self.on_put: Callable[[], object] = lambda: None
        base = f"/repos/{REPOSITORY}/actions/secrets"
        self.app = Starlette(
            routes=[
                Route(f"{base}/public-key", self._answered("KEY", self._public_key)),
                Route(f"{base}/{{name}}", self._answered("GET", self._get)),
                Route(f"{base}/{{name}}", self._answered("PUT", self._put), methods=["PUT"]),
                Route(f"{base}/{{name}}", self._answered("DELETE", self._delete), methods=["DELETE"]),
            ]
        )

    @contextmanager
    def serve(self) -> Iterator[str]:
        with serve(self.app) as url:
            yield url

    def _answered(
        self, method: str, work: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            self.calls.append(method)
            self.received += await request.body()
            if request.headers.get("authorization") != f"Bearer {TOKEN}" or not request.headers.get("user-agent"):
                return JSONResponse({"message": "Bad credentials"}, 401)
            fault = self.faults.get(method)
            answer = await work(request) if fault is None or fault.after else Response()
            if fault is None:
                return answer
            if fault.status == HANGS:
                await anyio.sleep(60)
            return Response(fault.body, int(fault.status), fault.headers)

        return answered

    async def _public_key(self, _: Request) -> Response:
        return JSONResponse({"key_id": "17", "key": base64.b64encode(bytes(self.key.public_key)).decode()})

    async def _get(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse({"name": name}, 200 if name in self.secrets else 404)

    async def _put(self, request: Request) -> Response:
        name, body = request.path_params["name"], await request.json()
        self.on_put()
        assert body.pop("key_id") == "17"
        plain = SealedBox(self.key).decrypt(base64.b64decode(body.pop("encrypted_value")))
        assert body == {}
        is_new = name not in self.secrets
        self.secrets[name] = plain.decode()
        return Response(status_code=201 if is_new else 204)

    async def _delete(self, request: Request) -> Response:
        found: Any = self.secrets.pop(request.path_params["name"], None)
        return Response(status_code=404 if found is None else 204)
