"""Keys that were made, for whom, and who was told of them: what of it should not be."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.matching import changed_unheard, is_alike, is_gone, is_late, is_made_meanwhile, releases, same_key
from tests.simulation.records import Call, Made, Wish, Write

if TYPE_CHECKING:
    from tests.simulation.gateway import Gateway
    from tests.simulation.world import World

_NOT_MADE = re.compile(r'create of "([^"]+)"[^.]*?, made no key|create of "([^"]+)"[^.]* made no key')


def too_many_of_creates(world: World) -> Iterator[str]:
    """Keys that were made for equal creates, more than were allowed."""
    for gateway in world.gateways.values():
        by_call = Counter((made.call, made.generation) for made in gateway.made if made.call)
        yield from (f"{call} made {count} keys" for (call, _), count in by_call.items() if count > 1)
        asked: dict[str, set[Wish]] = defaultdict(set)
        for wish in world.wishes:
            if wish.tool == "create_api_key" and wish.gateway == gateway.name:
                asked[same_key(wish.arguments)].add(wish)
        for call, body in gateway.sent:
            if call.wish is not None:
                asked[same_key(body)].add(call.wish)
        for same, wishes in asked.items():
            allowed = sum(wish.allowed + releases(world, wish) for wish in wishes)
            for generation in range(gateway.generation + 1):
                made = [
                    made
                    for made in gateway.made
                    if made.call
                    and made.generation == generation
                    and same_key(made.body) == same
                    and not changed_unheard(made)
                    and not is_late(made)
                ]
                if len(made) > allowed:
                    ids = ", ".join(str(one.id) for one in made)
                    yield f"{len(wishes)} wishes for {made[0].name!r} made the keys {ids}"


def too_many_of_rotations(world: World) -> Iterator[str]:
    """Keys that were made for the rotation of one key, more than were allowed."""
    for gateway in world.gateways.values():
        made: dict[tuple[str, int, int], list[Made]] = defaultdict(list)
        for one in gateway.made:
            if one.call and one.call.tool == "rotate_api_key" and not (changed_unheard(one) or is_late(one)):
                made[one.call.server.machine.name, one.generation, int(one.call.arguments["id"])].append(one)
        for (_, _, old), new in made.items():
            wishes = [wish for wish in world.wishes if wish.tool == "rotate_api_key" and wish.arguments["id"] == old]
            allowed = 1 + sum(releases(world, wish) for wish in wishes)
            for last in new:
                there = [one for one in new if one.at <= last.at and not is_gone(gateway, one, last.sent_at)]
                if len(there) > allowed:
                    yield f"the rotation of key {old} made the keys {', '.join(str(one.id) for one in there)}"
                    break


def given_to_another(world: World) -> Iterator[str]:
    """Successes that tell of a key which was not made for them."""
    given: dict[tuple[str, int, int], Call] = {}
    for call in sorted((call for call in world.calls if call.ok), key=lambda call: call.ended or 0):
        if call.tool not in ("create_api_key", "rotate_api_key") or call.generation != call.ended_in:
            continue
        gateway = call.server.gateway
        key_id = int(call.made["id"])
        made = next((m for m in gateway.made if m.id == key_id and m.generation == call.generation), None)
        if made is None:
            yield f"{call} was given key {key_id}, which nobody made"
            continue
        if made.call is None and call.begun < (made.touched_at or 0) <= (call.ended or 0):
            continue  # somebody has changed another key into an equal one just then
        if is_made_meanwhile(world, made, call):
            continue  # README says that nothing tells it from ours
        if made.call is None or not is_alike(gateway, made, call):
            yield f"{call} was given key {key_id}, which was made by {made.call or 'somebody at the console'}"
        if made.call and made.call.server.machine is not call.server.machine:
            continue  # equal keys that two who know nothing of each other made at once: nothing tells them apart
        first = given.setdefault((gateway.name, made.generation, key_id), call)
        heard = first.server.died_at > (first.ended or 0) + 1 and not first.server.client_disconnected.is_set()
        if first is not call and heard and call.tool == "create_api_key":
            yield f"{call} was given key {key_id}, which {first} had been given"


def is_touched_before_its_end(gateway: Gateway, write: Write) -> bool:
    """Whether somebody has changed or deleted a key before the call that made it could look for it."""
    made = next(made for made in gateway.made if (made.id, made.generation) == (write.key_id, write.generation))
    return made.touched_at is not None and write.call is not None and made.touched_at < (write.call.ended or 0)


def said_not_to_exist(world: World) -> Iterator[str]:
    """Creates of which a list says that they made no key, although they did."""
    for call in world.calls:
        if not call.ok or call.tool != "list_api_keys":
            continue
        for found in _NOT_MADE.finditer(call.said):
            name = found[1] or found[2]
            for made in call.server.gateway.made:
                mine = made.call and made.call.tool == "create_api_key" and made.name == name
                mine = mine and made.generation == call.generation
                unheard = made.reported_at is None or made.reported_at > call.begun
                if made.id in call.named_ids or made.listed_at > call.begun:
                    continue  # that of an equal create, by the same answer; or the API does not list it yet
                if mine and made.at < call.begun and unheard and not changed_unheard(made):
                    yield f"{call} says that the create of {name!r} made no key, which is key {made.id}"
