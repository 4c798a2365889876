"""The sandbox as a Starlette application: the table of endpoints, and who may call them."""

import html
import inspect
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from comet_mcp.sandbox import log_reports, management, model_calls, reports
from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.answers import Asked, model_refusal, refusal, too_many, wrong_path
from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.gojson import WrongBodyError
from comet_mcp.sandbox.limits import Limit, RateLimits
from comet_mcp.sandbox.messages import Refused

Who = Literal["account", "key", "model", "anyone"]
"""Whose authorization an endpoint checks: the account's access token, or a key's (about itself, or for a model)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table: method, path, what answers it, and who may ask."""

    method: str
    path: str
    answer: Callable[[Asked], Response | Awaitable[Response]]
    call: str = "other"
    who: Who = "account"
    limit: Limit | None = None
    only: Callable[[Dialect], bool] = lambda _: True

    def matches(self, method: str, path: str) -> bool:
        """Whether this is the endpoint for that method and path."""
        return method == self.method and _pattern(self.path).match(path) is not None


def _documented(dialect: Dialect) -> bool:
    return dialect.public_catalog


def _reveals(dialect: Dialect) -> bool:
    return dialect.reveal


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/api/token/", management.list_, "list"),
    Endpoint("POST", "/api/token/", management.create, "create"),
    Endpoint("PUT", "/api/token/", management.update, "update"),
    Endpoint("GET", "/api/token/search", management.search, "search", limit="search"),
    Endpoint("GET", "/api/token/auto-groups", management.auto_groups, only=lambda d: d.auto_groups),
    Endpoint("POST", "/api/token/batch", management.delete_batch, only=lambda d: d.gateway_fields),
    Endpoint("POST", "/api/token/batch/keys", management.reveal_batch, "reveal_batch", limit="critical", only=_reveals),
    Endpoint("GET", "/api/token/{id}", management.get, "get"),
    Endpoint("DELETE", "/api/token/{id}", management.delete, "delete"),
    Endpoint("POST", "/api/token/{id}/key", management.reveal, "reveal", limit="critical", only=_reveals),
    Endpoint("GET", "/api/usage/token/", model_calls.usage, "usage", "key", "critical"),
    Endpoint(
        "GET",
        "/api/usage/token",
        model_calls.usage,
        "usage",
        "key",
        "critical",
        only=lambda d: d.usage_without_slash,
    ),
    Endpoint("GET", "/v1/models", model_calls.models, "models", "model"),
    Endpoint("POST", "/v1/chat/completions", model_calls.chat, "chat", "model"),
    Endpoint("GET", "/api/status", reports.status, "status", "anyone"),
    Endpoint("GET", "/api/models", reports.catalog, "catalog", "anyone", only=_documented),
    Endpoint("GET", "/api/models", reports.catalog, "catalog", only=lambda d: not d.public_catalog),
    Endpoint("GET", "/api/model/{code:path}", reports.catalog_entry, who="anyone", only=_documented),
    Endpoint("GET", "/api/user/self", reports.account, "account"),
    Endpoint("GET", "/api/user/self/groups", reports.groups, "groups"),
    Endpoint("GET", "/api/user/self/stats", reports.month, only=_documented),
    Endpoint("GET", "/api/user/models", reports.usable_models),
    Endpoint("GET", "/api/user/groups", reports.groups, who="anyone"),
    Endpoint("GET", "/api/log/self", log_reports.log, "log"),
    Endpoint("GET", "/api/log/self/stat", log_reports.stat, "stat"),
    Endpoint("GET", "/api/log/self/search", log_reports.log_search, limit="search"),
    Endpoint("GET", "/api/log/self/export", log_reports.log_export, only=_documented),
    Endpoint("GET", "/api/log/token", model_calls.key_log, "key_log", "key", "critical"),
    Endpoint("GET", "/api/data/self", log_reports.hourly, "data"),
    Endpoint("GET", "/api/data/flow/self", log_reports.flow, "flow", only=lambda d: d.quota_flow),
    Endpoint("GET", "/v1/dashboard/billing/subscription", reports.subscription, who="model"),
    Endpoint("GET", "/v1/dashboard/billing/usage", reports.billing_usage, who="model"),
)


@lru_cache(maxsize=1024)
def call_of(method: str, path: str) -> str:
    """The name of the call that this method and path ask for, whether or not the dialect has it."""
    return next((endpoint.call for endpoint in ENDPOINTS if endpoint.matches(method, path)), "other")


class Doorkeeper:
    """Lets a request in: rate limits, authorization, and what a refusal looks like."""

    def __init__(self, account: Account, limits: RateLimits) -> None:
        self.account = account
        self.limits = limits

    def route(self, endpoint: Endpoint) -> Route:
        """The Starlette route of that row of the table."""

        async def handle(http: HTTPRequest) -> Response:
            asked = Asked(
                http=http,
                account=self.account,
                body=await http.body(),
                ip=_ip(http),
                fault=http.scope.get("sandbox.fault"),
            )
            self.account.catch_up()
            try:
                answer = self._limited(endpoint, asked) or endpoint.answer(asked)
                return await answer if inspect.isawaitable(answer) else answer
            except WrongBodyError as error:
                return management.unreadable(error)
            except Refused as refused:
                return (model_refusal if endpoint.who == "model" else refusal)(asked, refused)

        return Route(endpoint.path, handle, methods=[endpoint.method], name=endpoint.call)

    def _limited(self, endpoint: Endpoint, asked: Asked) -> Response | None:
        # In the order of the live servers: all calls, then who it is, then the limits of single calls. A usage query
        # counts before the key is looked at.
        if wait := self.limits.refused_for("api", asked.ip) if endpoint.path.startswith("/api") else 0:
            return self._too_many(asked, wait)
        if endpoint.who == "account":
            self._check_account(asked)
        caller = f"account {self.account.user_id}" if endpoint.limit == "search" else asked.ip
        if wait := self.limits.refused_for(endpoint.limit, caller) if endpoint.limit else 0:
            return self._too_many(asked, wait)
        return None

    def _too_many(self, asked: Asked, wait: int) -> Response:
        return too_many(asked.http.headers.get("accept-encoding", ""), f"{wait}" if asked.dialect.retry_after else None)

    def _check_account(self, asked: Asked) -> None:
        dialect = self.account.dialect
        words = asked.authorization.split()
        token = words[-1] if words else ""
        scheme = words[0] if len(words) == 2 else "Bearer"
        scheme_fits = len(words) <= 2 and (scheme.title() if dialect.bearer_in_any_case else scheme) == "Bearer"
        if not token and dialect.wrong_token_code is None:
            raise Refused("auth.missing", status=401)
        if not scheme_fits or token != self.account.access_token:
            raise Refused("auth.wrong", status=dialect.wrong_token_status, code=dialect.wrong_token_code or "")
        if dialect.user_header == "required":
            self._check_user(asked.http.headers.get("new-api-user", ""))

    def _check_user(self, user: str) -> None:
        if not user:
            raise Refused("auth.no_user", status=401)
        if not user.removeprefix("-").isdecimal():
            raise Refused("auth.bad_user", status=401)
        if int(user) != self.account.user_id:
            raise Refused("auth.other_user", status=401)


class Elsewhere:
    """Answers what no endpoint does: a redirect where only the trailing slash is wrong, else a wrong path."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.answer(HTTPRequest(scope))(scope, receive, send)

    def answer(self, http: HTTPRequest) -> Response:
        """Redirects as measured: 301 with a page for GET, 307 with an empty body for the rest."""
        path: str = http.scope["path"]
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        if not any(endpoint.matches(http.method, other) for endpoint in self.endpoints):
            return wrong_path(http.method, path)
        target = f"{quote(other)}?{http.url.query}" if http.url.query else quote(other)
        if http.method == "GET":
            page = f'<a href="{html.escape(target)}">Moved Permanently</a>.\n\n'
            return HTMLResponse(page, 301, headers={"location": target})
        return RedirectResponse(target, 307)


def create_app(account: Account, limits: RateLimits) -> Starlette:
    """The application that answers for `account`."""
    endpoints = tuple(_spoken(account.dialect))
    door = Doorkeeper(account, limits)
    routes = [door.route(endpoint) for endpoint in endpoints]
    return Starlette(routes=[*routes, Route("/{path:path}", Elsewhere(endpoints))])


def _spoken(dialect: Dialect) -> Iterator[Endpoint]:
    return (endpoint for endpoint in ENDPOINTS if endpoint.only(dialect))


def _ip(http: HTTPRequest) -> str:
    # Measured: a caller on loopback may say whom it asks for, as a reverse proxy would.
    claims = (http.headers.get("x-forwarded-for", "").split(",")[0].strip(), http.headers.get("x-real-ip", ""))
    for claim in filter(None, claims):
        try:
            return f"{ipaddress.ip_address(claim)}"
        except ValueError:
            continue
    return http.client.host if http.client else "127.0.0.1"
