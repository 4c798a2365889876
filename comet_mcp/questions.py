"""What a person is asked before something is changed: what will happen, what it may cost, what it replaces.

What a person would newly allow is shown whole: the gate refuses a question that is too long, it is never cut. What is
so already, or is taken away, may be shortened, with the number of what is not shown.

The state of a question is what has to be the same when the answer comes. What a key has spent is not in it, only what
it was given in all: a key in use spends while the person reads.
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from comet_mcp.confirmation import LONGEST_QUESTION, Question, digest_of
from comet_mcp.domain.key import Key, KeySpec, Status, status_word
from comet_mcp.policy.addresses import restricts
from comet_mcp.secret_store import Target
from comet_mcp.settings import Secrets
from comet_mcp.state.rotations import Rotation
from comet_mcp.text import quoted
from comet_mcp.units import NEVER, Units, expiry, when

_SOME = 10
"""Entries of a list that is shortened."""

_WARNINGS = 5
"""The warnings that are shown; the most important ones come first."""

_SCOPE = {"model_limits_enabled", "model_limits", "allow_ips", "group", "cross_group_retry"}


def creating(body: KeySpec, warnings: list[str], units: Units) -> Question:
    """The question before a key is made. `warnings` are those of the checks."""
    parts = [
        f"Create the API key {_whole(body.name)}?",
        f"It may spend {_budget(body, units)} and {_end(body.expired_time)}.",
        *_told(warnings),
        *_scope(body),
    ]
    return Question(" ".join(parts), digest_of("create"))


def updating(row: Key, wanted: KeySpec, status: Status | None, warnings: list[str], units: Units) -> Question:
    """The question before a key is changed: each field's old and new value. `warnings` are those of the checks."""
    old = row.spec
    named = [name for name in KeySpec.model_fields if (getattr(old, name) or "") != (getattr(wanted, name) or "")]
    changes = [_change(name, getattr(old, name), getattr(wanted, name), units) for name in named]
    if status is not None and status != row.status:
        changes.append(f"status: {status_word(row.status)} -> {status_word(status)}")
    parts = [
        f"Change {_key(row)}?",
        "; ".join(changes) + "." if changes else "Nothing of it would differ.",
        *_told(warnings),
    ]
    if "allow_ips" in named and not restricts(wanted.allow_ips):
        parts.append(_addresses(wanted.allow_ips, _SOME))
    if "model_limits" in named:
        parts += [] if wanted.model_limits_enabled else [_models(wanted, None)]  # the new list has no effect
    elif "model_limits_enabled" in named:
        parts.append(_models(wanted, _SOME))
    return Question(" ".join(parts), digest_of("update", _state(row)))


def deleting(row: Key, units: Units) -> Question:
    """The question before a key is deleted."""
    text = (
        f"Delete {_key(row)} for good? It is {status_word(row.status)}, may still spend "
        f"{_budget(row.spec, units, '')} and {_end(row.expired_time)}. Programs that use it stop working."
    )
    return Question(text, digest_of("delete", _state(row)))


def rotating(row: Key, begun: Rotation | None, old_key: str, grace: int, units: Units) -> Question:
    """The question before a key is replaced.

    Args:
        row: The key.
        begun: Its rotation that was begun and not finished, which this call would go on with.
        old_key: How the key ends: `grace`, `disable` or `delete`.
        grace: For `grace`, how many seconds it still works. They count from the answer, which is not known yet.
        units: What a quota unit is worth.
    """
    state = digest_of("rotate", _state(row), None if begun is None else begun.id)
    ending = _ending(row, old_key, grace, units)
    if begun is not None and begun.done:
        first = f"Store the value of key {begun.new_id} again, which has replaced {_key(row)} already?"
        return Question(f"{first} {ending}", state)
    first = f"Replace {_key(row)} by a new key?"
    if begun is not None:
        first = f"Go on with replacing {_key(row)} by a new key, begun at {when(int(begun.begun))}?"
    body = row.spec if begun is None else begun.body
    same = body.model_dump(include=_SCOPE) == row.spec.model_dump(include=_SCOPE)
    scope = "same scope" if same else "scope of that time"
    parts = [
        first,
        f"The new one has the {scope}, may spend {_budget(body, units)} and {_end(body.expired_time)}.",
        ending,
        *_scope(body, _SOME if same else None),
    ]
    return Question(" ".join(parts), state)


def saving(row: Key, target: Target, secrets: Secrets) -> Question:
    """The question before a key's value goes where the setting `secrets` has it."""
    key = _key(row)
    if secrets == "result":
        text = f"Show the value of {key} to the language model? It is then in the history of the conversation, too."
    elif secrets == "none":
        text = f"Let save_api_key go on for {key}? This server stores no values, so nothing is stored."
    elif secrets == "keyring":
        text = (
            f"Store the value of {key} in the system's keychain, where programs of this user can read it? The key's "
            "own entry, if it has one, is written anew."
        )
    elif target.file:
        file, variable = _whole(target.file), _whole(target.variable)
        text = (
            f"Store the value of {key} in the file {file} as {variable}, where programs of this user can read it? A "
            f"file that is there keeps its other lines; if it has another value for {variable}, that is kept too, and "
            "nothing is stored."
        )
    else:
        text = (
            f"Store the value of {key} in a file of its own, where programs of this user can read it? No other file is "
            "changed."
        )
    return Question(text, digest_of("save", _state(row)))


def _key(row: Key) -> str:
    return f"the API key {quoted(row.name)} (id {row.id})"


def _budget(body: KeySpec, units: Units, before: str = "up to ") -> str:
    whole = "the account's whole balance (no budget)"
    return whole if body.unlimited_quota else before + units.usd(body.remain_quota)


def _end(expired_time: int) -> str:
    return "never expires" if expired_time == NEVER else f"expires at {when(expired_time)}"


def _ending(row: Key, old_key: str, grace: int, units: Units) -> str:
    """What becomes of a key that is replaced."""
    if old_key != "delete" and row.status != Status.ENABLED:
        return "The old key does not work any more."
    if old_key != "grace":
        ended = "disabled" if old_key == "disable" else "deleted for good"
        return f"The old key is then {ended}. Programs that use it stop working."
    until = f"for {_span(grace)} from your answer"
    if row.expired_time != NEVER:
        until += f", at most until its own end at {when(row.expired_time)}"
    spend = "" if row.unlimited_quota else f", the old one the {units.usd(row.remain_quota)} it has left"
    return f"The old key works {until}; meanwhile both can spend{spend}."


def _scope(body: KeySpec, most: int | None = None) -> list[str]:
    """Models, addresses and group, at most so many entries of a list; None for all of them."""
    parts = [_models(body, most), _addresses(body.allow_ips, most)]
    return [*parts, f"Group {_whole(body.group)}."] if body.group else parts


def _models(body: KeySpec, most: int | None) -> str:
    if not body.model_limits_enabled:
        return "Models: every model."
    models = _entries("model_limits", body.model_limits)
    return f"Models ({len(models)}): {_listed(models, most)}." if models else "Models: none."


def _addresses(allow_ips: str | None, most: int | None) -> str:
    entries = _entries("allow_ips", allow_ips)
    if not entries:
        return "From every address."
    if not restricts(allow_ips):  # the rest of the list then adds next to nothing
        return f"From every address or nearly every one, by a list of {len(entries)}: {_listed(entries, _SOME)}."
    return f"Only from {f'{len(entries)} entries: ' if len(entries) > 1 else ''}{_listed(entries, most)}."


def _change(name: str, old: object, wanted: object, units: Units) -> str:
    if name not in ("model_limits", "allow_ips"):
        return f"{name}: {_shown(name, old, units)} -> {_shown(name, wanted, units)}"
    before, after = _entries(name, str(old or "")), _entries(name, str(wanted or ""))
    empty = "every address" if name == "allow_ips" else "none"
    parts = [f"{name}: {_counted(before, empty)} -> {_counted(after, empty)}"]
    was, will_be = set(before), set(after)
    if added := [entry for entry in after if entry not in was]:
        parts.append(f"added {_listed(added)}")
    if removed := [entry for entry in before if entry not in will_be]:
        parts.append(f"removed {_listed(removed, _SOME)}")
    return ", ".join(parts)


def _counted(entries: list[str], empty: str) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}" if entries else empty


def _entries(name: str, text: str | None) -> list[str]:
    """The entries of a list of the API, each once; of addresses the widest range first."""
    parts = (text or "").splitlines() if name == "allow_ips" else (text or "").split(",")
    entries = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    return sorted(entries, key=_narrowness) if name == "allow_ips" else entries


def _narrowness(entry: str) -> tuple[bool, float]:
    """Sorts what lets more addresses through before what lets fewer through."""
    try:
        net = ip_network(entry, strict=False)
    except ValueError:
        return (True, 2)  # matches nobody
    return (restricts(entry), net.prefixlen / net.max_prefixlen)


def _listed(entries: list[str], most: int | None = None) -> str:
    shown = entries[:most]
    more = f" and {len(entries) - len(shown)} more" if len(shown) < len(entries) else ""
    return ", ".join(map(_entry, shown)) + more


def _entry(text: str) -> str:
    """A model or an address as it is; anything that could pass for a part of the sentence between quotes."""
    return text if re.fullmatch(r"[A-Za-z0-9._:/@+-]+", text) else _whole(text)


def _told(warnings: list[str]) -> list[str]:
    """The warnings, but not so many that the question becomes too long: they only explain what is shown."""
    more = [f"There are {len(warnings) - _WARNINGS} more warnings."] if len(warnings) > _WARNINGS else []
    return [*warnings[:_WARNINGS], *more]


def _whole(text: str) -> str:
    """Quoted and never cut: what is longer than a question may be makes the question too long."""
    return quoted(text, LONGEST_QUESTION)


def _span(seconds: int) -> str:
    """A span of whole minutes in words: "24 hours", "3 days"."""
    for unit, size in (("day", 86_400), ("hour", 3600)):
        if seconds % size == 0 and seconds > size:
            return f"{seconds // size} {unit}s"
    return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"


def _shown(name: str, value: object, units: Units) -> str:
    if name == "expired_time":
        return expiry(int(str(value)))
    if name == "remain_quota":
        return units.usd(int(str(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _whole(str(value)) if value else "none"


def _state(row: Key) -> list[object]:
    """All of a key but its spending."""
    body = row.spec.model_dump(exclude={"remain_quota", "allow_ips"})
    given = 0 if row.unlimited_quota else row.remain_quota + row.used_quota
    return [row.id, row.created_time, row.status, given, row.allow_ips or "", body]
