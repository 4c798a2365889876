"""Which row is which create's: rows and operations in, the row out; nothing is there to be asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.journal.operations import OldKey, Operation, State, Watermark
from comet_mcp.services.matching import LATEST, Match, differences, equal_rows, match, namesakes

NOW = 1_000.0
SPEC = KeySpec(name="blog", remain_quota=500)


def row(number: int, **fields: Any) -> Key:
    return Key(id=number, **{"created_time": 1_000 + number} | SPEC.model_dump(exclude={"allow_ips"}) | fields)


def create(id: str = "mine", state: State = State.OUTCOME_UNKNOWN, **fields: Any) -> Operation:
    base: dict[str, Any] = {"id": id, "account": "a", "kind": "create", "state": state, "spec": SPEC, "begun": NOW}
    accepted = state in (State.ACCEPTED, State.ACCEPTED_UNLISTED)
    return Operation(**base | {"holder": "me", "lease_until": 0.0, "accepted": accepted} | fields)


def matched(operation: Operation, *rows: Key, claimed: Any = (), others: Any = ()) -> int | tuple[int, ...] | None:
    found = match(operation, rows, set(claimed), [operation, *others], NOW)
    assert found == Match() or bool(found.row) != bool(found.ambiguous)
    return found.row.id if found.row else found.ambiguous or None


def test_a_lone_equal_row_above_the_watermark_is_the_creates() -> None:
    assert matched(create(), row(1)) == 1
    assert matched(create()) is None
    assert matched(create(watermark=Watermark(1)), row(1)) is None
    assert matched(create(watermark=Watermark(1)), row(1), row(2)) == 2
    assert matched(create(), row(1), claimed=[(1, 1_001)]) is None
    assert matched(create(), row(1), claimed=[(1, 999)]) == 1, "that was a key before the ids began anew"


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Blog"},
        {"name": " blog"},
        {"remain_quota": 501},
        {"unlimited_quota": True},
        {"expired_time": 5},
        {"model_limits_enabled": True},
        {"model_limits": "gpt-4o"},
        {"allow_ips": "192.0.2.1"},
        {"group": "vip"},
        {"cross_group_retry": True},
    ],
)
def test_a_row_that_differs_in_anything_is_never_taken_whatever_its_name(other: dict[str, Any]) -> None:
    assert matched(create(), row(1, **other)) is None
    assert matched(create(state=State.ACCEPTED), row(1, **other)) is None


def test_what_releases_are_known_to_change_is_no_difference() -> None:
    asked = create(spec=SPEC.model_copy(update={"cross_group_retry": True}))
    assert matched(asked, row(1, cross_group_retry=False)) == 1
    auto = create(spec=SPEC.model_copy(update={"cross_group_retry": True, "group": "auto"}))
    assert matched(auto, row(1, cross_group_retry=False, group="auto")) is None
    assert matched(create(spec=SPEC.model_copy(update={"allow_ips": ""})), row(1)) == 1
    assert differences(asked.spec, row(1)) == ["cross_group_retry was sent as true and stored as false."]


def test_of_more_equal_rows_than_there_are_creates_none_is_taken() -> None:
    assert matched(create(), row(1), row(2)) == (1, 2)
    assert matched(create(state=State.ACCEPTED), row(2), row(1)) == (1, 2)
    assert matched(create(state=State.ACCEPTED), row(1), row(2), others=[create("other")]) == 1


def test_equal_creates_are_interchangeable_and_an_unknown_one_waits_until_those_that_are_owed_a_row_have_it() -> None:
    owed = create("owed", State.ACCEPTED_UNLISTED)
    working = create("working", State.PENDING, lease_until=NOW + 1)
    for other in (owed, working):
        assert matched(create(), row(1), others=[other]) is None
        assert matched(create(), row(1), row(2), others=[other]) == 1
    assert matched(owed, row(1), others=[create()]) == 1, "an accepted one takes any"
    lost = create("lost")
    assert matched(create(), row(1), others=[lost]) == 1
    assert matched(create(), row(1), others=[create("dead", State.PENDING, lease_until=NOW - 1)]) == 1


def test_a_row_that_was_there_before_a_create_began_is_not_that_creates() -> None:
    later = create("later", State.PENDING, watermark=Watermark(1), lease_until=NOW + 1)
    assert matched(create(), row(1), others=[later]) == 1
    assert matched(create(), row(1), row(2), others=[later]) == 1
    much_later = create("much later", State.PENDING, watermark=Watermark(2), lease_until=NOW + 1)
    assert matched(create(), row(1), row(2), others=[much_later]) == (1, 2), "one of them is a stranger's"


def test_only_creates_whose_row_may_still_show_are_rivals() -> None:
    for other in (
        create("other name", spec=SPEC.model_copy(update={"name": "x"})),
        create("done", State.STORED, key_id=9, key_created=9),
        create("gone", State.NOT_DONE),
        create("change", State.PENDING, kind="change", lease_until=NOW + 1),
        create("old", State.ABANDONED, begun=NOW - 90_000),
    ):
        assert matched(create(), row(1), row(2), others=[other]) == (1, 2), other.id
        assert matched(create(), row(1), others=[other]) == 1
    null = create("null", spec=SPEC.model_copy(update={"allow_ips": ""}))
    assert matched(create(), row(1), row(2), others=[null]) == 1


def test_a_create_that_another_server_has_settled_takes_no_second_key() -> None:
    settled = create("lost", State.STORED, key_id=1, key_created=1_001)
    mine = create("mine", State.ACCEPTED, watermark=Watermark(1))
    assert matched(mine, row(1), row(2), claimed=[(1, 1_001)], others=[settled]) == 2


def test_an_abandoned_creates_row_was_made_soon_after_it_or_is_somebody_elses() -> None:
    late = create(state=State.ABANDONED, begun=NOW - LATEST)
    assert matched(late, row(1, created_time=int(NOW))) == 1
    assert matched(late, row(1, created_time=int(NOW) + 1)) is None


def test_the_key_that_is_replaced_is_no_rival_of_the_one_that_replaces_it() -> None:
    rotation = create(kind="rotate", old=OldKey(1, 1_001))
    assert matched(rotation, row(1)) is None
    assert matched(rotation, row(1), row(2)) == 2
    assert matched(create(kind="rotate", old=OldKey(1, 7)), row(1)) == 1, "an id that was given once more"
    assert [found.id for found in equal_rows(rotation, [row(1), row(2)])] == [2]


def test_a_create_whose_key_is_replaced_before_it_is_listed_does_not_take_the_one_that_replaces_it() -> None:
    """Row 3 is the create's; somebody guessed its id and rotates it into row 4, which is listed first."""
    for state in (State.PENDING, State.ACCEPTED, State.ACCEPTED_UNLISTED, State.OUTCOME_UNKNOWN):
        mine = create("mine", state, lease_until=NOW + 1, watermark=Watermark(2))
        rotation = create("rotation", kind="rotate", watermark=Watermark(2), old=OldKey(3, 1_003))
        assert matched(mine, row(4), others=[rotation]) is None
        assert matched(mine, row(3), row(4), others=[rotation]) == 3
        assert matched(mine, row(3, remain_quota=1), row(4), others=[rotation]) is None, "it was used or changed since"
        assert matched(rotation, row(4), others=[mine]) is None, "it waits until the create has its own"
        assert matched(rotation, row(4), claimed=[(3, 1_003)]) == 4
        assert matched(mine, row(4), claimed=[(3, 1_003)], others=[rotation]) == 4, "that one is another create's"
        older = create("rotation", kind="rotate", watermark=Watermark(2), old=OldKey(2, 1_002))
        assert matched(mine, row(4), row(5), others=[older]) == 4, "that one was there before"


def test_namesakes_are_rows_that_may_be_the_creates_or_anybodys() -> None:
    rows = [row(1, name="BLOG "), row(2, remain_quota=1), row(3), row(4, name="other"), row(5)]
    found = namesakes(create(watermark=Watermark(1)), rows, {(3, 1_003)})
    assert [one.id for one in found] == [2, 5]
    assert [one.id for one in namesakes(create(kind="rotate", old=OldKey(5, 0)), rows, set())] == [1, 2, 3]


states = st.sampled_from([State.OUTCOME_UNKNOWN, State.ACCEPTED_UNLISTED, State.ABANDONED, State.PENDING])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(states, st.booleans()), min_size=1, max_size=5), st.integers(0, 7), st.randoms())
def test_whoever_looks_first_no_row_is_two_creates_and_none_is_taken_of_a_stranger(
    begun: list[tuple[State, bool]], rows: int, chance: Any
) -> None:
    """Creates claim one after the other, as steps of the journal do; more rows than creates are never touched."""
    creates = {
        f"{number}": create(f"{number}", state, lease_until=NOW + held) for number, (state, held) in enumerate(begun)
    }
    there = [row(number + 1, created_time=int(NOW)) for number in range(rows)]
    claimed: dict[tuple[int, int], str] = {}
    order = list(creates) * 2
    chance.shuffle(order)
    for name in order:
        mine = creates[name]
        if mine.state is State.MATCHED:
            continue
        found = match(mine, there, set(claimed), list(creates.values()), NOW)
        if found.row is not None:
            claim = (found.row.id, found.row.created_time)
            assert claim not in claimed
            claimed[claim] = name
            creates[name] = mine.moved(State.MATCHED, key_id=found.row.id, key_created=found.row.created_time)
    if rows > len(creates):
        assert not claimed
    accepted = [name for name, (state, _) in enumerate(begun) if state is State.ACCEPTED_UNLISTED]
    if rows <= len(creates):
        got = {int(name) for name in claimed.values()}
        assert len(set(accepted) & got) >= min(len(accepted), rows), "who was promised a row comes first"


def test_a_difference_is_told_in_a_sentence_however_long_what_is_stored_is() -> None:
    (said,) = differences(SPEC, row(1, group="g" * 1_000_000))
    assert said.endswith("… (1000002 characters).")
    assert len(said) < 700
