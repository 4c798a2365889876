"""What the tools return.

Fields that mirror the API keep the API's names and types (`expired_time`, `remain_quota`); beside them stands the
form that reads best (`expires`, `remaining`). A key's value is in none of them but `Secret.value`, and there only
where the operator asked for it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, model_serializer

from comet_mcp.secret_store import KEY_VARIABLE, Saved, mask
from comet_mcp.units import expiry, usd, when
from comet_mcp.wire import STATUS_WORDS, Token, TokenBody


class Result(BaseModel):
    """A tool's result. What is None is left out.

    `unpublished` fields are not named in the output schema, which every conversation has to read.
    """

    unpublished: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_none(self, dump: Any) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class APIKey(Result):
    """A key with every field: `status`, `created`, `last_used`, `expires`, `remaining` and `used` are in words."""

    unpublished = frozenset(TokenBody.model_fields) - {"name"} | {"used_quota"}

    id: int
    name: str
    key: str
    status: str
    created: str
    last_used: str
    expires: str
    remaining: str
    used: str
    expired_time: int
    remain_quota: int
    used_quota: int
    unlimited_quota: bool
    model_limits_enabled: bool
    model_limits: str
    allow_ips: str
    group: str
    cross_group_retry: bool

    @classmethod
    def of(cls, row: Token, **more: Any) -> APIKey:
        """The record of the API, readable."""
        mirrored = row.model_dump(include=set(cls.model_fields) & set(Token.model_fields) - {"key", "status"})
        return cls(
            **mirrored,
            key=mask(row.key),
            status=status_word(row.status),
            created=when(row.created_time),
            last_used=when(row.accessed_time),
            expires=expiry(row.expired_time),
            remaining=remaining(row),
            used=usd(row.used_quota),
            **more,
        )


class Secret(Result):
    """Where the key's value is: `load` is the line that puts it into a shell's environment."""

    stored_in: str
    path: str | None = None
    variable: str | None = None
    load: str | None = None
    value: str | None = None

    @classmethod
    def of(cls, saved: Saved) -> Secret:
        """What the store says of it."""
        return cls(
            stored_in=saved.stored_in,
            path=saved.path,
            variable=KEY_VARIABLE if saved.path else None,
            load=saved.load,
            value=saved.value.get_secret_value() if saved.value else None,
        )


class CreatedKey(APIKey):
    """A new key. `secret` is missing where the value could not be stored; `warnings` then say what to do."""

    secret: Secret | None = None
    warnings: list[str] | None = None


class SavedKey(Result):
    """A key whose value was put into the store."""

    id: int
    name: str
    key: str
    secret: Secret


class ListedKey(Result):
    """A key in a list: each thing once, in the form that reads best; what is empty is left out."""

    id: int
    name: str
    key: str
    status: str
    expires: str
    remaining: str
    models: str | None = None
    ips: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, row: Token) -> ListedKey:
        """The record of the API, short."""
        return cls(
            id=row.id,
            name=row.name,
            key=mask(row.key),
            status=status_word(row.status),
            expires=expiry(row.expired_time),
            remaining=remaining(row),
            models=(row.model_limits or "none") if row.model_limits_enabled else None,
            ips=row.allow_ips or None,
            group=row.group or None,
        )


class KeyPage(Result):
    """One page of keys, newest first. `total` counts all pages; `notes` tell of earlier creates."""

    page: int
    page_size: int
    total: int
    items: list[ListedKey]
    notes: list[str] | None = None


def status_word(status: int) -> str:
    """The API's status in a word. Measured: the gateway stores any number it is given."""
    return STATUS_WORDS.get(status, f"unknown ({status})")


def remaining(row: Token) -> str:
    """What the key may still spend, "$4.98 of $5.00"; only the first figure while nothing is spent."""
    if row.unlimited_quota:
        return "unlimited"
    left = usd(row.remain_quota)
    return f"{left} of {usd(row.remain_quota + row.used_quota)}" if row.used_quota else left
