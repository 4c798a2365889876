"""Time: one clock, and waits that an event loop with virtual time lets pass at once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from comet_mcp.sandbox import Sandbox
from tests.sandbox.conftest import BODY, Served

START = 1_800_000_000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        # From nothing on: at today's Unix time the loop's resolution of a nanosecond is lost in a float.
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@contextmanager
def unmoved_machine_clock() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


def simulated(test: Callable[[httpx.AsyncClient, Sandbox], Any], **changes: Any) -> None:
    """Run a test in process, on virtual time."""

    async def run() -> None:
        sandbox = Sandbox("gateway", clock=lambda: START + loop.time(), **changes)
        transport = httpx.ASGITransport(app=sandbox.app)
        headers = {"Authorization": sandbox.access_token}
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
            await test(client, sandbox)

    loop = VirtualLoop()
    with unmoved_machine_clock(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())


def test_latency_and_hanging_take_virtual_time() -> None:
    async def test(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
        sandbox.faults.add("list", "latency", value=900)
        before = sandbox.clock()
        await client.get("/api/token/")
        assert sandbox.clock() - before == pytest.approx(900)
        sandbox.faults.add("list", "drip")
        await client.get("/api/token/")
        assert sandbox.clock() - before > 903

    simulated(test)


def test_limits_are_counted_in_virtual_time() -> None:
    async def test(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
        statuses = [(await client.get("/api/token/search")).status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]
        await asyncio.sleep(60)
        assert (await client.get("/api/token/search")).status_code == 200
        assert sandbox.clock() == pytest.approx(START + 60)

    simulated(test, rate_limits=True)


def test_a_chat_is_in_flight_in_virtual_time() -> None:
    async def test(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
        row = sandbox.add_key("x", remain_quota=1000)
        body = {"model": "gpt-4o", "metadata": {"sandbox_seconds": "3600"}}
        headers = {"Authorization": f"Bearer {row.key}"}
        call = asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=headers))
        await asyncio.sleep(1800)
        assert row.used_quota == 500
        assert (await call).status_code == 200
        assert 0 < row.used_quota < 500
        assert sandbox.account.log.entries[0].use_time == 3600

    simulated(test)


def test_a_chat_whose_task_is_cancelled_is_billed_whole() -> None:
    async def test(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
        row = sandbox.add_key("x", remain_quota=1000)
        body = {"model": "gpt-4o", "metadata": {"sandbox_seconds": "3600", "sandbox_prompt_tokens": "10"}}
        headers = {"Authorization": f"Bearer {row.key}"}
        call = asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=headers))
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert row.used_quota == 10 + 20 * 4

    simulated(test)


async def test_in_process_every_answer_has_one_date_by_the_sandboxs_clock() -> None:
    sandbox = Sandbox(clock=lambda: START - 3600)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox.app), base_url="http://sandbox") as client:
        for path, fault in (("/api/token/", None), ("/api/token/", "html"), ("/nowhere", None), ("/api/token", None)):
            if fault:
                sandbox.faults.add("*", fault)
            response = await client.get(path)
            assert response.headers.get_list("date") == ["Fri, 15 Jan 2027 07:00:00 GMT"]


def test_over_http_every_answer_has_one_date_by_the_sandboxs_clock(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox(clock=lambda: START + 86_400))
    for path in ("/api/token/", "/nowhere", "/api/token"):
        assert served.client.get(path).headers.get_list("date") == ["Sat, 16 Jan 2027 08:00:00 GMT"]


def test_a_late_key_is_listed_when_the_sandboxs_clock_says_so(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox(clock=lambda: START))
    served.sandbox.faults.add("create", "late", value=600)
    served.create()
    assert served.list() == []
    served.sandbox.clock = lambda: START + 600
    assert [row["created_time"] for row in served.list()] == [START]


@pytest.mark.parametrize("fault", ["deferred", "deferred_reset"])
def test_a_deferred_create_makes_its_key_in_its_time(serve: Callable[[Sandbox], Served], fault: str) -> None:
    served = serve(Sandbox(clock=lambda: START))
    served.sandbox.faults.add("create", fault, value=30)
    if fault == "deferred":
        assert served.create().json() == {"message": "", "success": True}
    else:
        with pytest.raises(httpx.ReadError):
            served.create()
    served.sandbox.clock = lambda: START + 29
    served.client.post("/api/token/", json={"name": "in between"})
    assert served.client.get("/api/token/2").json()["success"] is False
    served.sandbox.clock = lambda: START + 100
    served.client.post("/api/token/", json={"name": "afterwards"})
    assert [(row["id"], row["name"], row["created_time"] - START) for row in served.list()] == [
        (3, "afterwards", 100),
        (2, BODY["name"], 30),
        (1, "in between", 29),
    ]


def test_a_deferred_create_that_is_refused_makes_no_key(served: Served) -> None:
    served.sandbox.faults.add("create", "deferred", value=0)
    answer = served.client.post("/api/token/", json={"name": "x", "remain_quota": -1}).json()
    assert answer == {"message": "Quota value cannot be negative", "success": False}
    assert served.sandbox.keys == []


def test_a_deferred_create_is_seen_by_who_reads_the_rows() -> None:
    sandbox = Sandbox(clock=lambda: START)
    sandbox.account.create_later({"name": "x"}, 5)
    assert sandbox.keys == []
    sandbox.clock = lambda: START + 5
    assert [row.name for row in sandbox.keys] == ["x"]
