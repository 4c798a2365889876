"""The sandbox as its users see it: one account, its application, the faults ordered and the requests received."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from starlette.types import ASGIApp

from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.app import create_app
from comet_mcp.sandbox.billing import ModelCall, begin_call
from comet_mcp.sandbox.dialects import Dialect, dialect_named
from comet_mcp.sandbox.faults import CALLS, Faults
from comet_mcp.sandbox.front import Front, Request
from comet_mcp.sandbox.key import Key
from comet_mcp.sandbox.limits import RateLimits
from comet_mcp.sandbox.server import serve
from comet_mcp.sandbox.settings import Settings

ACCESS_TOKEN = "sandbox-access-token-0000+/="
"""Made up, and with the characters that the API's access tokens may hold."""


class Sandbox:
    """A CometAPI with one account, in memory.

    Nothing of it reads another clock than `clock`, and what it waits for it waits for by `anyio.sleep`: with a virtual
    clock and an event loop that obeys it, a simulation needs no real seconds.

    Args:
        dialect: how it speaks: a name from `DIALECTS`, or a `Dialect` of your own.
        clock: the server's clock, in Unix seconds; the `Date` of every answer is its time.
        rate_limits: whether the API's rate limits hold. Off by default, so that tests need not mind them.
        access_token: what the management calls must carry in `Authorization`.
        **changes: fields of the dialect that are to be different: `Sandbox("gateway", redis=True, page_cap=50)`.
    """

    def __init__(
        self,
        dialect: str | Dialect = "documented",
        *,
        clock: Callable[[], float] = time.time,
        rate_limits: bool = False,
        access_token: str = ACCESS_TOKEN,
        **changes: Any,
    ) -> None:
        self.dialect = dialect_named(dialect, **changes)
        self.clock = clock
        self.faults = Faults()
        self.account = Account(self.dialect, self._now, access_token)
        self.rate_limits = RateLimits(self._now, enabled=rate_limits)
        self._front = Front(
            create_app(self.account, self.rate_limits), self.faults, self._now, gzips=self.dialect.gzips
        )
        self._tokens_renewed = 0

    @property
    def app(self) -> ASGIApp:
        """The ASGI application, for `httpx.ASGITransport`."""
        return self._front

    @property
    def user_id(self) -> int:
        """The account's id, as `New-Api-User` has it."""
        return self.account.user_id

    @property
    def access_token(self) -> str:
        """What the management calls must carry in `Authorization`."""
        return self.account.access_token

    @property
    def settings(self) -> Settings:
        """What the operator has set; changing it changes what the API does at once."""
        return self.account.settings

    @property
    def keys(self) -> list[Key]:
        """The rows of the table of keys, oldest first. Changing one changes what the API answers."""
        self.account.catch_up()
        return self.account.keys

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, in order; clear it to start counting anew."""
        return self._front.requests

    def add_key(self, name: str = "", **fields: Any) -> Key:
        """Put a row into the table of keys directly, without the API's checks."""
        self.account.catch_up()
        return self.account.add(name, **fields)

    def begin_call(self, key: Key, model: str, *, prompt_tokens: int = 0, max_tokens: int = 0) -> ModelCall:
        """Put a model call in flight, which reserves quota until its `end` or `abort`.

        Raises:
            Refused: the key may not make this call, or has not enough left for the reservation.
        """
        return begin_call(self.account, key.key, model, prompt_tokens=prompt_tokens, max_tokens=max_tokens)

    def begin_anew(self) -> None:
        """Begin with an empty database: no keys, ids from 1 on, no log; the access token holds."""
        self.account.begin_anew()

    def renew_access_token(self, token: str | None = None) -> str:
        """Give the account another access token; the one before is wrong from now on. Returns the new one."""
        self._tokens_renewed += 1
        self.account.access_token = token or f"sandbox-access-token-{self._tokens_renewed:04}+/="
        return self.account.access_token

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
