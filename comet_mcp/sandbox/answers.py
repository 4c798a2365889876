"""One request as the endpoints see it, and the answers they give."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, Response

from comet_mcp.sandbox.access import secret_in
from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.faults import Fault
from comet_mcp.sandbox.messages import Language, Refused, sentence

_PACKED_NOTHING = gzip.compress(b"", mtime=0)

PAGE = '<!doctype html><html><head><title>CometAPI</title></head><body><div id="root"></div></body></html>\n'
"""The dashboard's page, which paths outside the API answer with."""


class JSONAnswer(Response):
    """JSON as the API sends it: compact, UTF-8."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, with what every endpoint needs to answer it."""

    http: HTTPRequest
    account: Account
    body: bytes
    ip: str
    fault: Fault | None

    @property
    def dialect(self) -> Dialect:
        """The dialect to answer in."""
        return self.account.dialect

    @property
    def query(self) -> Mapping[str, str]:
        """The query of the address; the first value of each name."""
        return dict(reversed(self.http.query_params.multi_items()))

    @property
    def authorization(self) -> str:
        """The header of that name, or ""."""
        return self.http.headers.get("authorization", "")

    @property
    def secret(self) -> str:
        """The key that a model call carries, without `sk-`; "" for none."""
        # Anthropic's header counts here too (measured).
        return secret_in(self.http.headers.get("x-api-key", "") or self.authorization)

    @property
    def language(self) -> Language:
        """The language the client asks for; English unless it is Chinese."""
        return "zh" if self.http.headers.get("accept-language", "").lower().startswith("zh") else "en"

    @property
    def request_id(self) -> str:
        """The id that the answer carries in `X-Oneapi-Request-Id`."""
        return f"{self.http.scope['sandbox.request_id']}"

    @property
    def id(self) -> int:
        """The id in the path."""
        text = self.http.path_params["id"]
        if not text.removeprefix("-").removeprefix("+").isdecimal() or not text.isascii():
            raise Refused("id.not_a_number", id=text)
        if abs(int(text[:20])) >= 2**63:
            raise Refused("id.too_large", id=text)
        return int(text)


def success(data: Any = None, *, with_data: bool = True) -> Response:
    """The API says yes."""
    yes = {"message": "", "success": True}
    return JSONAnswer({"data": data} | yes if with_data else yes)


def failure(message: str, status: int = 200, code: str | None = None) -> Response:
    """The management API says no, with HTTP status 200 in most cases."""
    return JSONAnswer(({"code": code} if code else {}) | {"message": message, "success": False}, status)


def refusal(asked: Asked, refused: Refused) -> Response:
    """The management API says no."""
    chinese = asked.dialect.chinese_auth and refused.key.startswith(("auth.", "key."))
    message = sentence(refused.key, "zh" if chinese else asked.language, **refused.values)
    return failure(message, refused.status, refused.code or None)


def model_refusal(asked: Asked, refused: Refused) -> Response:
    """A model endpoint says no, in the shape of OpenAI's errors."""
    dialect = asked.dialect
    chinese = (dialect.chinese_auth or dialect.reasons_for_dead_keys) and refused.key.startswith("key.")
    message = sentence(refused.key, "zh" if chinese else asked.language, **refused.values)
    error = {
        "code": refused.code,
        "message": f"{message} (request id: {asked.request_id})",
        "type": "new_api_error",
    }
    if refused.key.startswith("reserve."):
        # Measured: only what is refused once a model has been chosen has this field.
        error["param"] = ""
    return JSONAnswer({"error": error}, refused.status)


def wrong_path(method: str, path: str) -> Response:
    """A path that is not there: JSON below /api and /v1, the dashboard's page elsewhere (measured)."""
    if not path.startswith(("/api", "/v1", "/assets")):
        return HTMLResponse(PAGE, headers={"cache-control": "no-cache"})
    error = {
        "message": f"Invalid URL ({method} {path})",
        "type": "invalid_request_error",
        "param": "",
        "code": "",
    }
    return JSONAnswer({"error": error}, 404, headers={"cache-control": "max-age=604800"})


def too_many(accept_encoding: str, retry_after: str | None) -> Response:
    """429 as measured: no content type and an empty body, packed for clients that accept gzip."""
    packed = "gzip" in accept_encoding
    headers = {"content-encoding": "gzip"} if packed else {}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return Response(_PACKED_NOTHING if packed else b"", 429, headers)
