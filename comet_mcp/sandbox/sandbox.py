"""The sandbox as its users see it: one account, its application, the faults ordered and the requests received."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from starlette.types import ASGIApp

from comet_mcp.sandbox.account import Account, Key
from comet_mcp.sandbox.app import create_app
from comet_mcp.sandbox.dialects import Dialect, dialect_named
from comet_mcp.sandbox.faults import CALLS, Faults
from comet_mcp.sandbox.front import Front, Request
from comet_mcp.sandbox.limits import RateLimits
from comet_mcp.sandbox.server import serve

ACCESS_TOKEN = "sandbox-access-token-0000+/="
"""Made up, and with the characters that the API's access tokens may hold."""


class Sandbox:
    """A CometAPI with one account, in memory.

    Args:
        dialect: how it speaks: a name from `DIALECTS`, or a `Dialect` of your own.
        clock: the server's clock, in Unix seconds.
        rate_limits: whether the API's rate limits hold. Off by default, so that tests need not mind them.
        access_token: what the management calls must carry in `Authorization`.
    """

    def __init__(
        self,
        dialect: str | Dialect = "documented",
        *,
        clock: Callable[[], float] = time.time,
        rate_limits: bool = False,
        access_token: str = ACCESS_TOKEN,
    ) -> None:
        self.dialect = dialect_named(dialect)
        self.clock = clock
        self.access_token = access_token
        self.faults = Faults()
        self.account = Account(self.dialect, self._now)
        self.rate_limits = RateLimits(self._now, enabled=rate_limits)
        app = create_app(self.account, self.rate_limits, access_token)
        self._front = Front(app, self.faults, self._now, gzips=self.dialect.gzips)

    @property
    def app(self) -> ASGIApp:
        """The ASGI application, for `httpx.ASGITransport`."""
        return self._front

    @property
    def user_id(self) -> int:
        """The account's id, as `New-Api-User` has it."""
        return self.account.user_id

    @property
    def keys(self) -> list[Key]:
        """The rows of the table of keys, oldest first. Changing one changes what the API answers."""
        return self.account.keys

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, in order; clear it to start counting anew."""
        return self._front.requests

    def add_key(self, name: str = "", **fields: Any) -> Key:
        """Put a row into the table of keys directly, without the API's checks."""
        return self.account.add(name, **fields)

    def count(self, call: str) -> int:
        """How many requests of that call came in.

        Raises:
            ValueError: there is no call of that name.
        """
        if call not in CALLS:
            raise ValueError(f"There is no call {call!r}. The calls are: {', '.join(CALLS)}.")
        return sum(request.call == call for request in list(self.requests))

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """A context in which the sandbox is a real HTTP server on that port (0: any free one); gives its base URL."""
        return serve(self.app, host, port)

    def _now(self) -> float:
        # Looked up each time, so that `sandbox.clock` may be replaced.
        return self.clock()
