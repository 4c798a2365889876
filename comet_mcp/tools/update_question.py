"""What a person is asked before a key is changed: each field's old and new value, and what it lets the key do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.domain.change import KeyChange, expands_access
from comet_mcp.domain.key import KeySpec, Status, status_word
from comet_mcp.domain.lifetimes import expiry
from comet_mcp.domain.money import Units
from comet_mcp.services.key_writer import writable_spec
from comet_mcp.tools import wording
from comet_mcp.tools.update_request import UpdateRequest


def question(change: KeyChange, request: UpdateRequest, warnings: list[str], units: Units) -> Question:
    """The question before a key is changed: each field's old and new value. `warnings` are those of the checks.

    An end that was given as a day holds only as it is shown; one that was given as a span counts from the answer.
    """
    row, wanted, status = change.before, change.wanted, change.status
    old = writable_spec(row) if wanted.remain_quota == max(row.remain_quota, 0) else row.spec
    named = [name for name in KeySpec.model_fields if (getattr(old, name) or "") != (getattr(wanted, name) or "")]
    changes = [_said(name, getattr(old, name), getattr(wanted, name), units) for name in named]
    if status is not None and status != row.status:
        changes.append(f"status: {status_word(row.status)} -> {status_word(status)}")
    parts = [
        f"Change {wording.key(row)}?",
        "; ".join(changes) + "." if changes else "Nothing of it would differ.",
        *wording.warned(warnings),
        *(["The end counts from your answer."] if request.ends_in_span else []),
    ]
    if status == Status.ENABLED != row.status:
        parts += wording.whole_key(wanted, units, None)  # all that it may do is allowed anew
    elif expands_access(row, wanted):
        parts += wording.whole_key(wanted, units, wording.SOME)  # what is added stands whole before it
    else:
        parts += _narrowed(wanted, named)
    return Question(" ".join(parts), digest_of("update", wording.state_of(row), request.fixed_end))


def _narrowed(wanted: KeySpec, named: Collection[str]) -> list[str]:
    """What the fields that are named let the key do, which is no more than before."""
    parts = []
    if "allow_ips" in named and not wanted.addresses.restricts:
        parts.append(wording.addresses(wanted.addresses, wording.SOME))
    if "model_limits" in named:
        parts += [] if wanted.model_limits_enabled else [wording.models(wanted, None)]  # the new list has no effect
    elif "model_limits_enabled" in named:
        parts.append(wording.models(wanted, wording.SOME))
    return parts


def _said(name: str, old: object, wanted: object, units: Units) -> str:
    if name not in ("model_limits", "allow_ips"):
        return f"{name}: {_shown(name, old, units)} -> {_shown(name, wanted, units)}"
    before, after = wording.entries(name, str(old or "")), wording.entries(name, str(wanted or ""))
    empty = "every address" if name == "allow_ips" else "none"
    parts = [f"{name}: {_counted(before, empty)} -> {_counted(after, empty)}"]
    was, will_be = set(before), set(after)
    if added := [entry for entry in after if entry not in was]:
        parts.append(f"added {wording.listed(added)}")
    if removed := [entry for entry in before if entry not in will_be]:
        parts.append(f"removed {wording.listed(removed, wording.SOME)}")
    return ", ".join(parts)


def _counted(entries: Sequence[str], empty: str) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}" if entries else empty


def _shown(name: str, value: object, units: Units) -> str:
    if name == "expired_time":
        return expiry(int(str(value)))
    if name == "remain_quota":
        return units.exact(int(str(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return wording.whole(str(value)) if value else "none"
