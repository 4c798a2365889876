"""The state machine of operations: the table is all there is, and is drawn in a file that people can read."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.journal.operations import (
    CLOSED,
    LEASE,
    RECOGNISABLE_FOR,
    RENEW_EVERY,
    ROWLESS,
    TRANSITIONS,
    Kind,
    Operation,
    State,
    Watermark,
    diagram,
)

DRAWN = Path(__file__).with_name("transitions.txt")
FIRST = State.PENDING
KINDS: tuple[Kind, ...] = get_args(Kind)


def operation(kind: Kind = "create", state: State = FIRST, **fields: object) -> Operation:
    given = {"id": "one", "account": "a", "spec": KeySpec(name="x"), "begun": 1_000.0, "holder": "me"}
    return Operation(**given | {"kind": kind, "state": state, "lease_until": 1_006.0} | fields)  # type: ignore[arg-type]


def test_the_table_is_drawn_in_the_file_beside_this_test() -> None:
    """COMETAPI_UPDATE_SNAPSHOTS=1 draws it anew, after a change on purpose."""
    if os.environ.get("COMETAPI_UPDATE_SNAPSHOTS"):
        DRAWN.write_text(diagram() + "\n", encoding="utf-8")
    assert DRAWN.read_text(encoding="utf-8") == diagram() + "\n"


def test_every_transition_of_the_table_is_made_and_every_other_one_raises() -> None:
    allowed = {(kind, step.before, step.after) for step in TRANSITIONS for kind in step.kinds}
    made = 0
    for kind, before, after in product(KINDS, State, State):
        if before is after:
            continue
        if (kind, before, after) in allowed:
            assert operation(kind, before).moved(after).state is after
            made += 1
        else:
            with pytest.raises(ValueError, match="can't go from"):
                operation(kind, before).moved(after)
    assert made == len(allowed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_of_a_kind_is_reached_from_its_begin_and_nothing_leads_out_of_a_closed_one(kind: Kind) -> None:
    steps = {(step.before, step.after) for step in TRANSITIONS if kind in step.kinds}
    reached = {FIRST}
    while more := {after for before, after in steps if before in reached} - reached:
        reached |= more
    assert reached == {FIRST, *(state for step in steps for state in step)}
    assert not {before for before, _ in steps} & CLOSED
    assert reached & CLOSED


@pytest.mark.parametrize("kind", ["create", "rotate"])
def test_from_every_state_of_a_create_there_is_a_way_to_a_closed_one(kind: Kind) -> None:
    steps = {(step.before, step.after) for step in TRANSITIONS if kind in step.kinds}
    ends = set(CLOSED)
    while more := {before for before, after in steps if after in ends} - ends:
        ends |= more
    assert {before for before, _ in steps} <= ends


def test_a_state_that_is_the_same_is_no_transition() -> None:
    for kind, state in product(KINDS, State):
        assert operation(kind, state).moved(state, lease_until=0.0).lease_until == 0.0


def test_that_the_api_said_yes_is_known_for_good() -> None:
    accepted = operation().moved(State.ACCEPTED_UNLISTED).moved(State.ABANDONED)
    assert accepted.accepted
    assert accepted.moved(State.MATCHED, key_id=1, key_created=1).accepted
    assert not operation().moved(State.OUTCOME_UNKNOWN).moved(State.ABANDONED).accepted


def test_an_operation_is_its_holders_until_its_lease_ends() -> None:
    assert RENEW_EVERY < LEASE / 2, "a renewal may come late once"
    for state in State:
        held = operation(state=state)
        assert held.is_held(1_005.9) == (state not in {*CLOSED, State.RETIRED})
        assert not held.is_held(1_006.0)


def test_the_row_of_an_abandoned_create_is_recognised_for_a_day() -> None:
    for state in State:
        found = operation(state=state)
        assert found.awaits_row(1_000.0 + RECOGNISABLE_FOR - 1) == (state in ROWLESS or state is State.ABANDONED)
        assert found.awaits_row(1_000.0 + RECOGNISABLE_FOR) == (state in ROWLESS)


def test_a_change_and_a_delete_are_open_until_somebody_knows_what_came_of_them() -> None:
    for kind, state in product(KINDS, State):
        is_write = kind in ("change", "delete")
        assert operation(kind, state).is_open_write == (is_write and state in (State.PENDING, State.OUTCOME_UNKNOWN))


def rows(*pairs: tuple[int, int]) -> list[Key]:
    return [Key(id=number, created_time=created) for number, created in pairs]


def test_a_row_is_above_a_watermark_by_its_id_and_by_its_time() -> None:
    found = rows((4, 90), (5, 100), (6, 99), (7, 100))
    assert [row.id for row in Watermark(5, 100).above(found)] == [7]
    assert [row.id for row in Watermark(5).above(found)] == [6, 7]
    assert Watermark(5, 100).above([]) == []


def test_ids_that_began_anew_are_told_by_their_time() -> None:
    found = rows((1, 99), (2, 103))
    assert [row.id for row in Watermark(50, 0, 100).above(found)] == [2], "it is younger than the row of id 50"
    assert Watermark(50).above(found) == []
    assert Watermark(50, 104, 100).above(found) == []


def test_a_rotation_is_open_until_it_is_retired_or_nothing_came_of_it() -> None:
    done = {*CLOSED, State.RETIRED, State.ABANDONED}
    for state in State:
        assert operation("rotate", state).is_open_rotation == (state not in done)
        assert not operation("create", state).is_open_rotation
