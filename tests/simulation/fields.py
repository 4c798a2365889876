"""Who set which field of a key last: what is there at the end must be somebody's, and nobody's that was set over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation import budgets
from tests.simulation.gateway import Gateway
from tests.simulation.records import Call, Made, Write

if TYPE_CHECKING:
    from tests.simulation.world import World

_STATUS = {"enabled": 1, "disabled": 2}
_BY_USE = (3, 4)
"""What the API makes of a key's status when a key is used that has ended, or has nothing left."""
_WATCHED = (
    "name",
    "status",
    "expired_time",
    "model_limits_enabled",
    "model_limits",
    "allow_ips",
    "group",
    "auto_groups",
)
_SCOPE = ("name", "model_limits_enabled", "model_limits", "allow_ips", "group", "auto_groups", "unlimited_quota")


@dataclass(frozen=True, slots=True)
class _Set:
    """Somebody sets a field at some moment between two; `sure` where it is known that he did."""

    value: Any
    begun: float
    end: float
    sure: bool


def wrong(world: World, gateway: Gateway) -> Iterator[tuple[str, str]]:
    """The fields of keys whose value at the end is not that of anybody who may have set it last."""
    for made in gateway.made:
        row = gateway.row(made.id)
        if row is None or made.generation != gateway.generation:
            continue
        writes = [w for w in gateway.writes if w.key_id == made.id and w.generation == made.generation]
        calls = [c for c in world.calls if c.server.gateway is gateway and _writes(c, made)]
        if _nobody_could_know(writes, calls):
            continue
        for field in _WATCHED:
            now = getattr(row, field) or "" if field == "allow_ips" else getattr(row, field)
            sets = list(_sets(field, made, writes, calls))
            last = [one for one in sets if not any(o.sure and o.begun > one.end for o in sets)]
            if field == "status" and now in _BY_USE:
                continue
            if now not in [one.value for one in last]:
                yield field, f"{field} of key {made.id} is {now!r}, and not one of {[one.value for one in last]}"


def _writes(call: Call, made: Made) -> bool:
    return (
        call.tool in ("update_api_key", "rotate_api_key")
        and call.arguments.get("id") == made.id
        and call.generation == made.generation
        and call.writes > 0
    )


def _nobody_could_know(writes: list[Write], calls: list[Call]) -> bool:
    """Whether two wrote the key who can't know of each other, or the API carried one out late and it was the last."""
    ours = [w for w in writes if w.call is not None and w.kind == "update"]
    console = [w for w in writes if w.call is None]
    across = any(c.begun <= w.at <= (c.ended or math.inf) + 1 for c in calls for w in console)
    return budgets.came_last(ours) or across or len({c.server.machine.name for c in calls}) > 1


def _sets(field: str, made: Made, writes: list[Write], calls: list[Call]) -> Iterator[_Set]:
    for write in writes:
        if write.kind == "create" and (write.call is made.call):
            yield _Set(write.after[field], made.at, made.at, sure=True)
        elif write.call is None and write.kind == "update" and write.before[field] != write.after[field]:
            yield _Set(write.after[field], write.at, write.at, sure=True)
    for call in calls:
        sure = call.ok and "still" not in call.said
        end = call.ended or math.inf if sure else _until(call, writes, calls)
        if call.tool == "update_api_key" and field in call.arguments:
            value = call.arguments[field]
            yield _Set(_STATUS[value] if field == "status" else value, call.begun, end, sure)
        elif call.tool == "rotate_api_key" and field in ("status", "expired_time"):
            for write in writes:
                if write.call is call and write.before[field] != write.after[field]:
                    yield _Set(write.after[field], call.begun, end, sure)


def _until(call: Call, writes: list[Write], calls: list[Call]) -> float:
    """Until when a call may have set something of which the client knows nothing sure.

    What comes late does not count from then on: the next change makes again what it has undone.
    """
    late = [w for w in writes if w.call is call and budgets.is_late(w)]
    is_put_right = any(c.ok and c.tool == "update_api_key" and c.begun > w.at for w in late for c in calls)
    return (call.ended or late[-1].sent_at) if is_put_right else math.inf


def _since(world: World, call: Call) -> float:
    """Since when the rotation may have been begun that a call goes on with."""
    same = [c.begun for c in world.calls if c.tool == call.tool and c.arguments["id"] == call.arguments["id"]]
    return min(same)


def _when_replaced(writes: list[Write], at: float) -> dict[str, Any] | None:
    """A key as it was at a moment, by the writes of a rotation: it first makes good what a late change has undone."""
    earlier, later = [w for w in writes if w.at <= at], [w for w in writes if w.at > at]
    if earlier:
        return earlier[-1].after
    return later[0].before if later else None


def scope_lost(world: World, gateway: Gateway) -> Iterator[str]:
    """The new keys of rotations that are otherwise than the old one was when they were made."""
    for call in world.calls:
        if not call.ok or call.tool != "rotate_api_key" or call.server.gateway is not gateway or not call.writes:
            continue
        if call.generation != gateway.generation:
            continue  # the key that has its id now is another one
        old = call.arguments["id"]
        states = [
            w for w in gateway.writes if w.key_id == old and w.generation == call.generation and w.kind != "create"
        ]
        born = [w for w in gateway.writes if w.kind == "create" and w.call is call and w.generation == call.generation]
        if not born or any(w.call is not call and w.at >= _since(world, call) for w in states):
            continue
        before = _when_replaced([w for w in states if w.call is call], born[0].at)
        row = gateway.row(old)
        if before is None and row is not None:
            before = {name: getattr(row, name) for name in _SCOPE}
        said = call.said
        for name in _SCOPE:
            if before and (born[0].after[name] or "") != (before[name] or "") and name not in said:
                yield f"{call}: {name} was {before[name]!r} and is {born[0].after[name]!r} in the new key"
