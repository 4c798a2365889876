"""What a person is asked before something is changed: what will happen, what it may cost, what it replaces.

The state of a question is what has to be the same when the answer comes. What a key has spent is not in it, only what
it was given in all: a key in use spends while the person reads.
"""

from __future__ import annotations

from comet_mcp.api.wire import Status, Token, TokenBody, body_of, status_word
from comet_mcp.confirmation import Question, digest_of
from comet_mcp.secret_store import Target
from comet_mcp.state.rotations import Rotation
from comet_mcp.text import printable, quoted
from comet_mcp.units import NEVER, Units, expiry, when

_LONGEST = 300


def creating(body: TokenBody, warnings: list[str], units: Units) -> Question:
    """The question before a key is made. `warnings` are those of the checks."""
    parts = [
        f"Create the API key {quoted(body.name)}?",
        f"It may spend {_budget(body, units)} and {_end(body.expired_time)}.",
        *_scope(body),
        *warnings,
    ]
    return Question(" ".join(parts), digest_of("create"))


def updating(row: Token, wanted: TokenBody, status: Status | None, units: Units) -> Question:
    """The question before a key is changed: each field's old and new value."""
    old = body_of(row)
    changes = [
        f"{name}: {_shown(name, getattr(old, name), units)} -> {_shown(name, getattr(wanted, name), units)}"
        for name in TokenBody.model_fields
        if (getattr(old, name) or "") != (getattr(wanted, name) or "")
    ]
    if status is not None and status != row.status:
        changes.append(f"status: {status_word(row.status)} -> {status_word(status)}")
    text = f"Change {_key(row)}? " + ("; ".join(changes) + "." if changes else "Nothing of it would differ.")
    if wanted.unlimited_quota and not old.unlimited_quota:
        text += " It could then spend the account's whole balance."
    return Question(text, digest_of("update", _state(row)))


def deleting(row: Token, units: Units) -> Question:
    """The question before a key is deleted."""
    text = (
        f"Delete {_key(row)} for good? It is {status_word(row.status)}, may still spend "
        f"{_budget(body_of(row), units, '')} and {_end(row.expired_time)}. Programs that use it stop working."
    )
    return Question(text, digest_of("delete", _state(row)))


def rotating(row: Token, begun: Rotation | None, old_key: str, old_until: int, units: Units) -> Question:
    """The question before a key is replaced.

    Args:
        row: The key.
        begun: Its rotation that was begun and not finished, which this call would go on with.
        old_key: How the key ends: `grace`, `disable` or `delete`.
        old_until: For `grace`, until when it works, in Unix seconds.
        units: What a quota unit is worth.
    """
    body = body_of(row) if begun is None else begun.body
    first = f"Replace {_key(row)} by a new key?"
    if begun is not None and begun.done:
        first = f"Store the value of key {begun.new_id} again, which has replaced {_key(row)} already?"
    elif begun is not None:
        first = f"Go on with replacing {_key(row)} by a new key, begun at {when(int(begun.begun))}?"
    if old_key == "grace":
        until = old_until if row.expired_time == NEVER else min(row.expired_time, old_until)
        ending = f"The old key works until {when(until)}; until then both can spend"
        ending += "." if row.unlimited_quota else f", the old one the {units.usd(row.remain_quota)} it has left."
    else:
        ending = f"The old key is then {'disabled' if old_key == 'disable' else 'deleted for good'}."
        ending += " Programs that use it stop working."
    parts = [
        first,
        f"The new one has the same scope, may spend {_budget(body, units)} and {_end(body.expired_time)}.",
        *_scope(body),
        ending,
    ]
    return Question(" ".join(parts), digest_of("rotate", _state(row), None if begun is None else begun.id))


def saving(row: Token, target: Target) -> Question:
    """The question before a key's value is stored."""
    where = f"the file {quoted(target.file)} as {quoted(target.variable)}" if target.file else "its own place"
    text = (
        f"Store the value of {_key(row)} in {where}, where programs of this user can read it? A value that is there "
        "already is replaced."
    )
    return Question(text, digest_of("save", _state(row)))


def _key(row: Token) -> str:
    return f"the API key {quoted(row.name)} (id {row.id})"


def _budget(body: TokenBody, units: Units, before: str = "up to ") -> str:
    whole = "the account's whole balance (no budget)"
    return whole if body.unlimited_quota else before + units.usd(body.remain_quota)


def _end(expired_time: int) -> str:
    return "never expires" if expired_time == NEVER else f"expires at {when(expired_time)}"


def _scope(body: TokenBody) -> list[str]:
    models = printable(body.model_limits.replace(",", ", "), _LONGEST) if body.model_limits_enabled else "every model"
    parts = [f"Models: {models or 'none'}."]
    if body.allow_ips:
        parts.append(f"Only from {printable(', '.join(body.allow_ips.split()), _LONGEST)}.")
    if body.group:
        parts.append(f"Group {quoted(body.group)}.")
    return parts


def _shown(name: str, value: object, units: Units) -> str:
    if name == "expired_time":
        return expiry(int(str(value)))
    if name == "remain_quota":
        return units.usd(int(str(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value or "")
    return quoted(", ".join(text.split()) if name == "allow_ips" else text, _LONGEST) if text else "none"


def _state(row: Token) -> list[object]:
    """All of a key but its spending."""
    body = body_of(row).model_dump(exclude={"remain_quota", "allow_ips"})
    given = 0 if row.unlimited_quota else row.remain_quota + row.used_quota
    return [row.id, row.created_time, row.status, given, row.allow_ips or "", body]
