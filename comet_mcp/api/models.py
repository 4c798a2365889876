"""The API's JSON, verbatim: what is sent and what comes back. "Token" here is the API's word for an API key."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, SecretStr, ValidationError
from pydantic_core import from_json

from comet_mcp.domain.key import MOST, Key, Number

_Model = TypeVar("_Model", bound=BaseModel)
_LENIENT = ConfigDict(hide_input_in_errors=True, defer_build=True)

MAX_KEYS = 5_000
"""Most keys taken from the API at once, which holds 1,000 of an account (by its source)."""

_MAX_MODELS = 10_000
"""Most models in one list; the catalog has some 300."""

_MAX_ROWS = 10_000
"""Most rows of the log, or sums, in one answer; a page of the log has 100."""

_MAX_VALUES = 50_000
"""Most values in one answer. A page of 100 keys has 2,000; each may take 200 bytes where it has three in the answer."""

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class CreateAnswer(BaseModel):
    """What the answer to a create may hold one day. Today it is empty: no id, no key (documented and measured)."""

    model_config = _LENIENT

    id: int | None = None
    key: SecretStr | None = None


class TokenPage(BaseModel):
    """One page of `GET /api/token/`, newest first."""

    model_config = _LENIENT

    page: Number = 0
    page_size: Number = 0
    total: Number = 0
    items: Annotated[list[Key], FailFast(), Field(max_length=MAX_KEYS)]
    size: int = 0
    """Bytes that it had on the way, which the API itself does not say."""


class Envelope(BaseModel):
    """What every management call answers with."""

    model_config = _LENIENT

    success: bool
    message: str = ""
    data: Any = None


class Account(BaseModel):
    """The account, of `GET /api/user/self`; `quota` is the balance, `id` 0 where it is not told."""

    model_config = _LENIENT

    id: Number = 0
    username: str = ""
    group: str = ""
    quota: Number
    used_quota: Number = 0
    request_count: Number = 0


class LogRow(BaseModel):
    """A row of the log: one model call, or a refund; `quota` is what it cost or gave back, in quota units.

    `token_name` is the key's name at that time, `created_at` when the call ended, in Unix seconds.
    """

    model_config = _LENIENT

    created_at: Number = 0
    token_id: Number = 0
    token_name: str = ""
    model_name: str = ""
    quota: Number = 0


class LogPage(BaseModel):
    """One page of `GET /api/log/self`, newest first."""

    model_config = _LENIENT

    total: Number = 0
    items: Annotated[list[LogRow], FailFast(), Field(max_length=_MAX_ROWS)]


class HourSum(BaseModel):
    """What a model cost in the hour that begins at `created_at`: a row of `GET /api/data/self`."""

    model_config = _LENIENT

    created_at: Number = 0
    model_name: str = ""
    count: Number = 0
    quota: Number = 0


class KeySum(BaseModel):
    """What a key spent on a model in the hours that were asked for: a row of `GET /api/data/flow/self`.

    `token_name` is today's name of the key, "" for one that was deleted.
    """

    model_config = _LENIENT

    token_id: Number = 0
    token_name: str = ""
    model_name: str = ""
    count: Number = 0
    quota: Number = 0


class HourSums(BaseModel):
    """All of one answer."""

    model_config = _LENIENT

    data: Annotated[list[HourSum], FailFast(), Field(max_length=_MAX_ROWS)] = []


class KeySums(BaseModel):
    """All of one answer."""

    model_config = _LENIENT

    data: Annotated[list[KeySum], FailFast(), Field(max_length=_MAX_ROWS)] = []


class Pricing(BaseModel):
    """Prices in `currency`: per million tokens, per call, or per second of output."""

    currency: str = "USD"
    input: float | None = None
    output: float | None = None
    per_request: float | None = None
    per_second: float | None = None


class CatalogModel(BaseModel):
    """A model that the account may use; gateways tell only its id."""

    id: str
    provider: str = ""
    model_type: str = ""
    pricing: Pricing | None = None


class ModelList(BaseModel):
    """Any of the lists of models: the catalog, or `/v1/models`."""

    model_config = _LENIENT

    data: Annotated[list[CatalogModel], FailFast(), Field(max_length=_MAX_MODELS)]


class TooManyValuesError(ValueError):
    """An answer has more values than are taken into memory."""


def parse_json(body: bytes) -> Any:
    """The JSON in `body`, without a lone surrogate anywhere: one in a result would end the server.

    Raises:
        TooManyValuesError: It has more values than any answer of the API.
        ValueError: It is not JSON, or nested too deeply.
    """
    if _has_too_many_values(body):
        raise TooManyValuesError
    try:
        return from_json(body)
    except ValueError:
        # A hostile name must not make its whole page unreadable: what the strict parser refuses (a lone
        # surrogate, bad UTF-8) is read leniently, and what cannot be written as UTF-8 becomes "?".
        try:
            text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        return from_json(text.encode("utf-8", "replace"))


def _has_too_many_values(body: bytes) -> bool:
    """Whether a JSON text has more than `_MAX_VALUES`, found without reading it.

    Each value but the last of all has one of `,]}` behind it, and brings two texts at most, its name and itself. Only
    where few texts have many of these marks, as lists of models have, it is worth the time to look outside of them.
    """

    def marks(text: bytes) -> int:
        return text.count(b",") + text.count(b"]") + text.count(b"}")

    if marks(body) <= _MAX_VALUES:
        return False
    return body.count(b'"') > 4 * _MAX_VALUES or marks(_TEXT.sub(b"", body)) > _MAX_VALUES


def payload(model: type[_Model], value: Any) -> _Model:
    """`value` as `model`. Raises ValidationError where it has another shape.

    What is null stands for the default, and a number beyond 64 bits, which is nonsense, for the largest there is:
    neither may hide the page it is on. Most answers have none of that, so only those that fail are gone through.
    """
    try:
        return model.model_validate(value)
    except ValidationError:
        return model.model_validate(_fixed(value))


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fixed(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_fixed(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-MOST - 1, min(value, MOST))
    return value
