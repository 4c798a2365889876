"""What the API answered, read: an answer becomes a payload or one of `errors`, and each such rule is here once.

What is no answer of the API's own (a firewall's page, a challenge, a captive portal, a proxy) says nothing of the token
or of a key, whatever its status: it becomes `no_usable_answer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from comet_mcp.api.models import Envelope, TooManyValuesError, parse_json, payload
from comet_mcp.errors import (
    TOKEN_PAGE,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnclearError,
)
from comet_mcp.text import backend_text, printable

_Model = TypeVar("_Model", bound=BaseModel)


class Answer(NamedTuple):
    """One HTTP answer, read whole and bounded."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reading: bool = False
    source: Callable[[str], str] = str
    """Where the value of a setting stands, by its variable."""
    hear: Callable[[], None] = lambda: None
    """Hears its Date header. Called once the answer has shown to be the API's own: a page's clock is anybody's."""

    @property
    def request_id(self) -> str | None:
        """The API's id of the request, for its vendor's support."""
        found = self.headers.get("x-oneapi-request-id")
        return printable(found, 80) if found else None


def checked(answer: Answer, host: str, *, as_key: bool = False) -> Answer:
    """The answer, if it is a 200; else the error its status stands for.

    Args:
        answer: What came.
        host: From where, for the messages.
        as_key: Whether a model key asked, so that a 401 says nothing of the account's access token.
    """
    status = answer.status
    if status == 200:
        return answer
    reference = answer.request_id
    if 300 <= status < 400:  # the API has none for the calls that are made here
        raise RefusedError(
            f"{host} answered with a redirect ({status}), which was not followed: nothing was read or changed, and it "
            f"says nothing of the access token or of a key. {_between(answer)}",
            code=UnclearError.code,
            request_id=reference,
        )
    if status == 429 and not answer.body:  # measured: the API's own is empty
        raise _rate_limited(answer)
    own = _heard(answer)
    if status == 404:
        raise _no_such_call(host, answer, is_own=own is not None)
    if own is None:
        raise unusable(answer, f"is {_looks(answer)}, with the status {status}")
    said = backend_text(own)
    if status == 429:
        raise _rate_limited(answer)
    if as_key and status in (401, 403):
        raise RefusedError(said or f"refused ({status})", code="key_refused", request_id=reference)
    if status == 401:
        raise _unauthorized(said, answer)
    if 400 <= status < 500 and status != 408:
        raise RefusedError(
            f"{host} refused the request ({status}){said and f': {said}'}. Nothing was changed.",
            request_id=reference,
        )
    raise UnclearError(
        f"{host} answered with an error ({status}){said and f': {said}'}. Try again in a minute.",
        code="api_failed",
        request_id=reference,
    )


def envelope(answer: Answer, token_id: int | None = None) -> Envelope:
    """The envelope of an answer that says success; else the error it stands for. The API says no with a 200."""
    envelope = parse(Envelope, json_of(answer), answer)
    answer.hear()
    if envelope.success:
        return envelope
    said, reference = backend_text(envelope.message), answer.request_id
    lower = said.lower()
    if "access token" in lower or "new-api-user" in lower or "unauthorized" in lower:
        raise _unauthorized(said, answer)
    if token_id is not None and ("not found" in lower or "不存在" in said):
        raise NotFoundError(f"No API key has id {token_id}. Call list_api_keys to see the ids.", request_id=reference)
    raise _refusal(said, reference)


def json_of(answer: Answer) -> Any:
    """The JSON in an answer; an UnclearError where there is none."""
    try:
        return parse_json(answer.body)
    except TooManyValuesError:
        raise unusable(answer, "has more in it than any answer of the API") from None
    except ValueError:
        raise unusable(answer, f"is {_looks(answer)}") from None


def _refusal(said: str, reference: str | None) -> RefusedError:
    lower = said.lower()
    if "name is too long" in lower or "名称过长" in said:
        return RefusedError(
            f'The API finds the name too long: "{said}". Some releases allow 50 characters, some 50 bytes of UTF-8, '
            "where an accented letter counts 2 and a Chinese or Japanese one 3, some fewer. Use a shorter name.",
            code="name_too_long",
            request_id=reference,
        )
    if "group" in lower or "分组" in said:
        return RefusedError(
            f'The API refused the group: "{said}". Use "" or a group that the account has.',
            code="group_refused",
            request_id=reference,
        )
    if ("maximum" in lower and "token" in lower) or "上限" in said or "最大令牌" in said:
        return RefusedError(
            f'The account can hold no more keys: "{said}". Delete a key that is not used any more, then try again.',
            code="too_many_keys",
            request_id=reference,
        )
    if most := re.search(r"exceeds valid range, maximum is ([0-9]{1,18})", said):
        return RefusedError(
            f"The API allows at most {most[1]} quota units for one key (remain_quota). Nothing was changed. Give a "
            "smaller budget.",
            code="budget_too_large",
            request_id=reference,
        )
    quote = f': "{said}"' if said else " and gave no reason"
    return RefusedError(f"The API refused{quote}. Nothing was changed.", request_id=reference)


def _unauthorized(said: str, answer: Answer) -> UnauthorizedError:
    lower = said.lower()
    if "new-api-user" in lower:
        place = answer.source("COMETAPI_USER_ID")
        place += ", or user_id in the config file," if place == "COMETAPI_USER_ID" else ""
        return UnauthorizedError(
            "The API wants the account's id beside the access token"
            + (", and the one it got is another account's" if "match" in lower or "不匹配" in said else "")
            + f". Ask the person who runs this server to set {place} to the number shown on "
            "the account's profile page, then to restart the client.",
            code="user_id_needed",
            request_id=answer.request_id,
        )
    quote = f' (it says "{said}")' if said else ""
    return UnauthorizedError(
        f"The API does not accept the access token{quote}. A model key (sk-...) is not one. "
        f"Ask the person who runs this server to put a new personal access token from {TOKEN_PAGE} into "
        f"{answer.source('COMETAPI_ACCESS_TOKEN')}, then to restart the client.",
        request_id=answer.request_id,
    )


def _no_such_call(host: str, answer: Answer, *, is_own: bool) -> RefusedError:
    """What a 404 means. A wrong path is answered in JSON (measured), or with a page: then it may be anybody's."""
    said = (
        f"{host} has no such call (404). Either {answer.source('COMETAPI_BASE_URL')} is not the API's address (the "
        "part before /api/), or this release of the API lacks it."
    )
    if is_own:
        return RefusedError(said, code="no_such_call", request_id=answer.request_id)
    more = "The answer is not the API's own, so it says nothing of the access token or of a key."
    return RefusedError(f"{said} {more} {_between(answer)}", code=UnclearError.code, request_id=answer.request_id)


def _rate_limited(answer: Answer) -> RateLimitedError:
    text = answer.headers.get("retry-after", "")
    seconds = float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
    wait = f"Try again in {seconds:.0f} seconds" if seconds else "Wait three minutes before the next call"
    return RateLimitedError(
        f"The API takes no more calls from here for now (429), and did nothing. {wait}.",
        retry_after=seconds,
        request_id=answer.request_id,
    )


def _heard(answer: Answer) -> str | None:
    """The message of an error answer of the API's own, whose date is heard; None for what is not its own."""
    own = _own(answer)
    if own is not None:
        answer.hear()
    return own


def _own(answer: Answer) -> str | None:
    """The message of an error answer in one of the API's two shapes (measured); None for what is not the API's own."""
    try:
        value = parse_json(answer.body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict):
        return message if isinstance(message := error.get("message"), str) else None
    if not isinstance(value.get("success"), bool):
        return None
    return message if isinstance(message := value.get("message"), str) else ""


def _looks(answer: Answer) -> str:
    """What the body of an answer that is not the API's own is, in a word or two."""
    body = answer.body.lstrip()
    if not body:
        return "empty"
    if body[:1] == b"<":
        return "HTML"
    try:
        parse_json(body)
    except ValueError:
        return "not JSON"
    return "JSON of another shape than the API's"


def _between(answer: Answer) -> str:
    return (
        "Something else may have answered in the API's place: a firewall, a proxy, or the login page of a network. Ask "
        "the person who runs this server to open the API's address in a browser on this machine, and to check the "
        f"network and {answer.source('COMETAPI_BASE_URL')}, the part before /api/."
    )


def unusable(answer: Answer, what: str) -> UnclearError:
    """The error for an answer that `what` ("is empty") makes useless, and that says nothing of a key or the token."""
    effect = "nothing was read" if answer.reading else "so what the call did is not known"
    return UnclearError(
        f"The answer {what}; {effect}, and it says nothing of the access token or of a key. {_between(answer)}",
        request_id=answer.request_id,
    )


def parse(model: type[_Model], value: Any, answer: Answer) -> _Model:
    """`value` as `model`; an UnclearError, which names the place but never the value, where it has another shape."""
    try:
        return payload(model, value)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        raise unusable(answer, f"has another shape than expected{where and f' (at {printable(where, 60)})'}") from None
