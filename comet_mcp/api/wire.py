"""The API's JSON, verbatim: what is sent and what comes back. "Token" here is the API's word for an API key."""

from __future__ import annotations

import json
import re
from enum import IntEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import from_json

from comet_mcp.units import NEVER

_VALUE = re.compile(r"(sk-)?[\x21-\x29\x2b-\x7e]{16,}")  # measured: 48 alphanumerics; a mask has stars
_Model = TypeVar("_Model", bound=BaseModel)
_LENIENT = ConfigDict(hide_input_in_errors=True, defer_build=True)


class Status(IntEnum):
    """A key's status. Measured: the gateway stores any number it is given, so a record's may be none of these."""

    ENABLED = 1
    DISABLED = 2
    EXPIRED = 3
    EXHAUSTED = 4


_WORDS = {int(status): status.name.lower() for status in Status}


def status_word(status: int) -> str:
    """A record's status in a word."""
    return _WORDS.get(status) or f"unknown ({status})"


_MOST = 2**63 - 1
_Number = Annotated[int, Field(ge=-_MOST - 1, le=_MOST)]
"""The API counts in 64 bits."""


class TokenBody(BaseModel):
    """The nine fields of `POST /api/token/`, with the API's defaults. What is sent holds all of them and no other."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    name: str
    expired_time: int = NEVER
    remain_quota: int = 0
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str | None = None
    group: str = ""
    cross_group_retry: bool = False


class Token(BaseModel):
    """One record of the API. A release may add fields, and may send null for any: `payload` minds that.

    `key` is the full value or a masked one, by release, without the `sk-` that programs put in front.
    """

    model_config = _LENIENT

    id: _Number
    user_id: _Number = 0
    key: SecretStr = SecretStr("")
    status: _Number = 0
    name: str = ""
    created_time: _Number = 0
    accessed_time: _Number = 0
    expired_time: _Number = NEVER
    remain_quota: _Number = 0
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str = ""
    used_quota: _Number = 0
    group: str = ""
    cross_group_retry: bool = False


class CreateAnswer(BaseModel):
    """What the answer to a create may hold one day. Today it is empty: no id, no key (documented and measured)."""

    model_config = _LENIENT

    id: int | None = None
    key: SecretStr | None = None


class TokenPage(BaseModel):
    """One page of `GET /api/token/`, newest first."""

    model_config = _LENIENT

    page: _Number = 0
    page_size: _Number = 0
    total: _Number = 0
    items: list[Token] = []


class Envelope(BaseModel):
    """What every management call answers with."""

    model_config = _LENIENT

    success: bool
    message: str = ""
    data: Any = None


class Usage(BaseModel):
    """What a key has left, as the key itself asks."""

    model_config = _LENIENT

    total_available: _Number = 0
    total_used: _Number = 0
    unlimited_quota: bool = False


class Account(BaseModel):
    """The account, of `GET /api/user/self`; `quota` is the balance."""

    model_config = _LENIENT

    username: str = ""
    group: str = ""
    quota: _Number = 0
    used_quota: _Number = 0
    request_count: _Number = 0


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

    data: list[CatalogModel]


def parse_json(body: bytes) -> Any:
    """The JSON in `body`, without a lone surrogate anywhere: one in a result would end the server.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return from_json(body)
    except ValueError:
        # A hostile name must not make its whole page unreadable: what the strict parser refuses (a lone
        # surrogate, bad UTF-8) is read leniently, and what cannot be written as UTF-8 becomes "?".
        try:
            value = json.loads(body.decode("utf-8", "replace"))
            return from_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def payload(model: type[_Model], value: Any) -> _Model:
    """`value` as `model`. Raises ValidationError where it has another shape.

    What is null stands for the default, and a number beyond 64 bits, which is nonsense, for the largest there is:
    neither may hide the page it is on. Most answers have none of that, so only those that fail are gone through.
    """
    try:
        return model.model_validate(value)
    except ValidationError:
        return model.model_validate(_mended(value))


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mended(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_MOST - 1, min(value, _MOST))
    return value


def with_prefix(key: SecretStr) -> SecretStr:
    """The key as programs use it: the API leaves out the `sk-` in front."""
    value = key.get_secret_value()
    return SecretStr(value if value.startswith("sk-") else f"sk-{value}")


def is_masked(key: str) -> bool:
    """Whether a record's key is a mask (`gLEC**********DQNw`) or missing, so that it has to be revealed."""
    return not _VALUE.fullmatch(key)


def body_of(row: Token) -> TokenBody:
    """The body that would make an equal key."""
    return TokenBody.model_validate(row.model_dump(include=set(TokenBody.model_fields)))


def differences(body: TokenBody, row: Token, *, tolerated: bool = False) -> list[str]:
    """Where a row differs from what was sent, as sentences.

    Args:
        body: What was sent.
        row: What the API has.
        tolerated: Leave out what a release is known to change. Measured: the newest stores `cross_group_retry` as
            false unless the group is `auto`.
    """
    sent, stored = body.model_dump(), row.model_dump(include=set(TokenBody.model_fields))
    sent["allow_ips"] = sent["allow_ips"] or ""  # measured: null is stored as "" on create and as null on update
    if tolerated and not stored["cross_group_retry"]:
        sent["cross_group_retry"] = False
    return [
        f"{name} was sent as {json.dumps(sent[name])} and stored as {json.dumps(stored[name])}."
        for name in sent
        if sent[name] != stored[name]
    ]


def is_namesake(body: TokenBody, row: Token) -> bool:
    """Whether a row has the body's name, give or take white space and case: what the API may have normalised."""
    return row.name.strip().casefold() == body.name.strip().casefold()
