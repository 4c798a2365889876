"""CometAPI over HTTP: one method per endpoint, one `_request` that turns every failure into an error of ours.

httpx is imported with the first request, not at start: a client waits for the start of a server, and most
conversations never make a key.
"""

from __future__ import annotations

import re
import socket
import ssl
import zlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import anyio
from pydantic import SecretStr, ValidationError

from comet_mcp import __version__
from comet_mcp.api.answers import Answer, checked, envelope, json_of, parse, unusable
from comet_mcp.api.pace import APIClock, CallLimit
from comet_mcp.api.wire import (
    Account,
    CatalogModel,
    CreateAnswer,
    ModelList,
    Token,
    TokenBody,
    TokenPage,
    Usage,
    is_masked,
    with_prefix,
)
from comet_mcp.errors import SettingsError, UnclearError, UnsentError
from comet_mcp.text import printable

if TYPE_CHECKING:
    import httpx

    from comet_mcp.settings import Settings

MAX_BODY = 8 * 1024 * 1024
"""Largest answer read, in bytes after decompression. A page of 100 keys has about 60 kB."""

MAX_CONNECTIONS = 16
_READ_ATTEMPTS = 2
_KEEP_ALIVE = 20.0
_HEADERS = {
    "Accept": "application/json",
    # a compressed answer can be a thousand times its size; see _unpacker
    "Accept-Encoding": "identity",
    "User-Agent": f"cometapi-mcp/{__version__}",
}


class CometAPI:
    """The management API of one account.

    Every method raises SettingsError while the settings are wrong, and an APIError for what the API answers.
    """

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self.clock = APIClock()
        self._http = transport
        self.timeout = settings.timeout
        # what a call may take: the caller still has to read the answer and to write its own
        self.seconds = self.timeout - min(1.0, self.timeout / 4)
        self._limit = CallLimit(settings.calls)
        self._slots = anyio.Semaphore(MAX_CONNECTIONS, fast_acquire=True)
        self._host = urlsplit(settings.base_url).netloc
        self._proxy = _proxy_name(settings)

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        if self._http is not None:
            await self._http.aclose()

    def require_room(self, calls: int) -> None:
        """As `CallLimit.require_room`: raises RateLimitedError where our own limit leaves fewer calls."""
        self._limit.require_room(calls)

    def room(self, calls: int, *, shared: int = 0) -> AbstractContextManager[None]:
        """As `CallLimit.room`: a context for a write and what follows it."""
        return self._limit.room(calls, shared=shared)

    async def create_token(self, body: TokenBody, *, seconds: float | None = None) -> CreateAnswer:
        """`POST /api/token/`, once."""
        answer = await self._manage("POST", "/api/token/", body.model_dump(), seconds)
        data = envelope(answer).data
        try:
            return CreateAnswer.model_validate(data if isinstance(data, dict) else {})
        except ValidationError:
            return CreateAnswer()  # it said success; what else it says in another shape is no reason for doubt

    async def list_tokens(self, page: int, page_size: int, *, seconds: float | None = None) -> TokenPage:
        """`GET /api/token/`, newest first."""
        answer = await self._manage("GET", f"/api/token/?p={page}&page_size={page_size}", None, seconds)
        return parse(TokenPage, envelope(answer).data, answer)

    async def get_token(self, token_id: int, *, seconds: float | None = None) -> Token:
        """`GET /api/token/{id}`. Raises NotFoundError where there is none."""
        answer = await self._manage("GET", f"/api/token/{token_id}", None, seconds)
        return parse(Token, envelope(answer, token_id).data, answer)

    async def reveal_key(self, token_id: int, *, seconds: float | None = None) -> SecretStr:
        """`POST /api/token/{id}/key`, which releases that mask the key in a record have. It changes nothing."""
        answer = await self._manage("POST", f"/api/token/{token_id}/key", None, seconds)
        data = envelope(answer, token_id).data
        key = data.get("key") if isinstance(data, dict) else None
        if not isinstance(key, str) or is_masked(key):
            raise unusable(answer, "has no key in it")
        return SecretStr(key)

    async def reveal_keys(self, token_ids: list[int], *, seconds: float | None = None) -> dict[int, SecretStr]:
        """`POST /api/token/batch/keys`, at most 100 ids a call; an id that does not exist is left out."""
        answer = await self._manage("POST", "/api/token/batch/keys", {"ids": token_ids}, seconds)
        data = envelope(answer).data
        keys = data.get("keys") if isinstance(data, dict) else None
        if not isinstance(keys, dict):
            raise unusable(answer, "has no keys in it")
        found = {token_id: keys.get(str(token_id)) for token_id in token_ids}
        return {
            token_id: SecretStr(key) for token_id, key in found.items() if isinstance(key, str) and not is_masked(key)
        }

    async def update_token(self, row: Token, *, status_only: bool = False, seconds: float | None = None) -> None:
        """`PUT /api/token/` with the id, the status and all nine fields: the API resets a field that is left out.

        Documented: `status` is minded. Measured: it is ignored, unless `?status_only=1`, which changes nothing else.
        """
        body = row.model_dump(include={"id", "status", *TokenBody.model_fields})
        path = "/api/token/?status_only=1" if status_only else "/api/token/"
        envelope(await self._manage("PUT", path, body, seconds), row.id)

    async def delete_token(self, token_id: int, *, seconds: float | None = None) -> None:
        """`DELETE /api/token/{id}`, for good. Raises NotFoundError where there is none."""
        envelope(await self._manage("DELETE", f"/api/token/{token_id}", None, seconds), token_id)

    async def usage(self, key: SecretStr) -> Usage:
        """`GET /api/usage/token/` as the key: what it has left. Measured: a dead key is answered too, mostly."""
        answer = await self._as_key(key, "/api/usage/token/")
        value = json_of(answer)
        return parse(Usage, value.get("data") if isinstance(value, dict) else None, answer)

    async def callable_models(self, key: SecretStr) -> list[str]:
        """`GET /v1/models` as the key: the ids it may call. Raises RefusedError, with the API's words, where dead."""
        answer = await self._as_key(key, "/v1/models")
        return [model.id for model in parse(ModelList, json_of(answer), answer).data]

    async def account(self) -> Account:
        """`GET /api/user/self`: balance and use, in quota units."""
        answer = await self._manage("GET", "/api/user/self")
        return parse(Account, envelope(answer).data, answer)

    async def groups(self) -> dict[str, Any]:
        """`GET /api/user/self/groups`: the account's groups. Raises RefusedError where the API has no such call."""
        data = envelope(await self._manage("GET", "/api/user/self/groups")).data
        return data if isinstance(data, dict) else {}

    async def catalog(self) -> list[CatalogModel]:
        """The models there are: `GET /api/models` as documented, with prices, else the account's ids alone.

        Measured: gateways answer the first call with the names built into the program, whatever the server offers;
        what the account may use is in `GET /api/user/models`.
        """
        answer = await self._manage("GET", "/api/models")
        data = envelope(answer).data
        if isinstance(data, list):
            return parse(ModelList, {"data": data}, answer).data
        answer = await self._manage("GET", "/api/user/models")
        names = envelope(answer).data
        return parse(
            ModelList, {"data": [{"id": name} for name in names] if isinstance(names, list) else names}, answer
        ).data

    async def _as_key(self, key: SecretStr, path: str) -> Answer:
        """One call as a model key, which has no part in the account's own headers."""
        self._settings.require_usable()
        if not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise UnclearError("The API gave a value for the key that is none: it can't be sent. Nothing was changed.")
        headers = {"Authorization": f"Bearer {with_prefix(key).get_secret_value()}", "Accept-Language": "en"}
        return await self._request("GET", path, headers, None, self.seconds, as_key=True)

    async def _manage(self, method: str, path: str, body: Any = None, seconds: float | None = None) -> Answer:
        """One call of the management API; a read is tried twice, for a kept connection may just have been closed."""
        settings = self._settings
        settings.require_usable()
        assert settings.access_token is not None  # noqa: S101 - a missing one is a problem
        headers = {"Authorization": settings.access_token.get_secret_value(), "Accept-Language": "en"}
        if settings.user_id is not None:
            headers["New-Api-User"] = settings.user_id
        return await self._request(method, path, headers, body, seconds or self.seconds)

    async def _request(
        self, method: str, path: str, headers: dict[str, str], body: Any, seconds: float, *, as_key: bool = False
    ) -> Answer:
        end = anyio.current_time() + seconds
        for attempt in range(_READ_ATTEMPTS if method == "GET" else 1):
            try:
                answer = await self._send(method, path, headers, body, end)
            except UnclearError:
                if method != "GET" or attempt + 1 == _READ_ATTEMPTS or anyio.current_time() >= end:
                    raise
            else:
                if method == "GET" and (other := self._other_slash(path, answer)) is not None:
                    answer = await self._send(method, other, headers, body, end)
                return checked(answer, self._host, as_key=as_key)
        raise AssertionError  # the loop returns or raises

    def _other_slash(self, path: str, answer: Answer) -> str | None:
        """Where a redirect leads that only adds or drops the path's last slash; None for any other answer."""
        if answer.status not in (301, 302, 307, 308):
            return None
        base = self._settings.base_url
        try:
            target = urljoin(base + path, answer.headers.get("location", ""))
        except ValueError:
            return None
        plain, _, query = path.partition("?")
        other = f"{plain.removesuffix('/') if plain.endswith('/') else plain + '/'}{'?' + query if query else ''}"
        return other if target == base + other else None

    async def _send(self, method: str, path: str, headers: dict[str, str], body: Any, end: float) -> Answer:
        """Send once and read the answer, before the clock of the event loop shows `end`."""
        import httpx  # noqa: PLC0415 - see the module's docstring

        if self._http is None:
            self._http = self._connect()
        self._limit.count()
        await self._take_slot(end)
        try:
            with anyio.fail_after(max(end - anyio.current_time(), 0)):
                answer = await self._read(method, path, headers, body, end)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unconnected(error) from None
        except httpx.ProxyError as error:  # the tunnel was never opened
            raise self._refused_by_proxy(str(error)[:3]) from None
        except (TimeoutError, httpx.TimeoutException):
            raise self._unanswered(method, "did not answer in time") from None
        except httpx.HTTPError as error:
            raise self._unanswered(method, f"broke the connection ({type(error).__name__})") from None
        finally:
            self._slots.release()
        if self._proxy and answer.status == 407:  # no API says that: it is the proxy that wants to know who asks
            raise self._refused_by_proxy("407")
        return answer

    async def _take_slot(self, end: float) -> None:
        """Wait for one of the connections. Raises UnsentError where none is free before `end`."""
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.CancelScope(deadline=end) as waiting:
                await self._slots.acquire()
            if waiting.cancelled_caught:
                raise UnsentError(
                    "Too many calls are under way at once, so this one was not sent. Try again."
                ) from None

    async def _read(self, method: str, path: str, headers: dict[str, str], body: Any, end: float) -> Answer:
        """One exchange with the transport itself: a client would add cookies, redirects and proxies of its own."""
        import httpx  # noqa: PLC0415 - see the module's docstring

        assert self._http is not None  # noqa: S101 - _send made it
        try:
            request = httpx.Request(
                method,
                self._settings.base_url + path,
                headers=_HEADERS | headers,
                json=body,
                # connecting ends before the whole does: what was never connected was never sent
                extensions={"timeout": {"connect": min(5.0, (end - anyio.current_time()) * 0.8)}},
            )
        except (httpx.InvalidURL, UnicodeError):  # a host that only the rules of international names refuse
            raise SettingsError(
                f"COMETAPI_BASE_URL names the host {self._host}, and there can be no such name. Nothing was sent. Ask "
                "the person who runs this server to correct that and to restart the client."
            ) from None
        response = await self._http.handle_async_request(request)
        try:
            unpack = _unpacker(response.headers.get("content-encoding", ""))
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_raw():
                chunks.append(unpack(chunk, MAX_BODY - size))
                size += len(chunks[-1])
                if size >= MAX_BODY:
                    raise UnclearError(
                        f"{self._host} sent an answer of more than {MAX_BODY // 2**20} MiB, which was not read."
                    )
        finally:
            await response.aclose()
        self.clock.hear(response.headers.get("date"))
        return Answer(response.status_code, response.headers, b"".join(chunks), reading=method == "GET")

    def _connect(self) -> httpx.AsyncBaseTransport:
        import httpx  # noqa: PLC0415 - see the module's docstring

        settings = self._settings
        return httpx.AsyncHTTPTransport(
            verify=_trust(settings) if settings.base_url.startswith("https:") else False,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE,
            ),
            proxy=settings.proxy.get_secret_value() if settings.proxy else None,
            # the environment must not reroute a connection that carries the account's token
            trust_env=False,
        )

    def _unanswered(self, method: str, what: str) -> UnclearError:
        advice = "Nothing was read; try again." if method == "GET" else "The request may have been carried out."
        through = f" (asked through the proxy {self._proxy})" if self._proxy else ""
        return UnclearError(f"{self._host}{through} {what}. {advice}")

    def _unconnected(self, error: Exception) -> UnsentError:
        cause = _cause(error)
        # with a proxy it is the proxy that is connected to; only TLS is spoken with the API itself, through it
        if self._proxy and "TLS" not in cause and "certificate" not in cause:
            return UnsentError(
                f"No connection to the proxy {self._proxy} could be made ({cause}), so nothing was sent. "
                "Check the network and COMETAPI_MCP_PROXY, then try again."
            )
        through = f" through the proxy {self._proxy}" if self._proxy else ""
        return UnsentError(
            f"No connection to {self._host}{through} could be made ({cause}), so nothing was sent. Check the network "
            f"and COMETAPI_BASE_URL{' and COMETAPI_MCP_PROXY' if self._proxy else ''}, then try again."
        )

    def _refused_by_proxy(self, status: str) -> UnsentError:
        why = {"407": "it wants a name and password, or others"}.get(status, "it may not or can't connect there")
        return UnsentError(
            f"The proxy {self._proxy} did not pass the request on to {self._host} ({printable(status)}: {why}), so "
            "nothing was sent to the API. Ask the person who runs this server to check COMETAPI_MCP_PROXY."
        )


def _proxy_name(settings: Settings) -> str:
    """Host and port of the proxy, "" where there is none: its address may have a password too."""
    if settings.proxy is None:
        return ""
    url = urlsplit(settings.proxy.get_secret_value())
    return f"{url.hostname}:{url.port}"


def _trust(settings: Settings) -> ssl.SSLContext:
    """What certificates are trusted: the system's, so that a company's own are too, or those of the bundle."""
    if settings.ca_bundle is not None:
        return ssl.create_default_context(cafile=settings.ca_bundle)
    import truststore  # noqa: PLC0415 - only where TLS is spoken

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _cause(error: Exception) -> str:
    """Why no connection was made, in a word or two, without the address that such texts repeat."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLCertVerificationError):
            return "its certificate is not trusted"
        if isinstance(chain, ssl.SSLError):
            return "TLS failed"
        if isinstance(chain, socket.gaierror):
            return "its name was not found"
        if isinstance(chain, ConnectionRefusedError):
            return "it refused"
        if isinstance(chain, BaseExceptionGroup):  # one per address of the host
            chain = chain.exceptions[0]
            continue
        chain = chain.__cause__ or chain.__context__
    return "no answer in time" if "Timeout" in type(error).__name__ else "network error"


def _unpacker(encoding: str) -> Any:
    """A function (chunk, room) -> bytes that never gives more than `room` bytes.

    We ask for no compression; the gateway's 429 says gzip all the same, over an empty body.
    """
    if encoding.lower() not in ("gzip", "deflate"):
        return lambda chunk, room: chunk[: max(room, 0)]
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpack(chunk: bytes, room: int) -> bytes:
        try:
            return stream.decompress(chunk, max(room, 1))
        except zlib.error:
            raise UnclearError("The API's answer could not be decompressed, so what it did is not known.") from None

    return unpack
