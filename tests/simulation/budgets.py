"""What keys were given in all, and what they have: spending moves units, but their sum stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.gateway import Gateway
from tests.simulation.records import Call, Write

if TYPE_CHECKING:
    from tests.simulation.server import Machine
    from tests.simulation.world import World

USD = 500_000
_DRIFT = re.compile("too (high|low) now|may still move|quota units")
"""What an answer says of a budget that is not as it was meant."""
_MOVES = 200_000
"""Units that a single model call may have reserved."""


_ON_ITS_WAY = 5.0
"""Seconds that a request is on its way at most, unless something holds it up; and that a change holds nothing back."""


def is_late(write: Write) -> bool:
    """Whether the API carried it out when nobody waited for it any more."""
    return write.at > write.sent_at + _ON_ITS_WAY


def given(gateway: Gateway, machine: Machine, limit: float) -> int:
    """Quota units that the servers of a machine gave to keys, by what the API has: what only moved does not count.

    What a change gives again because it is carried out late, nobody can hold back once it is sent. It counts as far as
    there was room for it then: what is given after it has to leave that room.
    """
    sum_ = 0
    for _, units, again in sorted(_given(gateway, machine), key=lambda entry: entry[0]):
        sum_ += units + max(min(again, int(limit) - sum_ - units), 0)
    return sum_


def _given(gateway: Gateway, machine: Machine) -> Iterator[tuple[float, int, int]]:
    """When a call was begun that gave something, what it gave, and what it gave again, because it came late.

    The latter counts from when others had to know of it.
    """
    ours = [w for w in gateway.writes if w.call and w.call.server.machine is machine]
    for write in ours:
        if write.kind == "create" and write.call and not write.after["unlimited_quota"]:
            yield write.call.begun, _total(write), 0
    by_call: dict[tuple[Call, int], list[Write]] = {}
    for write in ours:
        if write.kind == "update" and write.call and write.call.tool == "update_api_key":
            by_call.setdefault((write.call, write.key_id), []).append(write)
    for writes in by_call.values():
        call = writes[0].call
        added = int(call.arguments.get("add_budget_usd", 0) * USD) if call and call.ok else 0
        more = _total(writes[-1]) - _total(writes[0], before=True)
        if not writes[-1].after["unlimited_quota"] and more > 4 * _MOVES:
            more -= 4 * _MOVES if any(w.in_flight or w.after["used_quota"] for w in writes) else 0
        else:
            more = 0
        if not any(is_late(w) for w in writes):
            yield writes[0].sent_at, max(more, added), 0
        else:
            yield writes[0].sent_at, added, 0
            yield max(w.sent_at for w in writes) + _ON_ITS_WAY, 0, max(more - added, 0)


def drifted(world: World, gateway: Gateway) -> Iterator[str]:
    """The keys that have more or less in all than they were given."""
    limited = any("BUDGET" in name for name in world.policy)
    for made in gateway.made:
        row = gateway.row(made.id)
        if row is None or made.generation != gateway.generation or made.call is None or row.unlimited_quota:
            continue
        writes = [w for w in gateway.writes if w.key_id == made.id and w.generation == made.generation]
        ours = [w for w in writes if w.kind == "update" and w.call]
        if not ours or _is_hard_to_say(writes, ours):
            continue
        low = high = made.total
        if made.call.tool == "rotate_api_key":  # it counts in the new key what the old one has spent meanwhile
            old = made.call.arguments["id"]
            own = [w for w in ours if w.call and w.call.tool == "rotate_api_key" and w.call.arguments["id"] == old]
            if any(is_late(w) for w in own):
                continue  # what it wrote does not tell what it meant
            low = high = made.total + sum(_total(w) - _total(w, before=True) for w in own)
        calls = [c for c in world.calls if c.tool == "update_api_key" and c.arguments.get("id") == made.id]
        for call in calls:
            if call.server.gateway is not gateway or call.generation != made.generation or not call.writes:
                continue
            if "remain_quota" in call.arguments:
                low = high = -1
                break
            added = int(call.arguments.get("add_budget_usd", 0) * USD)
            low += added if call.ok else 0
            high += added
        total = row.remain_quota + row.used_quota
        last = ours[-1].call
        in_use = last is not None and last.begun < world.calm_since  # nothing is in flight once nobody uses it
        told = last is not None and in_use and (not last.ok or _DRIFT.search(last.said) is not None)
        slack = in_flight(gateway, ours[-1])
        if low >= 0 and not told and not (low - slack <= total or limited):
            yield f"key {made.id} has {total} in all, and was given at least {low}"
        # what was spent beyond the budget can't be written back: 0 stands for less
        high += sum(max(-w.before["remain_quota"], 0) for w in ours)
        # nor can be taken back what is spent: nothing is left then
        if low >= 0 and not told and total > max(high, row.used_quota) + slack:
            yield f"key {made.id} has {total} in all, and was given at most {high}"


def came_last(ours: list[Write]) -> bool:
    """Whether the API carried a write out late, and nobody has changed the key since, which puts that right."""
    late = [w for w in ours if is_late(w)]
    return bool(late) and not any(w.call and w.call.ok and w.call.begun > late[-1].at for w in ours)


def _is_hard_to_say(writes: list[Write], ours: list[Write]) -> bool:
    """Whether somebody else set the budget too, or the API carried a write out late and it was the last."""
    console = any(w.call is None and w.kind == "update" for w in writes)
    return console or came_last(ours) or len({w.call.server.machine.name for w in ours if w.call}) > 1


def in_flight(gateway: Gateway, write: Write) -> int:
    """What model calls had reserved at any moment of the call that wrote last."""
    since, key_id = (write.call.begun if write.call else write.at), write.key_id
    before = [(units + reserved) for at, key, units, reserved in gateway.begun if key == key_id and at <= since]
    begun = sum(units for at, key, units, _ in gateway.begun if key == key_id and since < at <= write.at)
    # the last level that is known of may have fallen since: that is no more than it was
    return (before[-1] if before else 0) + begun


def _total(write: Write, *, before: bool = False) -> int:
    row = write.before if before else write.after
    return int(row["remain_quota"] + row["used_quota"])
