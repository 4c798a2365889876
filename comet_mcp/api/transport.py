"""One HTTP exchange: sent once, read whole and bounded, and every failure of the way an error of ours.

httpx is imported with the first request, not at start: a client waits for the start of a server, and most
conversations never make a key.
"""

from __future__ import annotations

import socket
import ssl
import zlib
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from pydantic import SecretStr

from comet_mcp import __version__
from comet_mcp.api.responses import Answer
from comet_mcp.clock import Clock
from comet_mcp.domain.identity import is_loopback
from comet_mcp.errors import SettingsError, UnclearError, UnsentError
from comet_mcp.text import printable

if TYPE_CHECKING:
    import httpx

    from comet_mcp.settings import Settings

MAX_BODY = 1024 * 1024
"""Largest answer read, in bytes after decompression. A page of 100 keys has about 60 kB, of such as name each of 300
models 700 kB; the catalog has 150."""

MAX_CONNECTIONS = 16
_KEEP_ALIVE = 20.0
_HEADERS = {
    "Accept": "application/json",
    # a compressed answer can be a thousand times its size; see _unpacker
    "Accept-Encoding": "identity",
    "User-Agent": f"cometapi-mcp/{__version__}",
}


class Transport:
    """The connections to the API, and what goes over them."""

    def __init__(self, settings: Settings, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`clock` hears the Date headers of the API's own answers; `transport` replaces the network in tests."""
        self._settings = settings
        self._source = settings.source
        self._clock = clock
        self._http = transport
        self._slots = anyio.Semaphore(MAX_CONNECTIONS, fast_acquire=True)
        url = urlsplit(settings.base_url)
        # this machine is reached without one: plain http, which is allowed there, would show a proxy the token
        self._through = None if is_loopback(url.hostname or "") else settings.proxy
        self._proxy = _name_of(self._through)
        self.host = url.netloc

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        if self._http is not None:
            await self._http.aclose()

    async def send(self, method: str, path: str, headers: dict[str, str], body: Any, end: float) -> Answer:
        """Send once and read the answer, before the monotonic clock shows `end`.

        Raises:
            UnsentError: It provably never left.
            UnclearError: It left, and no usable answer came.
        """
        import httpx  # noqa: PLC0415 - see the module's docstring

        if self._http is None:
            self._http = self._connect()
        await self._take_slot(end)
        try:
            with anyio.fail_after(max(end - self._clock.monotonic(), 0)):
                answer = await self._read(method, path, headers, body, end)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unconnected(error) from None
        except httpx.ProxyError as error:  # the tunnel was never opened
            raise self._refused_by_proxy(str(error)[:3]) from None
        except (TimeoutError, httpx.TimeoutException):
            raise self._unanswered(method, "did not answer in time") from None
        except (httpx.HTTPError, ssl.SSLError) as error:  # TLS that breaks after its beginning has no error of httpx
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
            with anyio.move_on_after(end - self._clock.monotonic()) as waiting:
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
                _url(self._settings.base_url + path),
                headers=_HEADERS | headers,
                json=body,
                # connecting ends before the whole does: what was never connected was never sent
                extensions={"timeout": {"connect": min(5.0, (end - self._clock.monotonic()) * 0.8)}},
            )
        except (httpx.InvalidURL, UnicodeError):  # a host that only the rules of international names refuse
            raise SettingsError(
                f"{self._source('COMETAPI_BASE_URL')} names the host {self.host}, and there can be no such name. "
                "Nothing was sent. Ask the person who runs this server to correct that and to restart the client."
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
                        f"{self.host} sent an answer of more than {MAX_BODY // 2**20} MiB, which was not read."
                    )
        finally:
            await response.aclose()
        hear = partial(self._clock.hear, response.headers.get("date"))
        return Answer(response.status_code, response.headers, b"".join(chunks), method == "GET", self._source, hear)

    async def load(self) -> None:
        """Load the HTTP client on a thread. Opens no connection."""
        if self._http is None:
            await anyio.to_thread.run_sync(import_module, "comet_mcp.api.connections", abandon_on_cancel=True)

    def _connect(self) -> httpx.AsyncBaseTransport:
        import httpx  # noqa: PLC0415 - see the module's docstring

        from comet_mcp.api.connections import Connections  # noqa: PLC0415 - as httpx

        trust = _trust(self._settings) if self._settings.base_url.startswith("https:") else None
        if self._through is None:
            return Connections(trust, _KEEP_ALIVE)
        return httpx.AsyncHTTPTransport(
            verify=trust or False,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE,
            ),
            proxy=self._through.get_secret_value(),
            # the environment must not reroute a connection that carries the account's token
            trust_env=False,
        )

    def _unanswered(self, method: str, what: str) -> UnclearError:
        advice = "Nothing was read; try again." if method == "GET" else "The request may have been carried out."
        through = f" (asked through the proxy {self._proxy})" if self._proxy else ""
        return UnclearError(f"{self.host}{through} {what}. {advice}")

    def _unconnected(self, error: Exception) -> UnsentError:
        cause = _cause(error)
        # with a proxy it is the proxy that is connected to; only TLS is spoken with the API itself, through it
        if self._proxy and "TLS" not in cause and "certificate" not in cause:
            return UnsentError(
                f"No connection to the proxy {self._proxy} could be made ({cause}), so nothing was sent. "
                f"Check the network and {self._source('COMETAPI_MCP_PROXY')}, then try again.",
                cause=cause,
                at_proxy=True,
            )
        through = f" through the proxy {self._proxy}" if self._proxy else ""
        settings = ["COMETAPI_BASE_URL", *(["COMETAPI_MCP_PROXY"] if self._proxy else [])]
        return UnsentError(
            f"No connection to {self.host}{through} could be made ({cause}), so nothing was sent. Check the network "
            f"and {' and '.join(map(self._source, settings))}, then try again.{self._unread_proxy()}",
            cause=cause,
        )

    def _unread_proxy(self) -> str:
        """That the proxy which other programs use is not used here, where one may be needed."""
        unread = self._settings.unread_proxy
        if not unread or is_loopback(urlsplit(self._settings.base_url).hostname or ""):
            return ""
        return f" {unread} is set, and not used here: the setting for a proxy is COMETAPI_MCP_PROXY."

    def _refused_by_proxy(self, status: str) -> UnsentError:
        why = {"407": "it wants a name and password, or others"}.get(status, "it may not or can't connect there")
        return UnsentError(
            f"The proxy {self._proxy} did not pass the request on to {self.host} ({printable(status)}: {why}), so "
            "nothing was sent to the API. Ask the person who runs this server to check "
            f"{self._source('COMETAPI_MCP_PROXY')}.",
            cause=f"{printable(status)}: {why}",
            at_proxy=True,
        )


@lru_cache(maxsize=128)
def _url(address: str) -> httpx.URL:
    """An address that is read once: few are asked for again and again. Raises httpx.InvalidURL, UnicodeError."""
    import httpx  # noqa: PLC0415 - see the module's docstring

    return httpx.URL(address)


def _name_of(proxy: SecretStr | None) -> str:
    """Host and port of the proxy, "" where there is none: its address may have a password too."""
    if proxy is None:
        return ""
    url = urlsplit(proxy.get_secret_value())
    return f"{url.hostname}:{url.port}"


def _trust(settings: Settings) -> ssl.SSLContext:
    """What certificates are trusted: the system's, so that a company's own are too, or those of the bundle."""
    if settings.ca_bundle is not None:
        context = ssl.create_default_context(cafile=settings.ca_bundle)
        # new in Python 3.13, and no rule of the system's trust: many a company's own authority breaks it
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
    import truststore  # noqa: PLC0415 - only where TLS is spoken

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _cause(error: Exception) -> str:
    """Why no connection was made, in a word or two, without the address that such texts repeat."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLCertVerificationError):
            why = getattr(chain, "verify_message", "")  # set where OpenSSL or the system's own check found the fault
            return f"its certificate is not trusted{why and f': {printable(why, 120)}'}"
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
