"""The questions that people have about their spending, each answered in one short call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest

from comet_mcp.domain.money import Units
from comet_mcp.domain.span_words import span_of
from comet_mcp.domain.usage import Spending
from comet_mcp.services.usage import Before, Gap, Question, Read, Usage
from comet_mcp.tools.usage_views import notes, previous
from tests.e2e.steps import served
from tests.services.spend import DAY, HOUR, exported, many, spent
from tests.support import Home, data_of, error_of, text_of

MakeHome = Callable[..., Home]
USD = 500_000


async def ask(home: Home, **arguments: Any) -> dict[str, Any]:
    """The answer of one call, which has to be short."""
    async with served(home) as client:
        result = await client.call_tool("get_usage", arguments)
    data = data_of(result)
    assert len(text_of(result).encode()) <= 2048
    return data


@pytest.fixture
def shop(home: Home) -> Home:
    """Three keys that spent on two models in the last days."""
    blog, shop, _ = (home.sandbox.add_key(name, unlimited_quota=True) for name in ("blog", "shop", "idle"))
    for ago, key, model, usd in (
        (6 * DAY - HOUR, blog, "gpt-4o", 1.5),
        (3 * DAY, shop, "claude-opus-4-1", 4),
        (3 * DAY, blog, "gpt-4o", 0.25),
        (10, blog, "gpt-4o", 0.5),
    ):
        spent(home.sandbox, key.id, model, int(usd * USD), ago, token_name=key.name)
    return home


async def test_which_key_was_dearest(shop: Home) -> None:
    found = await ask(shop, span="last 7 days")
    assert (found["total"], found["units"], found["calls"]) == ("$6.25", 3_125_000, 4)
    assert found["items"] == [
        {"key": "shop", "id": 2, "cost": "$4.00", "units": 2_000_000, "calls": 1},
        {"key": "blog", "id": 1, "cost": "$2.25", "units": 1_125_000, "calls": 3},
    ]
    assert "notes" not in found


async def test_which_model_and_which_day_were_dearest(shop: Home) -> None:
    by_model = await ask(shop, span="last 7 days", by="model")
    assert [(line["model"], line["cost"]) for line in by_model["items"]] == [
        ("claude-opus-4-1", "$4.00"),
        ("gpt-4o", "$2.25"),
    ]
    by_day = await ask(shop, span="last 7 days", by="day", top=1)
    assert by_day["items"][0]["cost"] == "$4.25"
    assert by_day["rest"].endswith("$2.00 in 2 calls")


async def test_what_one_key_spent_on_what(shop: Home) -> None:
    found = await ask(shop, span="last 7 days", by="model", key_name="blog")
    assert found["total"] == "$2.25"
    assert [line["model"] for line in found["items"]] == ["gpt-4o"]
    assert await ask(shop, span="last 7 days", by="model", id=1) == found


async def test_this_span_stands_against_the_one_before(home: Home) -> None:
    spent(home.sandbox, 1, "gpt-4o", USD, ago=HOUR)
    spent(home.sandbox, 1, "gpt-4o", 3 * USD, ago=25 * HOUR)
    found = await ask(home, span="last 24 hours")
    assert found["total"] == "$1.00"
    assert found["previous"].startswith("$3.00 (")
    assert "by the same time" not in found["previous"], "it is as long as this one"


def test_what_was_not_read_is_never_told_as_all_of_it() -> None:
    question = Question(span_of("this month", 1_795_800_000, UTC), ("key",))
    read = Read(Spending(("key",), UTC), [Gap(0, 9, "calls")])
    read.spending.logged = 5 * USD - 1_000
    usage = Usage(0, 100, read, logged=5 * USD)
    (note,) = notes(usage, question, Units(), UTC)
    assert "$4.998 of $5.00" in note


@pytest.mark.parametrize(("so_far", "ends"), [(USD, ", $1.00 of it by the same time"), (3 * USD, ")"), (None, ")")])
def test_as_much_of_the_span_before_as_is_over_of_this_one_is_told_where_it_is_another_sum(
    so_far: int | None, ends: str
) -> None:
    question = Question(span_of("this month", 1_795_800_000, UTC), ("key",))
    usage = Usage(0, 1, Read(Spending(("key",), UTC)), before=Before(3 * USD, so_far))
    said = previous(usage, question, Units(), UTC)
    assert said is not None
    assert said.startswith("$3.00 (2026-10-01 to 2026-10-31 UTC")
    assert said.endswith(ends)


async def test_a_busy_account_with_long_names_is_answered_in_two_kilobytes_too(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    keys = [home.sandbox.add_key(f"{number:02} " + "名" * 15, unlimited_quota=True).id for number in range(40)]
    many(home.sandbox, 1000, every=60, keys=keys)
    exported(home.sandbox)
    found = await ask(home, span="last 7 days", by="key,model")
    assert len(found["items"]) == 10
    assert found["items"][0]["key"].endswith("名" * 15)
    assert found["rest"].startswith("110 more: ")
    assert "notes" not in found


async def test_what_could_not_be_read_is_told(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway-2026-03", COMETAPI_MCP_CALLS="40")
    many(home.sandbox, 3000, every=60)
    found = await ask(home, span="last 7 days")
    (note,) = found["notes"]
    assert "are not in these sums" in note
    assert "of $0.06" in note


async def test_an_empty_log_is_said_to_be_none(home: Home) -> None:
    found = await ask(home)
    assert (found["total"], found["items"]) == ("$0.00", [])
    assert "no model call" in found["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"span": "lately"}, '"last 7 days"'),
        ({"by": "user"}, "'key,day'"),
        ({"id": 1, "key_name": "x"}, "Give one of them"),
        ({"key_name": "nobody"}, "No API key is named"),
        ({"top": 0}, "at least 1"),
    ],
)
async def test_a_question_that_is_not_understood_is_refused_with_one_that_is(
    home: Home, arguments: dict[str, Any], said: str
) -> None:
    async with served(home) as client:
        assert said in error_of(await client.call_tool("get_usage", arguments))


async def test_a_day_is_one_of_the_persons_zone(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEZONE="Asia/Kolkata")
    spent(home.sandbox, 1, "gpt-4o", USD, ago=10)
    found = await ask(home, span="today", by="day")
    assert "UTC+05:30" in found["span"]
