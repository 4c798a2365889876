"""What was given counts as long as the rule says, for all servers of a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import PolicyError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.writes import Grant
from comet_mcp.policy.windows import NOTHING
from tests.services.conftest import Serve
from tests.support import Home

MakeHome = Callable[..., Home]

HOURS = 3600.0
DOLLAR = 500_000


@pytest.mark.parametrize(
    ("rule", "hours", "refused"),
    [
        ("max_keys_per_hour", 0.9, True),
        ("max_keys_per_hour", 2, False),
        ("max_keys_per_day", 2, True),
        ("max_keys_per_day", 23.9, True),
        ("max_keys_per_day", 24.1, False),
        ("max_keys_total", 2000, True),
        ("max_sum_usd_per_hour", 2, False),
        ("max_sum_usd_per_day", 2, True),
        ("max_sum_usd_per_day", 24.1, False),
        ("max_sum_usd_total", 2000, True),
    ],
)
async def test_what_was_given_counts_as_long_as_the_rule_says(
    make_home: MakeHome, serve: Serve, rule: str, hours: float, refused: bool
) -> None:
    home = make_home(**{f"COMETAPI_MCP_POLICY_{rule.upper()}": "1"})
    services = serve(home)
    account = await services.identity.account()
    given = Grant(SYSTEM.now() - hours * HOURS, 1, DOLLAR, "earlier")
    await services.journal.run(Step(Reads(account), lambda _: Decision(None, [given])))
    spec = KeySpec(name="x", remain_quota=1)
    broken, _ = await services.quota.verdict(spec)
    assert [entry.split(":")[0] for entry in broken] == ([rule] if refused else [])
    for copied in (False, True):
        if refused:
            with pytest.raises(PolicyError, match=rule):
                services.quota.enforcer.require_new(spec, await services.quota.spending(), copied=copied)
        else:
            services.quota.enforcer.require_new(spec, await services.quota.spending(), copied=copied)


async def test_without_a_journal_nothing_was_given_and_none_is_made(make_home: MakeHome, serve: Serve) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    services = serve(home)
    assert await services.quota.spending() == NOTHING
    assert (await services.quota.verdict(KeySpec(name="x")))[0] == []
    assert not home.state.exists()


async def test_a_count_is_judged_in_the_step_that_counts_whatever_was_read_before(
    make_home: MakeHome, serve: Serve
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    one, other = serve(home), serve(home)
    for services in (one, other):
        assert (await services.quota.spending()).keys == 0
    spec, deadline = KeySpec(name="x"), Deadline(SYSTEM, 10)
    await one.creator.begin(spec, deadline)
    with pytest.raises(PolicyError, match="max_keys_total"):
        await other.creator.begin(KeySpec(name="y"), deadline)
    assert (await other.quota.spending()).keys == 1


@pytest.mark.parametrize(("unlimited", "units"), [(False, 7), (True, 0)])
async def test_a_create_is_counted_with_its_key_and_its_budget(
    make_home: MakeHome, serve: Serve, unlimited: bool, units: int
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="5")
    services = serve(home)
    spec: dict[str, Any] = {"name": "x", "remain_quota": 7, "unlimited_quota": unlimited}
    await services.creator.begin(KeySpec(**spec), Deadline(SYSTEM, 10))
    spending = await services.quota.spending()
    assert (spending.keys, spending.units) == (1, units)
