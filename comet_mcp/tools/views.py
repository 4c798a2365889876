"""What the tools return of keys.

Every result speaks of a key in the words of `key_words`; the API's own fields stand in `KeyRecord` alone. A key's value
is in none of them but `Secret.value`, and there only where the operator asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import SecretStr

from comet_mcp.domain.forecast import Forecast
from comet_mcp.domain.key import Key, mask
from comet_mcp.domain.lifetimes import when
from comet_mcp.domain.money import Units
from comet_mcp.secret_store import Saved
from comet_mcp.secret_store.base import Outcome, needed_base_url
from comet_mcp.services.finding import Created
from comet_mcp.settings import Settings
from comet_mcp.tools.key_words import ANY, NONE, UNUSED, runs_out, words_of
from comet_mcp.tools.plan_views import KeyBody
from comet_mcp.tools.result import Result

_RAW = tuple(name for name in Key.model_fields if name not in ("id", "user_id", "key", "name"))


_UNPUBLISHED = frozenset({"key", "state", "ends", "budget", "spent", "last_used", "models", "addresses", "group"})
"""Fields that only the output schemas of get_api_key and of lists name: every conversation has to read them all."""


@dataclass(kw_only=True, eq=False, repr=False)
class KeyView(Result):
    """A key in words and dollars. `state` is a StateWord, or a status that only the API knows: no closed set."""

    id: int
    name: str
    key: str
    state: str
    ends: str
    budget: str
    spent: str
    last_used: str
    models: str
    addresses: str
    group: str


def shown(row: Key, units: Units, now: float) -> dict[str, Any]:
    """The fields of a KeyView for a record of the API. `now` is in Unix seconds."""
    return {"id": row.id, "name": row.name, "key": mask(row.key), **words_of(row, units, now)}


@dataclass(kw_only=True, eq=False, repr=False)
class KeyRecord(KeyView):
    """A key in words, and `raw`, the fields of the API as it gave them."""

    unpublished = frozenset({"key", "spent", "last_used", "created", "runs_out", "models", "addresses", "group"})

    created: str
    runs_out: str | None = None
    raw: dict[str, Any]

    @classmethod
    def of(cls, row: Key, units: Units, now: float, forecast: Forecast | None = None) -> Self:
        """The record of the API, readable, with when it runs out where that is known to come before its end."""
        raw = {name: getattr(row, name) for name in _RAW}
        said = shown(row, units, now)
        return cls(**said, created=when(row.created_time), runs_out=runs_out(forecast, units), raw=raw)


@dataclass(kw_only=True, eq=False, repr=False)
class Secret(Result):
    """Where the key's value is: `load` starts a program with it, `shells` has the line for a shell's environment.

    `base_url` is where programs send their requests; `needs` is a variable that they need beside the key's. `outcome`
    tells whether a program's own file was created, changed or kept.
    """

    unpublished = frozenset({"base_url", "variable", "shells", "needs", "outcome", "value"})

    stored_in: Literal["file", "keyring", "result", "none"]
    load: str | None = None
    base_url: str
    path: str | None = None
    variable: str | None = None
    shells: dict[str, str] | None = None
    needs: str | None = None
    outcome: Outcome | None = None
    value: SecretStr | None = None
    """Only where the operator wants it shown; it is unwrapped where the result is redacted."""

    @classmethod
    def of(cls, saved: Saved, api: str) -> Secret:
        """What the store says of it; `api` is the address of the API."""
        return cls(
            stored_in=saved.stored_in,
            base_url=f"{api}/v1",
            needs=needed_base_url(saved.variable, api),
            path=saved.path,
            variable=saved.variable,
            load=saved.load,
            shells=dict(saved.shells) or None,
            outcome=saved.outcome,
            value=saved.value,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class CreatedKey(KeyView):
    """A new key. `secret` is missing where the value could not be stored; `warnings` then say what to do."""

    unpublished = _UNPUBLISHED

    secret: Secret | None = None
    warnings: list[str] | None = None

    @classmethod
    def made(cls, created: Created, settings: Settings, now: float, warnings: Sequence[str] = ()) -> CreatedKey:
        """A key that was made, with warnings about what was asked for and about what became of it."""
        return cls(
            **shown(created.row, settings.units, now),
            secret=Secret.of(created.saved, settings.base_url) if created.saved else None,
            warnings=[*warnings, *created.warnings] or None,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class SavedKey(Result):
    """A key whose value was put into the store, or into a file of the person's programs."""

    unpublished = frozenset({"key", "warnings"})

    id: int
    name: str
    key: str
    secret: Secret
    warnings: list[str] | None = None


UNLESS_SAID = {"last_used": UNUSED, "models": ANY, "addresses": ANY, "group": NONE}
"""What a key in a list is where it does not say: told once for all of them."""


@dataclass(kw_only=True, eq=False, repr=False)
class ListedKey(Result):
    """A key in a list; what is as `unless_said` of its page has it is left out."""

    unpublished = frozenset({"runs_out", "last_used", "models", "addresses", "group"})

    id: int
    name: str
    state: str
    ends: str
    budget: str
    runs_out: str | None = None
    spent: str
    last_used: str | None = None
    models: str | None = None
    addresses: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, row: Key, units: Units, now: float, forecast: Forecast | None = None) -> ListedKey:
        """The record of the API, short, with when it runs out where that is known to come before its end."""
        said = {word: text for word, text in words_of(row, units, now).items() if UNLESS_SAID.get(word) != text}
        return cls(id=row.id, name=row.name, runs_out=runs_out(forecast, units), **said)


@dataclass(kw_only=True, eq=False, repr=False)
class KeyPage(Result):
    """One page of keys. `total` counts all pages; `notes` tell of what was looked for, and of earlier creates."""

    unpublished = frozenset({"page", "page_size", "unless_said"})

    page: int
    page_size: int
    total: int
    unless_said: str
    items: list[ListedKey]
    notes: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class UpdatedKey(KeyView):
    """A key after a change. `changed` has what is another now, "old -> new", by the field's word."""

    unpublished = _UNPUBLISHED

    changed: dict[str, str]
    warnings: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class DeletedKey(Result):
    """What was deleted; `recreate` is the create_api_key body of an equal key, whose value would be another.

    `deleted` is false where none was.
    """

    unpublished = frozenset({"recreate", "note"})

    id: int
    deleted: bool
    name: str | None = None
    recreate: KeyBody | None = None
    note: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class EndedKey(Result):
    """A key that has ended, and whether it was deleted."""

    unpublished = frozenset({"state", "ends"})

    id: int
    name: str
    state: str
    ends: str
    spent: str
    deleted: bool

    @classmethod
    def of(cls, row: Key, units: Units, now: float, *, deleted: bool) -> EndedKey:
        """The record of the API, short."""
        words = words_of(row, units, now)
        return cls(id=row.id, name=row.name, deleted=deleted, **{name: words[name] for name in _OF_ENDED})


_OF_ENDED = ("state", "ends", "spent")


@dataclass(kw_only=True, eq=False, repr=False)
class TidiedKeys(Result):
    """The keys that have ended; `notes` tell of those that are not shown, and of those that were left."""

    unpublished = frozenset({"notes"})

    keys: list[EndedKey]
    notes: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class OldKey(Result):
    """A key that was replaced: what became of it, what it spent and when it was used last.

    `state` is "deleted" where it was, and "not known" where that can't be told.
    """

    unpublished = frozenset({"ends", "spent", "last_used"})

    id: int
    state: str
    ends: str | None = None
    spent: str | None = None
    last_used: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class RotatedKey(Result):
    """Both keys after a rotation.

    `nothing_done` is true where an earlier call had done it all, `unfinished` where warnings say what is left to do.
    """

    unpublished = frozenset({"nothing_done", "steps", "unfinished"})

    new_key: CreatedKey
    old_key: OldKey
    steps: list[str]
    nothing_done: bool | None = None
    unfinished: bool | None = None
    warnings: list[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class VerifiedKey(Result):
    """Whether a key works. `verdict` is "works", "does not work" or "can't be told"; `reasons` say why not.

    `models` are what the API lets the key call, left out where it could not be asked as that key.
    """

    unpublished = frozenset({"notes", "budget", "ends", "models", "models_total"})

    id: int
    name: str
    verdict: Literal["works", "does not work", "can't be told"]
    reasons: list[str] | None = None
    notes: list[str] | None = None
    budget: str
    ends: str
    models: list[str] | None = None
    models_total: int | None = None
