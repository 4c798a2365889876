"""What the person who runs the servers allows, and what the API does: what of it was passed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation import budgets
from tests.simulation.gateway import EPOCH, Gateway
from tests.simulation.records import UNKNOWN, Call, Write

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMEOUT = 15.0
"""Seconds after which a call is answered."""


def outside(world: World) -> Iterator[str]:
    """Keys that were written otherwise than the policy allows."""
    policy = {name.removeprefix("COMETAPI_MCP_POLICY_"): value for name, value in world.policy.items()}
    most = float(policy.get("MAX_BUDGET_USD", 1e9)) * 500_000
    longest = 30 * 86_400 if "MAX_LIFETIME" in policy else None
    prefix = policy.get("NAME_PREFIX", "")
    for gateway in world.gateways.values():
        last = {(write.call, write.key_id): write for write in gateway.writes}
        for write in gateway.writes:
            if write.call is None:
                continue
            after, before = write.after, write.before
            where = f"{write.call} wrote key {write.key_id}"
            if after and not after["unlimited_quota"]:
                total, was = (
                    sum(row.get(name, 0) for name in ("remain_quota", "used_quota")) for row in (after, before)
                )
                late = budgets.is_late(write)  # what the key had then, nobody can hold back
                final = last[write.call, write.key_id] is write  # what moved meanwhile is corrected by the next
                moved = write.in_flight if write.kind == "create" else budgets.in_flight(gateway, write)
                if total > max(most, was) + moved and final and not late:
                    yield f"{where} with a budget of {total}, where {most:.0f} are allowed"
            elif after and "ALLOW_UNLIMITED" in policy and not before.get("unlimited_quota"):
                yield f"{where} without a budget"
            end = after.get("expired_time", 0) if after else 0
            if write.kind == "create" and longest and not 0 < end <= EPOCH + write.at + longest + 5:
                yield f"{where} with an end that is too late"
            if after and not after["name"].startswith(prefix) and after["name"] != before.get("name"):
                yield f"{where} with the name {after['name']!r}"
            name = _name_when_sent(gateway, write) if before else prefix
            if "ONLY_OWN_PREFIX" in policy and not name.startswith(prefix):
                yield f"{where}, which was named {name!r}: not ours"


def _name_when_sent(gateway: Gateway, write: Write) -> str:
    """A key's name before it was written: what is carried out late, nobody can hold back when a person renames it."""
    if not budgets.is_late(write):
        return str(write.before["name"])
    same = [w for w in gateway.writes if (w.key_id, w.generation) == (write.key_id, write.generation)]
    return str(next(w.before["name"] for w in same if w.at > write.sent_at))


def passed(world: World) -> Iterator[str]:
    """Counts and sums that were passed."""
    policy = {name.removeprefix("COMETAPI_MCP_POLICY_"): value for name, value in world.policy.items()}
    for gateway in world.gateways.values():
        for machine in world.machines:
            made = [one for one in gateway.made if one.call and one.call.server.machine is machine]
            for rule, window in (("MAX_KEYS_TOTAL", 1e12), ("MAX_KEYS_PER_HOUR", 3500)):
                if rule in policy:
                    times = sorted(one.sent_at for one in made)
                    most = max((sum(at <= t < at + window for t in times) for at in times), default=0)
                    if most > int(policy[rule]):
                        yield f"{rule.lower()} is {policy[rule]}, and {machine.name} made {most} keys"
            for rule in ("MAX_SUM_USD_TOTAL", "MAX_SUM_USD_PER_DAY"):
                if rule in policy:
                    limit = float(policy[rule]) * 500_000
                    given = budgets.given(gateway, machine, limit)
                    if given > limit:
                        yield f"{rule.lower()} is {policy[rule]}, and {machine.name} gave {given / 500_000:.2f}"


def _looks_long(call: Call) -> bool:
    """Whether a create or a rotation may have looked for its row as long as it could."""
    return not call.ok and (call.outcome in UNKNOWN or not call.delivered)


def too_many_calls(world: World) -> Iterator[str]:
    """Machines that made more calls of the API than they may, as long as they had a journal to share them in."""
    limit = int(world.settings.get("COMETAPI_MCP_CALLS", "350"))
    for machine in world.machines:
        # a write that has begun is never refused: one whose row does not show looks for it a dozen times
        unclear = [c for c in world.calls if c.server.machine is machine and c.wish is not None and _looks_long(c)]
        times = sorted(at for g in world.gateways.values() for at, name, _ in g.requests if name == machine.name)
        if machine in world.lost_journals or machine in world.held_journals:
            continue  # without a journal each server minds the limit alone
        for first in times:
            most = limit + 10 + 12 * sum(first - TIMEOUT <= c.begun < first + 180 for c in unclear)
            made = bisect_left(times, first + 180) - bisect_left(times, first)
            if made > most:
                yield f"{machine.name} made {made} calls in 180 s from {first:.0f} on, where {most} are allowed"
                break
