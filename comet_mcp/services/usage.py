"""What an account has spent in a span, from its log and from the API's sums.

The log has a row for each model call. Where they are few, they are read; where they are many, the API's hourly sums
stand for all whole hours, and rows only for the edges. Rows come newest first, and `end` lies two seconds in the past,
so that no new row moves the others while they are paged. What could not be read is told, with the span of what was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial

from comet_mcp.api.client import CALLS, REFUNDS, CometAPI
from comet_mcp.api.models import LogPage, LogRow
from comet_mcp.clock import Clock
from comet_mcp.concurrency import Deadline, together
from comet_mcp.domain.spans import Span
from comet_mcp.domain.usage import Charge, Dimension, Spending
from comet_mcp.errors import APIError
from comet_mcp.services.call_budget import CallBudget
from comet_mcp.services.spending_sums import HOUR, LATE, SpendingSums

_PAGE = 100
_SETTLED = 2
"""Seconds after which the rows of a second are all in the log."""
_OPENING = 5
"""Calls that every question takes."""
_FEW_PAGES = 5
"""So many pages of rows are read although sums would take fewer calls: they are exact to the second."""
_TOLERATED = 200
"""Sums may differ from the log by one part in so many of the whole; else the rows are read instead."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a span, what is told apart, and of which key; None for all."""

    span: Span
    by: tuple[Dimension, ...]
    key_id: int | None = None


@dataclass(slots=True)
class Gap:
    """What could not be read of a span: calls that ended from `start` until `end`, for want of "calls" or "time"."""

    start: int
    end: int
    why: str


@dataclass(slots=True)
class Read:
    """What was read of a span's calls; `is_hourly` where the API has summed whole hours."""

    spending: Spending
    gaps: list[Gap] = field(default_factory=list)
    is_hourly: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What the span before cost, and that part of it which is as long as what is over of this one; quota units."""

    units: int
    so_far: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer, of calls that ended from `start` until `end`, in Unix seconds.

    `logged` are the units of these calls by the API's own sum of its log, of all keys and before refunds.
    """

    start: int
    end: int
    read: Read
    logged: int = 0
    before: Before | None = None

    @property
    def difference(self) -> int:
        """By how many quota units the API's sum is more than what was read."""
        return self.logged - self.read.spending.logged


class UsageReader:
    """Answers questions about what was spent."""

    def __init__(self, api: CometAPI, clock: Clock, zone: tzinfo, sums: SpendingSums) -> None:
        self._api = api
        self._clock = clock
        self._zone = zone
        self._sums = sums

    async def read(self, question: Question, deadline: Deadline) -> Usage:
        """The answer, as much of it as the calls and the time suffice for.

        Raises:
            RateLimitedError: Too few calls are left for now to begin.
            APIError: The API does not tell it.
        """
        budget = CallBudget(self._api, deadline)
        await budget.require(_OPENING)
        now = self._now()
        end = max(min(question.span.end, now - _SETTLED + 1), question.span.start)
        work = _Work(self._api, self._sums, self._zone, question, budget, end, now)
        return await work.answer() if end > question.span.start else Usage(end, end, work.nothing())

    def _now(self) -> int:
        """The time that the API's clock has surely reached."""
        reached, now = self._clock.api_reached(), int(self._clock.now())
        return now if reached is None else min(now, reached)


@dataclass(frozen=True, slots=True)
class _Work:
    """The work on one question, of which the calls until `end` are over."""

    api: CometAPI
    sums: SpendingSums
    zone: tzinfo
    question: Question
    budget: CallBudget
    end: int
    now: int

    async def answer(self) -> Usage:
        """Read it all."""
        span, is_of_all = self.question.span, self.question.key_id is None
        since = span.before if is_of_all else span.start
        calls, refunds = await together(
            partial(self._page, CALLS, span.start, self.end), partial(self._page, REFUNDS, since, self.end)
        )
        logged, *before = await self._logged(*([(span.before, span.start), (span.before, self._so_far)] * is_of_all))
        read = await self._calls(calls, logged)
        given_back = await self._refunds(read, since, refunds)
        return Usage(span.start, self.end, read, logged, self._before(before, given_back) if before else None)

    def nothing(self) -> Read:
        """Sums of nothing."""
        return Read(Spending(self.question.by, self.zone, self.question.key_id))

    @property
    def _so_far(self) -> int:
        return self.question.span.so_far(self.end)

    async def _logged(self, *others: tuple[int, int]) -> list[int]:
        """The API's sums of the span and of others."""
        spans = [(self.question.span.start, self.end), *others]
        return await together(*(partial(self.api.log_sum, start, end - 1) for start, end in spans))

    def _before(self, logged: list[int], refunds: list[LogRow]) -> Before:
        units, so_far = logged
        units -= sum(row.quota for row in refunds)
        so_far -= sum(row.quota for row in refunds if row.created_at < self._so_far)
        return Before(units, so_far if self.end < self.question.span.end else None)

    async def _calls(self, first: LogPage, logged: int) -> Read:
        """The model calls: by their rows where they are few, else by the API's sums where it has such."""
        pages = -(-first.total // max(len(first.items), 1))
        summed = await self._by_sums() if pages > _FEW_PAGES else None
        if summed is not None and (logged - summed.spending.logged) * _TOLERATED <= logged:
            return summed
        listed = self.nothing()
        await self._rows(listed, self.question.span.start, self.end, first)
        if summed is not None and summed.spending.logged > listed.spending.logged:
            return summed  # it lacks something, and the rows that could be read lack more
        return listed

    async def _by_sums(self) -> Read | None:
        """Whole hours by the API's sums, and the edges by rows; None where it has no such sums or they are too many."""
        read, span = self.nothing(), self.question.span
        start = span.start + -span.start % HOUR
        end = min(self.end, self.now - LATE) // HOUR * HOUR
        one_key = self.question.key_id is not None
        plan = self.sums.plan(read.spending, start, end, self.zone, one_key=one_key) if start < end else None
        if plan is None:
            return None
        read.is_hourly, had_keys = True, self.sums.has_keys
        # the newest first: a key has the name that it had last
        await self._edge(read, end, self.end)
        if not await self.sums.fill(plan, self.budget):
            # the API has just said that it has no sums of keys: those of hours may do
            return await self._by_sums() if had_keys != self.sums.has_keys else None
        await self._edge(read, span.start, start)
        return read

    async def _edge(self, read: Read, start: int, end: int) -> None:
        if start < end:
            await self._rows(read, start, end, await self._page(CALLS, start, end))

    async def _rows(self, read: Read, start: int, end: int, first: LogPage) -> None:
        """Sum the rows of model calls from `start` until `end`, as far back as can be read."""

        def add(row: LogRow) -> None:
            read.spending.add(_charge(row))

        await self._paged(read, CALLS, (start, end), first, add)

    async def _refunds(self, read: Read, since: int, first: LogPage) -> list[LogRow]:
        """Take the refunds of the span off. Returns those of the span before."""
        earlier: list[LogRow] = []

        def take(row: LogRow) -> None:
            if row.created_at < self.question.span.start:
                earlier.append(row)
                return
            read.spending.refund(_charge(row))

        await self._paged(read, REFUNDS, (since, self.end), first, take)
        return earlier

    async def _paged(
        self, read: Read, kind: int, span: tuple[int, int], first: LogPage, take: Callable[[LogRow], None]
    ) -> None:
        """Take every row of a span, from its end on; where that is not possible, note the gap that is left."""
        page, number, seen = first, 1, 0
        while True:
            for row in page.items:
                if span[0] <= row.created_at < span[1]:
                    take(row)
            seen += len(page.items)
            if not page.items or seen >= page.total:
                return
            oldest = min(max(page.items[-1].created_at, span[0]), span[1])
            why = await self.budget.lacks()
            if not why:
                number += 1
                try:
                    before, page = page, await self._page(kind, *span, number)
                except APIError as error:
                    why = error.code
                else:
                    why = "the same page again" if page.items == before.items else ""
            if why:
                read.gaps.append(Gap(span[0], oldest, why))
                return

    async def _page(self, kind: int, start: int, end: int, number: int = 1) -> LogPage:
        seconds = min(self.budget.deadline.left, self.api.seconds)
        return await self.api.log(kind, start, end - 1, number, _PAGE, seconds=seconds)


def _charge(row: LogRow) -> Charge:
    return Charge(row.created_at, row.token_id, row.token_name, row.model_name, row.quota)
