"""Values and lists: what was revealed although it is stored, what a search has missed, what the trail does not name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.simulation import failing, journal
from tests.simulation.matching import told_by

if TYPE_CHECKING:
    from tests.simulation.server import Machine
    from tests.simulation.world import World

_WRITING = ("create_api_key", "update_api_key", "delete_api_key", "rotate_api_key")


def given_away(world: World) -> Iterator[str]:
    """Calls that asked with a value which is not that of the key they name; but for a database begun anew meanwhile."""
    for gateway in world.gateways.values():
        for call, secret, generation in gateway.asked_with:
            if generation != call.generation:
                continue
            known = [m for m in gateway.made if m.id == call.arguments.get("id") and m.generation == generation]
            if known and all(made.secret != secret for made in known):
                yield f"{call} asked with a value that is not key {known[0].id}'s"


def lost(world: World) -> Iterator[str]:
    """Files that have not the value any more which a client was told is there."""
    for call, row, path in world.stored:
        if row in call.server.gateway.sandbox.keys and row.key not in failing.content(path):
            yield f"{path.name}, of which {call} told, has not the value of key {row.id} any more"


def revealed_again(world: World) -> Iterator[str]:
    """Reveals by calls for keys whose value a client of the machine had been told is stored there.

    Where the database began anew, the file of another key that had the same id may be found instead.
    """
    for gateway in world.gateways.values():
        for at, call in gateway.reveals:
            for before, row, path in world.stored:
                same = before.server.machine is call.server.machine and before.server.gateway is gateway
                asked = call.tool in ("save_api_key", "verify_api_key") and call.arguments["id"] == row.id
                there = row in gateway.sandbox.keys and row.key in failing.content(path)
                same = same and not gateway.generation
                if same and asked and there and (before.ended or at) < call.begun:
                    yield f"{call} revealed key {row.id}, whose value is in {path.name}"


def missed(world: World) -> Iterator[str]:
    """Searches that found fewer keys than there were all the while."""
    for call in world.calls:
        word = str(call.arguments.get("keyword", "")).casefold()
        if not word or not call.ok or call.generation != call.ended_in:
            continue
        gateway = call.server.gateway
        writes = [w for w in gateway.writes if w.generation == call.generation]
        moved = {w.key_id for w in writes if w.kind != "create" and w.at >= call.begun}
        named = {w.key_id: w.after.get("name", "") for w in writes if w.at < call.begun}
        listed = {m.id for m in gateway.made if m.generation == call.generation and m.listed_at < call.begun}
        there = [i for i, name in named.items() if word in name.casefold() and i in listed and i not in moved]
        if call.data["total"] < len(there):
            yield f"{call} found {call.data['total']} of {len(there)} keys"


def not_in_trail(world: World, machine: Machine) -> Iterator[str]:
    """What a machine did that its trail does not have."""
    rows = journal.audit_rows(machine.journal)
    begun = Counter(row.get("tool") for row in rows if row.get("kind") == "begin")
    for tool in _WRITING:
        calls = [c for c in world.calls if c.server.machine is machine and c.tool == tool and c.writes]
        if begun[tool] < len(calls):
            yield f"{machine.name}: {len(calls)} calls of {tool} wrote, {begun[tool]} are in the trail"
    yield from _cancelled(world, machine, rows)
    named = {row.get("key_id") for row in rows}
    for gateway in world.gateways.values():
        for made in gateway.made:
            mine = made.call and made.call.server.machine is machine
            if mine and made.reported_at is not None and made.id not in named and told_by(world, made, machine):
                yield f"{machine.name}: key {made.id} of {made.call} is not in the trail"


def _cancelled(world: World, machine: Machine, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Keys of calls that their clients gave up, where nothing else went wrong: the end of the call has to name them."""
    ends = {row.get("key_id") for row in rows if row.get("kind") == "end"}
    for made in (made for gateway in world.gateways.values() for made in gateway.made):
        call = made.call
        if call is None or call.outcome != "cancelled" or call.server.machine is not machine or world.fault_rate:
            continue
        lives = call.server.died_at > made.at + 20 and made.generation == call.server.gateway.generation
        if lives and made.touched_at is None and made.id not in ends:
            yield f"{machine.name}: the end of {call}, which was cancelled, does not name key {made.id}"
