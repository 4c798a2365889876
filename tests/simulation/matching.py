"""What belongs to what: which keys are equal, which repetitions were allowed, who told of which key."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from tests.simulation.gateway import Gateway
from tests.simulation.records import Call, Made, Wish

if TYPE_CHECKING:
    from tests.simulation.world import World

_DEFAULTS = {
    "expired_time": -1,
    "remain_quota": 0,
    "unlimited_quota": False,
    "model_limits_enabled": False,
    "model_limits": "",
    "group": "",
    "cross_group_retry": False,
}


_PATIENCE = 55.0
"""Seconds before which nobody can say that there is no key."""


def same_key(body: dict[str, Any]) -> str:
    """A create's body as text that is equal for equal keys."""
    whole = _DEFAULTS | {name: value for name, value in body.items() if name in _DEFAULTS or name == "name"}
    return json.dumps(whole | {"allow_ips": body.get("allow_ips") or ""}, sort_keys=True)


def releases(world: World, wish: Wish) -> int:
    """How often a repetition came after its client was told that it makes another key.

    That a key is not there can be said after a minute at the earliest; that several are there, of which nothing tells
    whose they are, can be said at once, and by a list too.
    """
    return sum(
        any(before.begun < (call.ended or 0) <= again.begun and _releases(world, wish, call) for call in world.calls)
        for before, again in itertools.pairwise(wish.calls)
    )


def _releases(world: World, wish: Wish, call: Call) -> bool:
    """Whether an answer says that the wish's next call makes another key."""
    gateway = world.gateways[wish.gateway.removeprefix("api")]
    if call.delivered and "nothing tells which is whose" in call.said:
        made = (one.id for one in gateway.made if one.call and one.call.wish is wish)
        return call.wish is wish or any(key_id in call.named_ids for key_id in made)
    names = {str(body["name"]) for sender, body in gateway.sent if sender.wish is wish}
    named = call.wish is wish or any(name in call.said for name in names)
    return named and call.allows_another and (call.ended or 0) - wish.calls[0].begun > _PATIENCE


def changed_unheard(made: Made) -> bool:
    """Whether somebody else changed or deleted a key before anybody was told of it: then nothing can recognise it."""
    return made.touched_at is not None and (made.reported_at is None or made.touched_at < made.reported_at)


def is_gone(gateway: Gateway, made: Made, at: float) -> bool:
    """Whether a key had been deleted at that time."""
    return any(
        (write.kind, write.key_id, write.generation) == ("delete", made.id, made.generation) and write.at <= at
        for write in gateway.writes
    )


def is_swapped(world: World, made: Made) -> bool:
    """Whether its machine was given an equal key that another one made, or somebody else's that was made equal.

    Without a shared journal nothing tells them apart: the other's counts as this one's then, and this one as nobody's.
    """
    if made.call is None:
        return False
    machine, gateway = made.call.server.machine, made.call.server.gateway
    equal = [
        one.id
        for one in gateway.made
        if one.generation == made.generation
        and (
            one.touched_at is not None
            if one.call is None
            else one.call.server.machine is not machine and same_key(one.body) == same_key(made.body)
        )
    ]
    given = [c for c in world.calls if c.ok and c.server.machine is machine and c.generation == made.generation]
    return any(c.tool in ("create_api_key", "rotate_api_key") and c.made["id"] in equal for c in given)


def is_late(made: Made) -> bool:
    """Whether the API carried a create out nearly a minute after it was sent, or later.

    Once no row has shown for a minute, a repetition makes another key; what is promised of the late one is that a list
    names it.
    """
    return made.at - made.sent_at > _PATIENCE


def is_alike(gateway: Gateway, made: Made, call: Call) -> bool:
    """Whether a key was made by a body that the call, or one that it repeats, has sent: equal keys are as good."""
    same = same_key(made.body)
    if call.tool == "create_api_key":
        return same_key(call.arguments) == same
    mine = (
        other
        for other in gateway.sent
        if other[0].tool == call.tool and other[0].arguments["id"] == call.arguments["id"]
    )
    return any(same_key(body) == same for _, body in mine)


def is_made_meanwhile(world: World, made: Made, call: Call) -> bool:
    """Whether somebody at the console made an equal key after the call, or one that it repeats, had begun.

    The same moment counts: times of creation are whole seconds, and clocks may be two of them apart.
    """
    if made.call is not None:
        return False
    if call.tool == "create_api_key":
        equal = [c for c in world.calls if c.tool == call.tool and same_key(c.arguments) == same_key(made.body)]
    else:
        key_id = call.arguments["id"]
        old = [m.body for m in call.server.gateway.made if (m.id, m.generation) == (key_id, made.generation)]
        alike = same_key(made.body) in map(same_key, old)
        equal = [c for c in world.calls if alike and c.tool == call.tool and c.arguments["id"] == key_id]
    return any(int(c.begun) - 2 <= made.at and c.server.gateway is call.server.gateway for c in equal)


def told_by(world: World, made: Made, machine: Any) -> bool:
    """Whether it was this machine that told of the key: as that of the call, or of an earlier one."""
    return any(
        made.id in call.named_ids and call.server.machine is machine and call.generation == made.generation
        for call in world.calls
        if call.ok
        and call.server.died_at > call.end + 1
        and (call.tool != "list_api_keys" or re.search(rf'Key {made.id} "[^"]*" is that of the create', call.said))
    )
