"""An answer counts as delivered once it was written, and not before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import anyio
import pytest

from comet_mcp.audit.trail import Note
from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.deliveries import Deliveries
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import CometError, JournalError
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.services.delivery import Told, acknowledging
from tests.e2e.steps import blocking_until, operations, served, started, stored, until, values
from tests.services.conftest import Serve
from tests.support import Home, data_of

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "delivered", "remain_quota": 500_000}
SPEC = KeySpec(**BODY)


def acknowledged(home: Home) -> list[bool]:
    with closing(sqlite3.connect(home.state)) as db:
        return [bool(told) for (told,) in db.execute("SELECT acknowledged FROM operation ORDER BY begun, rowid")]


async def test_what_is_to_be_done_after_an_answer_is_done_once_and_says_whether_it_was_written() -> None:
    deliveries, done = Deliveries(), list[tuple[str, bool]]()

    def finish(name: str) -> Any:
        async def work(read: bool) -> None:
            done.append((name, read))

        return work

    for number, name in enumerate("abc"):
        deliveries.expect(number, finish(name))
    await deliveries.written(0)
    await deliveries.written(0)
    await deliveries.written(1, read=False)
    await deliveries.written(None)
    await deliveries.written("another")
    assert done == [("a", True), ("b", False)]
    await deliveries.give_up()
    await deliveries.give_up()
    assert done == [("a", True), ("b", False), ("c", False)]


@pytest.mark.long
def test_a_key_is_told_once_its_answer_was_written(make_home: MakeHome) -> None:
    home = make_home()
    with started(home.environment) as server:
        server.initialize()
        server.call("create_api_key", BODY)
        blocking_until(lambda: acknowledged(home) == [True])
    assert operations(home) == [("stored", 1)]


@pytest.mark.long
async def test_a_list_that_was_not_read_tells_again(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("UPDATE operation SET acknowledged = 0, lease_until = 0")
    home.sandbox.faults.add("list", "latency", value="0.5")
    with started(home.environment) as server:
        server.initialize()
        server.start_call("list_api_keys", {})
        blocking_until(lambda: home.sandbox.count("list") > 2)
        server.kill()
    assert acknowledged(home) == [False]
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("UPDATE operation SET lease_until = 0")
    async with served(home) as client:
        assert "Key 1 " in data_of(await client.call_tool("list_api_keys"))["notes"][0]
        await until(lambda: acknowledged(home) == [True])
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert stored(home) == values(home)


async def test_work_that_was_begun_goes_on_to_its_end_whatever_is_cancelled(make_home: MakeHome, serve: Serve) -> None:
    services = serve(make_home())
    operation, _ = await services.creator.begin(SPEC, Deadline(SYSTEM, 10))
    delivery, done = services.creator._delivery, list[str]()

    async def work() -> None:
        await anyio.sleep(0.3)
        done.append("done")

    with anyio.move_on_after(0.1) as scope:
        await delivery.to_the_end(operation, work)
        done.append("and told")
    assert scope.cancelled_caught
    assert done == ["done"]
    with closing(sqlite3.connect(services.settings.state)) as db:
        assert db.execute("SELECT disconnected, acknowledged FROM operation").fetchall() == [(1, 0)]


async def test_a_failure_of_the_work_is_raised_as_it_is(make_home: MakeHome, serve: Serve) -> None:
    services = serve(make_home())
    operation, _ = await services.creator.begin(SPEC, Deadline(SYSTEM, 10))

    async def work() -> None:
        raise CometError("no")

    with pytest.raises(CometError, match="no"):
        await services.creator._delivery.to_the_end(operation, work)


async def test_once_the_client_has_gone_its_operation_may_be_taken_up(make_home: MakeHome, serve: Serve) -> None:
    services = serve(make_home())
    operation, _ = await services.creator.begin(SPEC, Deadline(SYSTEM, 10))

    async def work() -> str:
        services.client_disconnected.set()
        await anyio.sleep(0.3)
        return "made"

    assert await services.creator._delivery.to_the_end(operation, work) == "made"
    with closing(sqlite3.connect(services.settings.state)) as db:
        assert db.execute("SELECT disconnected, acknowledged FROM operation").fetchall() == [(1, 0)]


async def test_what_cannot_be_noted_just_then_is_noted_with_what_comes_next(
    make_home: MakeHome, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an equal create is told of the key too."""
    home = make_home()
    services = serve(home)
    operation, _ = await services.creator.begin(SPEC, Deadline(SYSTEM, 10))
    run, fails = services.journal.run, [True]

    async def once_locked(*steps: Step[Any]) -> Any:
        if fails:
            fails.clear()
            raise JournalError("The journal is locked by another program.")
        return await run(*steps)

    monkeypatch.setattr(SQLiteJournal, "run", lambda _, *steps: once_locked(*steps))
    await services.audit.end(None, "create_api_key", Note(), acknowledging(Told([operation.id])))
    assert acknowledged(home) == [False]
    await services.journal.run(Step(Reads(), lambda _: Decision(None)))
    assert acknowledged(home) == [True]
    assert services.audit._owed == []
