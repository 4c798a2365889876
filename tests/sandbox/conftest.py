import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from comet_mcp.sandbox import Sandbox

# Loading the usual certificates takes longer than most of these tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
IMPATIENT = httpx.Timeout(20, read=0.15)
"""Of a client that waits for the answer hardly at all, but for all else as long as a busy machine takes."""
BODY = {"name": "made", "expired_time": -1, "remain_quota": 1000, "model_limits": "GPT-4o"}


@dataclass(frozen=True)
class Served:
    """A sandbox on a real socket, and a client of it that does not follow redirects."""

    sandbox: Sandbox
    base_url: str
    client: httpx.Client

    def create(self, **headers: str) -> httpx.Response:
        return self.client.post("/api/token/", json=BODY, headers=headers)

    def list(self) -> Any:
        return self.client.get("/api/token/").json()["data"]["items"]

    def as_key(self, secret: str, path: str = "/v1/models", *, json: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer sk-{secret}"}
        return self.client.request("GET" if json is None else "POST", path, json=json, headers=headers)


class Clock:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def kept(served: Served) -> list[str]:
    """The names of the keys there are, without asking the API."""
    return [row.name for row in served.sandbox.keys]


@pytest.fixture
def serve() -> Iterator[Callable[[Sandbox], Served]]:
    with ExitStack() as stack:

        def start(sandbox: Sandbox) -> Served:
            base_url = stack.enter_context(sandbox.serve())
            headers = {"Authorization": sandbox.access_token, "New-Api-User": f"{sandbox.user_id}"}
            client = stack.enter_context(
                httpx.Client(base_url=base_url, headers=headers, verify=NO_TLS, trust_env=False)
            )
            return Served(sandbox, base_url, client)

        yield start


@pytest.fixture
def served(serve: Callable[[Sandbox], Served]) -> Served:
    return serve(Sandbox())
