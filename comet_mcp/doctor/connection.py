"""The way to the API and what it says: reached, trusted, whose account, what is left of it, what time it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import anyio

from comet_mcp.api.client import CometAPI, units_in
from comet_mcp.api.models import Account
from comet_mcp.api.responses import checked, envelope
from comet_mcp.api.transport import Transport
from comet_mcp.clock import Clock
from comet_mcp.doctor.configuration import is_of_token
from comet_mcp.doctor.findings import Finding
from comet_mcp.domain.identity import is_loopback
from comet_mcp.errors import (
    TOKEN_PAGE,
    APIError,
    CometError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnsentError,
)
from comet_mcp.settings import Settings
from comet_mcp.text import quoted
from comet_mcp.threads import LateError, run_blocking

_WAY = ("COMETAPI_BASE_URL", "COMETAPI_MCP_ALLOW_HTTP", "COMETAPI_MCP_PROXY", "COMETAPI_MCP_CA_BUNDLE")
"""What has to be right before anything is sent."""
_WITHIN, _GIVEN_UP_AFTER = 6.0, 9.0
"""Seconds for a call; and until nothing more is expected of it, for nothing bounds the search for a host's name."""
_FIRST = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^".;]|[.;](?!\s|$))*')
"""A sentence, or what stands before its semicolon: what follows is advice to a language model."""


def check_connection(settings: Settings) -> Iterator[Finding]:
    """Ask the API, first what everybody may ask and then whose token this is."""
    blocked = [settings.unknown_profile] * bool(settings.unknown_profile)
    blocked += [p for p in settings.problems if p.startswith(("The config file", "COMETAPI_MCP_CONFIG"))]
    blocked += [problem for problem in settings.problems if any(name in problem for name in _WAY)]
    if blocked:
        yield Finding("api", "not checked", "where it is, is not known until the settings are right")
        return
    usable = replace(settings, problems=(), timeout=_WITHIN)
    clock = Clock()
    try:
        # the end of a loop waits for who looks up a name, as long as that takes
        worth = run_blocking(lambda: anyio.run(_status, usable, clock), _GIVEN_UP_AFTER)
    except LateError:
        says = f"{usable.base_url} gives no answer, nor does the system that looks up names."
        yield Finding("api", "problem", says, "Check that this machine is online, and which name server it asks.")
        yield Finding("account", "not checked", "the API was not reached")
        return
    except UnsentError as error:
        yield from _unreached(usable, error)
        return
    except APIError as error:
        yield from _unanswered(usable, error)
        return
    yield Finding("api", "ok", f"{usable.base_url} answers")
    yield from _way(usable)
    if worth is not None and worth != usable.units.per_usd:
        says = f"The API counts {worth} quota units to a US dollar, and the settings say {usable.units.per_usd}."
        yield Finding("units", "problem", says, f"Set COMETAPI_MCP_UNITS_PER_USD to {worth}; then restart the client.")
    yield from _account(
        usable, clock, has_token=not any(is_of_token(problem, settings) for problem in settings.problems)
    )
    yield from _clock(clock)


async def _status(settings: Settings, clock: Clock) -> int | None:
    """What a dollar is worth at the API, which tells everybody; None where it has no such call.

    Raises:
        APIError: What answers is not the API, or nothing does.
    """
    transport = Transport(settings, clock)
    try:
        answer = await transport.send("GET", "/api/status", {}, None, clock.monotonic() + _WITHIN)
        return units_in(envelope(checked(answer, transport.host)).data)
    except RefusedError as error:
        if error.code in (RefusedError.code, "no_such_call", UnauthorizedError.code):
            return None  # in the API's own words: it is there
        raise
    finally:
        await transport.aclose()


def _unreached(settings: Settings, error: UnsentError) -> Iterator[Finding]:
    """Why no connection was made."""
    host = urlsplit(settings.base_url).netloc
    base, proxy = settings.source("COMETAPI_BASE_URL"), settings.source("COMETAPI_MCP_PROXY")
    if error.at_proxy:
        says = f"The proxy that is set does not lead to {host} ({error.cause})."
        yield Finding("proxy", "problem", says, f"Correct {proxy}: its address, its port, its name and password.")
    elif "certificate" in error.cause or "TLS" in error.cause:
        yield Finding("tls", "problem", f"{host}: {error.cause}.", _cure_of_tls(settings, error.cause))
    else:
        yield Finding(
            "api", "problem", f"No connection to {host} could be made ({error.cause}).", _cure(error.cause, base)
        )
        if settings.unread_proxy and not is_loopback(urlsplit(settings.base_url).hostname or ""):
            says = f"{settings.unread_proxy} is set, and is not used here."
            yield Finding(
                "proxy", "warning", says, "If the network needs a proxy, set COMETAPI_MCP_PROXY to its address."
            )
    yield Finding("account", "not checked", "the API was not reached")


def _cure(cause: str, base: str) -> str:
    if "name" in cause:
        return f"Check that this machine is online, and the host's name in {base}."
    if "refused" in cause:
        return f"Nothing listens there: check host and port in {base}, and that a gateway of your own runs."
    return f"Check that this machine is online, its firewall and VPN, and {base}; then try again."


def _cure_of_tls(settings: Settings, cause: str) -> str:
    if "expired" in cause or "not yet valid" in cause:
        return "Check this machine's date. If it is right, whoever runs that server has to renew its certificate."
    trusted = (
        f"{settings.ca_bundle} is trusted alone" if settings.ca_bundle else "the system's certificates are trusted"
    )
    return (
        f"Now {trusted}. If your company or gateway has an authority of its own, set COMETAPI_MCP_CA_BUNDLE to the PEM "
        "file of its certificates."
    )


def _unanswered(settings: Settings, error: APIError) -> Iterator[Finding]:
    """Something was reached, and what it said is no answer of the API's."""
    first, base = _first(error), settings.source("COMETAPI_BASE_URL")
    says = f"{first}." if urlsplit(settings.base_url).netloc in first else f"{settings.base_url} was reached. {first}."
    if isinstance(error, RateLimitedError):
        yield Finding("api", "warning", says, "Wait three minutes, then try again.")
    elif error.code == "api_failed":
        yield Finding("api", "problem", says, "The API has a fault of its own: try again in some minutes.")
    elif "time" in says or "broke" in says:
        yield Finding(
            "api", "problem", says, f"Try again. If it stays so, check the network, its firewall, and {base}."
        )
    else:
        cure = (
            f"Open {settings.base_url} in a browser: a firewall or a network's login page may answer in its place. "
            f"Else {base} is not the API's address: it is the part before /api/."
        )
        yield Finding("api", "problem", says, cure)
    yield Finding("account", "not checked", "the API gave no answer of its own")


def _first(error: CometError) -> str:
    found = _FIRST.match(str(error.args[0]))
    return found[0] if found and found[0] else str(error.args[0])


def _way(settings: Settings) -> Iterator[Finding]:
    """How the API was reached."""
    url = urlsplit(settings.base_url)
    if url.scheme == "https":
        trusted = f"by {settings.ca_bundle}" if settings.ca_bundle else "by this system"
        yield Finding("tls", "ok", f"the certificate of {url.netloc} is trusted {trusted}")
    elif is_loopback(url.hostname or ""):
        yield Finding("tls", "ok", "plain http, which does not leave this machine")
    else:
        says = f"The access token travels to {url.netloc} unencrypted (COMETAPI_MCP_ALLOW_HTTP)."
        yield Finding("tls", "warning", says, "Give the API an https address, if it has one.")
    if settings.proxy is not None:
        used = "not used for this machine" if is_loopback(url.hostname or "") else "used, and passes requests on"
        yield Finding("proxy", "ok", used)
    elif settings.unread_proxy:
        yield Finding(
            "proxy", "ok", f"none is used; {settings.unread_proxy} is for other programs, and not needed here"
        )
    else:
        yield Finding("proxy", "ok", "none is set, and none is needed")


def _account(settings: Settings, clock: Clock, *, has_token: bool) -> Iterator[Finding]:
    """Whether the API accepts the token, whose it is, and what is left on the account."""
    if settings.access_token is None or not has_token:
        yield Finding("account", "not checked", "there is no access token to ask with")
        return
    try:
        account = anyio.run(_asked, settings, clock)
    except UnauthorizedError as error:
        yield _refused(settings, error)
        return
    except CometError as error:
        yield _unsaid(settings, error)
        return
    if account is None:
        says = "the API accepts the access token, and has no call that tells whose it is"
        yield Finding("account", "ok", says)
        return
    name = f", {quoted(account.username)}" if account.username else ""
    yield Finding("account", "ok", f"number {account.id}{name}")
    left = settings.units.exact(account.quota)
    if account.quota <= 0:
        says = f"Nothing is left on the account ({left}): its keys can't make calls."
        yield Finding("balance", "warning", says, "Add credit in the API's console.")
    else:
        yield Finding("balance", "ok", f"{left} is left")


async def _asked(settings: Settings, clock: Clock) -> Account | None:
    """The account, None where the API accepts the token and has no such call. Raises CometError."""
    api = CometAPI(settings, clock=clock)
    try:
        try:
            return await api.account()
        except UnauthorizedError:
            raise
        except RefusedError:
            await api.list_tokens(1, 1)
            return None
    finally:
        await api.aclose()


def _unsaid(settings: Settings, error: CometError) -> Finding:
    if error.code == "no_such_call":
        cure = f"Correct {settings.source('COMETAPI_BASE_URL')}: it is the part before /api/."
        return Finding("account", "problem", f"{_first(error)}.", cure)
    says = f"Whether the access token works, the API did not say: {_first(error)}."
    if isinstance(error, RateLimitedError):
        return Finding("account", "warning", says, "Wait three minutes, then try again.")
    return Finding("account", "problem", says, "Try again in some minutes: without this answer no tool works.")


def _refused(settings: Settings, error: UnauthorizedError) -> Finding:
    if error.code == "user_id_needed":
        place = settings.source("COMETAPI_USER_ID")
        cure = f"Set {place} to the number on the account's profile page; then restart the client."
        return Finding("account", "problem", f"{_first(error)}.", cure)
    cure = (
        f"Copy a new personal access token from {TOKEN_PAGE} into {settings.source('COMETAPI_ACCESS_TOKEN')}; then "
        "restart the client."
    )
    return Finding("account", "problem", f"{_first(error)}.", cure)


def _clock(clock: Clock) -> Iterator[Finding]:
    if not clock.was_heard:
        yield Finding("clock", "not checked", "the API told no time")
    elif said := clock.report():
        says, _, _ = said.partition(" Lifetimes")
        cure = "Set this machine's clock, or let the system set it. Until then lifetimes count by the API's."
        yield Finding("clock", "warning", says, cure)
    else:
        yield Finding("clock", "ok", "within a minute of the API's")
