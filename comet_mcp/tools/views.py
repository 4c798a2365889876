"""What the tools return.

Fields that mirror the API keep the API's names and types (`expired_time`, `remain_quota`); beside them stands the
form that reads best (`expires`, `remaining`). A key's value is in none of them but `Secret.value`, and there only
where the operator asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import SecretStr

from comet_mcp.api.models import CatalogModel, Pricing
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.domain.lifetimes import expiry, when
from comet_mcp.domain.money import Units
from comet_mcp.secret_store import Saved, mask
from comet_mcp.services.finding import Created

_MIRRORED = (*(name for name in KeySpec.model_fields if name != "name"), "used_quota")


@dataclass(kw_only=True, eq=False, repr=False)
class Result:
    """A tool's result: a dataclass of strings, numbers, lists and other results. What is None is left out.

    `unpublished` fields are not named in the output schema, which every conversation has to read. None has a text form
    of its own: it would show a value, and generating it takes a part of the server's start.
    """

    unpublished: ClassVar[frozenset[str]] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        return {name: _plain(value) for name, value in vars(self).items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.as_json() if isinstance(value, Result) else value


@dataclass(kw_only=True, eq=False, repr=False)
class APIKey(Result):
    """A key with every field: `status`, `created`, `last_used`, `expires`, `remaining` and `used` are in words."""

    unpublished: ClassVar[frozenset[str]] = frozenset(_MIRRORED)

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
    def of(cls, row: Key, units: Units, now: float) -> Self:
        """The record of the API, readable."""
        return cls(**record(row, units, now))


def record(row: Key, units: Units, now: float) -> dict[str, Any]:
    """The fields of an APIKey for a record of the API."""
    return {
        "id": row.id,
        "name": row.name,
        "key": mask(row.key),
        "status": row.state(now).word,
        "created": when(row.created_time),
        "last_used": last_used(row),
        "expires": expiry(row.expired_time),
        "remaining": remaining(row, units),
        "used": units.usd(row.used_quota),
        **{name: getattr(row, name) for name in _MIRRORED},
    }


@dataclass(kw_only=True, eq=False, repr=False)
class Secret(Result):
    """Where the key's value is: `load` starts a program with it, `shells` has the line for a shell's environment."""

    stored_in: str
    path: str | None = None
    variable: str | None = None
    load: str | None = None
    shells: dict[str, str] | None = None
    value: SecretStr | None = None
    """Only where the operator wants it shown; it is unwrapped where the result is redacted."""

    @classmethod
    def of(cls, saved: Saved) -> Secret:
        """What the store says of it."""
        return cls(
            stored_in=saved.stored_in,
            path=saved.path,
            variable=saved.variable,
            load=saved.load,
            shells=dict(saved.shells) or None,
            value=saved.value,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class CreatedKey(APIKey):
    """A new key. `secret` is missing where the value could not be stored; `warnings` then say what to do."""

    secret: Secret | None = None
    warnings: list[str] | None = None

    @classmethod
    def made(cls, created: Created, units: Units, now: float, warnings: Sequence[str] = ()) -> CreatedKey:
        """A key that was made, with warnings about what was asked for and about what became of it."""
        return cls(
            **record(created.row, units, now),
            secret=Secret.of(created.saved) if created.saved else None,
            warnings=[*warnings, *created.warnings] or None,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class SavedKey(Result):
    """A key whose value was put into the store."""

    id: int
    name: str
    key: str
    secret: Secret


@dataclass(kw_only=True, eq=False, repr=False)
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
    def of(cls, row: Key, units: Units, now: float) -> ListedKey:
        """The record of the API, short."""
        return cls(
            id=row.id,
            name=row.name,
            key=mask(row.key),
            status=row.state(now).word,
            expires=expiry(row.expired_time),
            remaining=remaining(row, units),
            models=(row.model_limits or "none") if row.model_limits_enabled else None,
            ips=row.allow_ips or None,
            group=row.group or None,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class KeyPage(Result):
    """One page of keys, newest first. `total` counts all pages; `notes` tell of earlier creates."""

    page: int
    page_size: int
    total: int
    items: list[ListedKey]
    notes: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class PlannedKey(Result):
    """A body for create_api_key, and what a key made from it would be. Nothing was created.

    Where something has to be asked first, `ask` has the sentences for it, and there is no body. `understood` says which
    names were taken for what was written. `checked` is what was looked at. `broken_rules` are those of the policy that
    refuse the body, and `nearest_allowed` is the one to send instead.
    `budget` is no promise of what the key costs at most: the API charges a call when it has ended, and one dear call
    may pass what is left (measured: $2.56 on a key of $0.02).
    """

    unpublished = frozenset({"understood", "broken_rules", "nearest_allowed"})

    create_api_key: dict[str, Any] | None = None
    ask: list[str] | None = None
    budget: str | None = None
    ends: str | None = None
    understood: list[str] | None = None
    checked: list[str]
    broken_rules: list[str] | None = None
    nearest_allowed: dict[str, Any] | None = None
    warnings: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class UpdatedKey(APIKey):
    """A key after a change. `changed` has the old and the new value of each field that is another one now."""

    changed: dict[str, list[Any]]
    warnings: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class DeletedKey(Result):
    """What was deleted; `recreate` is the create_api_key body of an equal key. `deleted` is false where none was."""

    id: int
    deleted: bool
    name: str | None = None
    recreate: dict[str, Any] | None = None
    note: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class RotatedKey(Result):
    """Both keys after a rotation; `old_key` has its id, status and expiry, or that it is deleted.

    `nothing_done` is true where an earlier call had done it all.
    """

    unpublished = frozenset({"nothing_done"})

    new_key: CreatedKey
    old_key: dict[str, Any]
    steps: list[str]
    nothing_done: bool | None = None
    warnings: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class VerifiedKey(Result):
    """Whether a key works. `verdict` is "works", "does not work" or "can't be told"; `reasons` say why not.

    `models` are what the API lets the key call, left out where it could not be asked as that key.
    """

    unpublished = frozenset({"notes"})

    id: int
    name: str
    verdict: str
    reasons: list[str] | None = None
    notes: list[str] | None = None
    remaining: str
    remain_quota: int
    expires: str
    models: list[str] | None = None
    models_total: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class ListedModel(Result):
    """A model; prices are USD."""

    id: str
    provider: str | None = None
    type: str | None = None
    price: str | None = None

    @classmethod
    def of(cls, model: CatalogModel) -> ListedModel:
        """The catalog's entry, short."""
        return cls(
            id=model.id,
            provider=model.provider or None,
            type=model.model_type or None,
            price=_price(model.pricing) if model.pricing else None,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class ModelPage(Result):
    """The models that were asked for. `total` counts those that `limit` cut off too."""

    total: int
    items: list[ListedModel]
    did_you_mean: list[str] | None = None
    note: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class AccountInfo(Result):
    """The account in quota units and USD."""

    username: str | None = None
    balance: str
    balance_quota: int
    used: str
    used_quota: int
    requests: int
    group: str | None = None
    groups: list[str] | None = None


def last_used(row: Key) -> str:
    """When a model was last called, "never" where none was: the API starts with the time of creation (measured)."""
    is_unused = not row.used_quota and row.accessed_time <= row.created_time
    return "never" if is_unused else when(row.accessed_time)


def remaining(row: Key, units: Units) -> str:
    """What the key may still spend, "$4.98 of $5.00"; only the first figure while nothing is spent."""
    if row.unlimited_quota:
        return "unlimited"
    left = units.usd(row.remain_quota)
    return f"{left} of {units.usd(row.remain_quota + row.used_quota)}" if row.used_quota else left


def _price(pricing: Pricing) -> str | None:
    sign = "$" if pricing.currency == "USD" else f"{pricing.currency} "
    parts = []
    if pricing.input is not None or pricing.output is not None:
        figures = " in, ".join(f"{sign}{figure:g}" for figure in (pricing.input, pricing.output) if figure is not None)
        parts.append(f"{figures} out per 1M tokens" if pricing.output is not None else f"{figures} per 1M tokens")
    if pricing.per_request is not None:
        parts.append(f"{sign}{pricing.per_request:g} per call")
    if pricing.per_second is not None:
        parts.append(f"{sign}{pricing.per_second:g} per second")
    return "; ".join(parts) or None
