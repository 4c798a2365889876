from __future__ import annotations

from typing import Any

import pytest

from comet_mcp.domain.key import Key

NOW = 1_795_000_000.0
ENDED = 1_600_000_000


@pytest.mark.parametrize(
    ("fields", "word", "kinds"),
    [
        ({}, "works", []),
        ({"status": 2}, "disabled", ["disabled"]),
        ({"status": 9}, "unknown (9)", ["disabled"]),
        ({"expired_time": ENDED}, "expired", ["expired"]),
        ({"expired_time": int(NOW)}, "expired", ["expired"]),
        ({"expired_time": ENDED, "status": 2}, "disabled", ["disabled", "expired"]),
        ({"status": 3}, "expired", ["stale"]),
        ({"remain_quota": 0}, "used up", ["exhausted"]),
        ({"remain_quota": -7, "expired_time": ENDED}, "expired", ["expired", "exhausted"]),
        ({"remain_quota": 0, "unlimited_quota": True}, "works", []),
        ({"status": 4}, "used up", ["stale"]),
        ({"status": 4, "remain_quota": 0}, "used up", ["exhausted"]),
    ],
)
def test_a_record_says_whether_the_key_can_work_and_everything_that_keeps_it_from_it(
    fields: dict[str, Any], word: str, kinds: list[str]
) -> None:
    state = Key(**{"id": 1, "status": 1, "expired_time": int(NOW) + 1, "remain_quota": 5, **fields}).state(NOW)
    assert (state.word, [obstacle.kind for obstacle in state.obstacles]) == (word, kinds)
    assert state.works == (not kinds)
    assert all(state.has(obstacle.kind) for obstacle in state.obstacles)


def test_all_obstacles_go_on_one_sentence() -> None:
    state = Key(id=1, status=2, expired_time=ENDED).state(NOW)
    assert state.why == "is disabled, and expired at 2020-09-13T12:26:40Z, and has nothing left to spend"
    assert Key(id=1, status=1, remain_quota=1).state(NOW).why == ""
