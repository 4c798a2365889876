"""What the journal counts of the budgets that changes give, and when it takes that back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from comet_mcp.api.client import CometAPI
from comet_mcp.domain.key import Key, KeySpec
from comet_mcp.errors import (
    CometError,
    JournalError,
    NotFoundError,
    PolicyError,
    RefusedError,
    UnclearError,
    UnsentError,
)
from comet_mcp.keys.allowance import Allowance
from comet_mcp.policy.guard import Guard
from comet_mcp.policy.limits import Spending
from comet_mcp.policy.policy import Policy
from comet_mcp.policy.widening import Change
from comet_mcp.state.journal import Journal
from comet_mcp.units import Units

HOURS = 3600
DOLLAR = 500_000
ROW = Key(id=7, status=1, name="agent", remain_quota=DOLLAR, used_quota=100)


class API:
    """The one call that matters: the key as it is after a change failed."""

    def __init__(self, after: Key | CometError = ROW) -> None:
        self.after = after

    async def get_token(self, _: int) -> Key:
        if isinstance(self.after, CometError):
            raise self.after
        return self.after


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3", "account")
    yield journal
    journal.close()


def allowance(journal: Journal, after: Key | CometError = ROW, **rules: Any) -> Allowance:
    return Allowance(cast("CometAPI", API(after)), journal, Guard(Policy(**rules), Units()))


def change(**fields: Any) -> Change:
    return Change(ROW, ROW.spec.model_copy(update=fields), None, frozenset(fields))


TOP_UP = change(remain_quota=3 * DOLLAR)
REFUSED, UNSENT, UNCLEAR = RefusedError("no"), UnsentError("no way"), UnclearError("who knows")


@pytest.mark.parametrize(
    ("error", "after", "kept"),
    [
        (REFUSED, ROW, False),
        (UNSENT, ROW, False),
        (UNSENT, ROW.model_copy(update={"remain_quota": DOLLAR - 50, "used_quota": 150}), False),
        (UNCLEAR, ROW, True),
        (REFUSED, ROW.model_copy(update={"remain_quota": DOLLAR + 1}), True),
        (REFUSED, ROW.model_copy(update={"used_quota": 101}), True),
        (REFUSED, ROW.model_copy(update={"unlimited_quota": True}), True),
        (REFUSED, NotFoundError("gone"), True),
    ],
)
async def test_a_top_up_is_taken_back_only_where_the_key_provably_may_spend_no_more_than_before(
    error: CometError, after: Key | CometError, kept: bool, journal: Journal
) -> None:
    with pytest.raises(type(error)):
        async with allowance(journal, after, max_sum_usd_total=9).counted(TOP_UP):
            raise error
    assert (await journal.ledger.spending()).units == (2 * DOLLAR if kept else 0)


async def test_a_top_up_is_counted_whether_a_sum_is_limited_or_not_and_what_adds_nothing_opens_no_journal(
    journal: Journal,
) -> None:
    for nothing in (change(name="other"), change(remain_quota=5), change(unlimited_quota=True)):
        async with allowance(journal).counted(nothing) as warnings:
            assert warnings == []
        await allowance(journal, max_sum_usd_total=0).require_change(change(name="other"))
    assert not journal.file.path.exists()
    async with allowance(journal).counted(TOP_UP) as warnings:
        assert warnings == []
    spending = await journal.ledger.spending()
    assert (spending.keys, spending.units) == (0, 2 * DOLLAR)
    with pytest.raises(PolicyError, match=r"\$2\.00 was given, so \$1\.00 is left"):
        await allowance(journal, max_sum_usd_total=3).require_change(TOP_UP)


async def test_where_the_journal_fails_a_top_up_goes_on_with_a_warning_and_is_refused_where_a_sum_is_limited(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, "account")  # a directory is no journal
    async with allowance(journal).counted(TOP_UP) as warnings:
        assert "will not count the added budget: The journal" in warnings[0]
    with pytest.raises(RefusedError):
        async with allowance(journal).counted(TOP_UP):
            raise REFUSED
    for rule in ("max_sum_usd_per_hour", "max_sum_usd_per_day", "max_sum_usd_total"):
        rules: dict[str, Any] = {rule: 9}
        with pytest.raises(JournalError):
            async with allowance(journal, **rules).counted(TOP_UP):
                raise AssertionError
        with pytest.raises(JournalError):
            await allowance(journal, **rules).require_change(TOP_UP)
        await allowance(journal, **rules).require_change(change(name="other"))


async def _given(journal: Journal, hours: float) -> None:
    """A key and a dollar, so many hours ago."""
    await journal.file.write(lambda db: journal.ledger.count(db, 1, DOLLAR))
    with closing(sqlite3.connect(journal.file.path)) as db, db:
        db.execute("UPDATE spending SET at = at - ?", (hours * HOURS,))


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
    rule: str, hours: float, refused: bool, journal: Journal
) -> None:
    await _given(journal, hours)
    body = KeySpec(name="x", remain_quota=1)
    rules: dict[str, Any] = {rule: 1}
    limited = allowance(journal, **rules)
    broken, _ = await limited.verdict(body)
    assert [entry.split(":")[0] for entry in broken] == ([rule] if refused else [])
    if refused:
        with pytest.raises(PolicyError, match=rule):
            await limited.require_new(body)
        with pytest.raises(PolicyError, match=rule):
            await limited.require_copy(body)
    else:
        await limited.require_new(body)
        await limited.require_copy(body)


async def test_without_a_journal_nothing_was_given(journal: Journal) -> None:
    assert await journal.ledger.spending() == Spending()
    await allowance(journal, max_keys_total=1).require_new(KeySpec(name="x"))
