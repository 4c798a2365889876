"""Secrets of GitHub Actions: a repository's, encrypted for it alone, with the person's `GH_TOKEN`.

GitHub tells that a secret is there, and never its value. Needs the extra `cometapi-mcp[github]`. An answer's own text
is never repeated.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any, NoReturn

from pydantic import SecretStr

from comet_mcp.api.responses import Answer
from comet_mcp.api.transport import Transport
from comet_mcp.clock import SYSTEM
from comet_mcp.domain.lifetimes import when
from comet_mcp.errors import StoreError, UnclearError, UnsentError, UnwrittenError
from comet_mcp.settings import Settings

_VERSION = "2022-11-28"
EXTRA = 'GitHub\'s secrets need the extra: install "cometapi-mcp[github]".'
_RIGHT = 'the permission "Secrets: read and write" (of a classic token, the scope repo)'


class GitHub:
    """The secrets of repositories. See `elsewhere.Manager`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = replace(settings, base_url=settings.github_api)

    async def has_value(self, where: str, seconds: float) -> bool:
        """Whether there is such a secret."""
        answer = await self._ask("GET", where, _path(where), seconds)
        if answer.status not in (200, 404):  # of a missing repository the put tells
            _refuse(answer, where)
        return answer.status == 200

    async def put(self, where: str, value: SecretStr, seconds: float) -> None:
        """Encrypt the value with the repository's public key, and write it."""
        end = SYSTEM.monotonic() + seconds
        asked = await self._ask("GET", where, f"{_secrets(where)}/public-key", seconds / 2)
        if asked.status != 200:
            _refuse(asked, where)
        body = _sealed(asked, value)
        answer = await self._ask("PUT", where, _path(where), end - SYSTEM.monotonic(), body)
        if answer.status not in (201, 204):
            _refuse(answer, where)

    async def clear(self, where: str, seconds: float) -> bool:
        """Delete the secret; one that is not there is fine."""
        answer = await self._ask("DELETE", where, _path(where), seconds)
        if answer.status not in (204, 404):
            _refuse(answer, where)
        return True

    async def _ask(self, method: str, where: str, path: str, seconds: float, body: Any = None) -> Answer:
        """One call. Raises UnwrittenError where it had no effect, StoreError where it may have had one."""
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {usable_token(self._settings)}",
            "X-GitHub-Api-Version": _VERSION,
        }
        transport = Transport(self._settings, SYSTEM)
        try:
            return await transport.send(method, path, headers, body, SYSTEM.monotonic() + seconds)
        except UnsentError as error:
            cause = error.cause or "too little time was left"
            raise UnwrittenError(f"{transport.host} could not be reached ({cause}). Check the network.") from None
        except UnclearError as error:
            kind = UnwrittenError if method == "GET" else StoreError
            raise kind(f"{error.args[0]} (the secret {where})", code="github_failed") from None
        finally:
            await transport.aclose()


def usable_token(settings: Settings) -> str:
    """The person's token as a header takes it. Raises UnwrittenError."""
    token = settings.github_token.get_secret_value().strip() if settings.github_token else ""
    if not token:
        raise UnwrittenError(f"GH_TOKEN is not set here. It takes a GitHub token with {_RIGHT}.", code="github_refused")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UnwrittenError("GH_TOKEN has a character that no token has. Set it anew.", code="github_refused")
    return token


def _secrets(where: str) -> str:
    owner, repository, _ = where.split("/")
    return f"/repos/{owner}/{repository}/actions/secrets"


def _path(where: str) -> str:
    return f"{_secrets(where)}/{where.rpartition('/')[2]}"


def _sealed(answer: Answer, value: SecretStr) -> dict[str, str]:
    """The body that puts the value, encrypted with the public key of an answer. Raises UnwrittenError."""
    try:
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - of an extra
        from nacl.public import PublicKey, SealedBox  # noqa: PLC0415
    except ImportError:
        raise UnwrittenError(EXTRA) from None
    try:
        given = json.loads(answer.body)
        key_id, key = str(given["key_id"]), PublicKey(base64.b64decode(given["key"], validate=True))
        sealed = SealedBox(key).encrypt(value.get_secret_value().encode())
    except (ValueError, KeyError, TypeError, binascii.Error, CryptoError):
        raise UnwrittenError("GitHub answered without a public key, so nothing was encrypted or written.") from None
    return {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key_id}


def _refuse(answer: Answer, where: str) -> NoReturn:
    """Say what an answer means that is no success."""
    status, repository = answer.status, where.rpartition("/")[0]
    if (again := _again(answer)) is not None:
        raise UnwrittenError(f"GitHub takes no more calls for now ({status}). Try again {again}.", code="rate_limited")
    if status >= 500 or status == 408:
        raise StoreError(f"GitHub failed ({status}). Try again in a minute.", code="github_failed")
    said = {
        401: "GitHub does not accept the token in GH_TOKEN (401). Set another one.",
        403: f"The token in GH_TOKEN may not do that in {repository} (403). It takes {_RIGHT}.",
        404: f"GitHub has no repository {repository} that the token in GH_TOKEN may see (404).",
        422: f"GitHub did not take the secret {where} (422). Look at its name, and at the repository's settings.",
    }
    if 300 <= status < 400:
        text = f"The repository {repository} has moved ({status}). Name it as it is called now."
    else:
        text = said.get(status, f"GitHub answered with {status}, which is no answer that is known.")
    raise UnwrittenError(text, code="github_refused")


def _again(answer: Answer) -> str | None:
    """When a call may be made again, None where the limit of calls is not what refused this one."""
    if answer.status not in (403, 429):
        return None
    seconds, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
    if seconds.isdecimal():
        return f"in {min(int(seconds), 86_400)} s"
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal() and len(reset) < 12:
        return f"after {when(int(reset))}"
    return "in a minute" if answer.status == 429 else None
