"""The promises, each a function whose name is the sentence. It gives in words what breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tests.simulation import budgets, creates, fields, limits, values
from tests.simulation.gateway import EPOCH
from tests.simulation.limits import TIMEOUT
from tests.simulation.matching import is_swapped
from tests.simulation.records import UNKNOWN, Call

if TYPE_CHECKING:
    from tests.simulation.world import World

Promise = Callable[["World"], Iterator[str]]

_LATE = 0.7
_SAY_MORE = ("create_ambiguous", "key_not_found")
"""Errors that do not say that nothing was done: the key is there, or was deleted by somebody meanwhile."""
_SETTLED_FIRST = "This call did something before that"
"""What an error says where the call has ended an earlier change of the key before it failed."""
_LEFT_OPEN = re.compile("still unclear|could not be settled|does not list it yet")


def broken(world: World) -> list[str]:
    """What of the promises a history has broken, each with the name of its promise."""
    promises = IN_ANY_CASE if world.lost_journals else PROMISES  # what was forgotten can't be kept
    return [f"{promise.__name__}: {what}" for promise in promises for what in promise(world)]


# -- creating ----------------------------------------------------------------------------------------------------------


def one_create_makes_at_most_one_key(world: World) -> Iterator[str]:
    """Nor do its repetitions, unless the client was told that they may, or the API took a minute to carry one out."""
    yield from creates.too_many_of_creates(world)


def one_rotation_makes_at_most_one_key(world: World) -> Iterator[str]:
    """However often it is asked for, with the exceptions that a create has; and another once its key was deleted."""
    yield from creates.too_many_of_rotations(world)


def every_key_is_reported_or_named_by_a_list(world: World) -> Iterator[str]:
    """No key that we made is lost: somebody was told of it, or of the equal one that another machine made meanwhile."""
    for gateway in world.gateways.values():
        for made in gateway.made:
            exists = made.generation == gateway.generation and gateway.row(made.id) is not None
            untold = made.reported_at is None and made.touched_at is None
            if made.call and exists and untold and not is_swapped(world, made):
                yield f"nobody was told of key {made.id} {made.name!r} of {made.call}"


def nobody_is_given_anothers_key(world: World) -> Iterator[str]:
    """A success tells of a key that was made for this very wish, and a key is told of to one caller."""
    yield from creates.given_to_another(world)


def a_refused_call_changed_nothing(world: World) -> Iterator[str]:
    """What is told as not done is not done: but for a key that somebody renamed or deleted before it was looked for."""
    for gateway in world.gateways.values():
        for write in gateway.writes:
            call = write.call
            if call is None or not call.delivered or call.ok or not call.is_definite:
                continue
            if call.outcome in _SAY_MORE or write.before == write.after or _SETTLED_FIRST in call.said:
                continue
            if write.kind == "create" and creates.is_touched_before_its_end(gateway, write):
                continue
            yield f"{call} was told {call.outcome}, and key {write.key_id}: {write.kind}"


def no_key_is_said_not_to_exist(world: World) -> Iterator[str]:
    """A list that says of a create that it made no key which is there now is right, by what the API lists."""
    yield from creates.said_not_to_exist(world)


# -- policy ------------------------------------------------------------------------------------------------------------


def no_key_is_outside_the_policy(world: World) -> Iterator[str]:
    """Whatever we write is what the person who runs the servers allows."""
    yield from limits.outside(world)


def no_count_and_no_sum_is_passed(world: World) -> Iterator[str]:
    """All servers that share a journal together stay within the limits."""
    yield from limits.passed(world)


# -- values, trail, time -----------------------------------------------------------------------------------------------


def a_key_is_asked_with_its_own_value(world: World) -> Iterator[str]:
    """Never with that of another key that had its id, or of another gateway."""
    yield from values.given_away(world)


def a_stored_value_stays_in_its_store(world: World) -> Iterator[str]:
    """Until its key is deleted."""
    yield from values.lost(world)


def a_stored_value_is_not_revealed_again(world: World) -> Iterator[str]:
    """Reveals are few: who saves or verifies a key whose value is there takes it from there."""
    yield from values.revealed_again(world)


def a_search_finds_every_key(world: World) -> Iterator[str]:
    """However few of them the API gives at once."""
    yield from values.missed(world)


def every_write_is_in_the_trail(world: World) -> Iterator[str]:
    """A call has a row before what it sends; a key that somebody was told of has a row that names it.

    A trail that is not required goes on without rows while another program holds the journal.
    """
    for machine in world.machines:
        if machine not in world.held_journals:
            yield from values.not_in_trail(world, machine)


def nothing_is_written_without_the_journal(world: World) -> Iterator[str]:
    """A server whose journal was deleted makes no key until it is started anew."""
    for gateway in world.gateways.values():
        for write in gateway.writes:
            server = write.call.server if write.call else None
            lost = world.lost_journals.get(server.machine) if server else None
            if lost is None or server is None or write.kind != "create" or write.call is None:
                continue
            if server.used_journal_at < lost < write.call.begun:
                yield f"{write.call} made key {write.key_id} without a journal"


def the_calls_of_a_machine_stay_within_the_limit(world: World) -> Iterator[str]:
    """All its servers together make no more calls of the API than it takes."""
    yield from limits.too_many_calls(world)


def every_call_answers_in_time(world: World) -> Iterator[str]:
    """Unless its server dies, or its client gives up.

    A journal that another program holds is waited for some seconds more, before the call and after it.
    """
    for call in world.calls:
        held = 6.0 if call.server.machine in world.held_journals else 0.0
        ended = min(call.ended or 1e9, call.server.died_at)
        if call.outcome != "cancelled" and ended - call.begun > TIMEOUT + _LATE + held:
            yield f"{call} took {ended - call.begun:.1f} s"


def everything_is_settled_at_last(world: World) -> Iterator[str]:
    """Once all trouble has ended, and a minute has passed, nothing is left open."""
    for call in world.calls:
        if call.begun < world.calm_since or not call.delivered:
            continue
        if call.outcome in UNKNOWN and not call.allows_another:
            yield f"{call} ended with {call.text[:200]}"
        if call in world.last_lists and _LEFT_OPEN.search(call.said):
            yield f"{call} still says {call.said[:200]}"


def nothing_breaks_inside(world: World) -> Iterator[str]:
    """No error is one that was not foreseen."""
    yield from (f"{call}: {call.text[:200]}" for call in world.calls if call.outcome == "internal_error")


def a_lifetime_counts_by_the_clock_of_the_api(world: World) -> Iterator[str]:
    """Whatever the machine's clock shows, "2h" are two hours, unless the answer says that the API did not tell."""
    for call in world.calls:
        unheard = "counts by this machine's clock" in call.said and call.server.wire.told_time_at > call.begun
        if call.tool == "plan_api_key" and call.data.get("create_api_key") and not unheard:
            life = call.data["create_api_key"]["expired_time"] - EPOCH - (call.ended or 0)
            if abs(life - 7200) > TIMEOUT + 3:
                yield f"{call} made 2 hours {life:.0f} seconds"


# -- keys in use -------------------------------------------------------------------------------------------------------


def _same_wish(one: Call | None, other: Call | None) -> bool:
    if one is None or other is None:
        return False
    return one.tool == other.tool and one.arguments.get("id") == other.arguments.get("id")


def nobody_elses_key_is_written(world: World) -> Iterator[str]:
    """A call writes the key that it names, and the one that it makes."""
    for gateway in world.gateways.values():
        for write in gateway.writes:
            own = write.call and any(
                w.kind == "create" and w.key_id == write.key_id and _same_wish(w.call, write.call)
                for w in gateway.writes
            )
            if write.call and write.kind != "create" and write.key_id != write.call.arguments.get("id") and not own:
                yield f"{write.call} wrote key {write.key_id}"


def an_update_changes_exactly_what_was_asked(world: World) -> Iterator[str]:
    """The last who named a field has his value there; who did not name it changed nothing."""
    for gateway in world.gateways.values():
        yield from (what for field, what in fields.wrong(world, gateway) if field != "status")


def disabled_stays_disabled(world: World) -> Iterator[str]:
    """Until somebody enables the key."""
    for gateway in world.gateways.values():
        yield from (what for field, what in fields.wrong(world, gateway) if field == "status")


def a_rotation_keeps_the_scope(world: World) -> Iterator[str]:
    """The new key may do what the old one could, and no more."""
    for gateway in world.gateways.values():
        yield from fields.scope_lost(world, gateway)


def a_budget_is_what_was_given(world: World) -> Iterator[str]:
    """However much the key spends while it is written: but for what was in flight at the last write."""
    for gateway in world.gateways.values():
        yield from budgets.drifted(world, gateway)


IN_ANY_CASE: tuple[Promise, ...] = (
    nothing_is_written_without_the_journal,
    the_calls_of_a_machine_stay_within_the_limit,
    every_call_answers_in_time,
    nothing_breaks_inside,
    nobody_elses_key_is_written,
    no_key_is_outside_the_policy,
    a_key_is_asked_with_its_own_value,
    a_stored_value_stays_in_its_store,
    a_search_finds_every_key,
    a_lifetime_counts_by_the_clock_of_the_api,
)
PROMISES: tuple[Promise, ...] = (
    one_create_makes_at_most_one_key,
    one_rotation_makes_at_most_one_key,
    every_key_is_reported_or_named_by_a_list,
    nobody_is_given_anothers_key,
    a_refused_call_changed_nothing,
    no_key_is_said_not_to_exist,
    no_key_is_outside_the_policy,
    no_count_and_no_sum_is_passed,
    a_key_is_asked_with_its_own_value,
    a_stored_value_stays_in_its_store,
    a_stored_value_is_not_revealed_again,
    a_search_finds_every_key,
    every_write_is_in_the_trail,
    the_calls_of_a_machine_stay_within_the_limit,
    every_call_answers_in_time,
    everything_is_settled_at_last,
    nothing_breaks_inside,
    a_lifetime_counts_by_the_clock_of_the_api,
    nobody_elses_key_is_written,
    an_update_changes_exactly_what_was_asked,
    disabled_stays_disabled,
    a_rotation_keeps_the_scope,
    a_budget_is_what_was_given,
)
