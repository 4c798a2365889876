"""What the account is told of its calls, where it takes time or rows of other types."""

from collections.abc import Callable

from comet_mcp.sandbox import Sandbox
from tests.sandbox.conftest import Clock, Served

MODEL = "gpt-4o"


def test_hourly_sums_are_up_to_five_minutes_late(serve: Callable[[Sandbox], Served]) -> None:
    clock = Clock()
    served = serve(Sandbox("gateway", clock=clock))
    sandbox = served.sandbox
    first, second = (sandbox.add_key(name, remain_quota=100_000) for name in ("first", "second"))
    for row in (first, second, second):
        sandbox.begin_call(row, MODEL).end(10, 5)
    span = f"start_timestamp={clock.now - 3600:.0f}&end_timestamp={clock.now + 7200:.0f}"

    def asked(call: str) -> list[dict[str, object]]:
        answer: list[dict[str, object]] = served.client.get(f"/api/data/{call}?{span}").json()["data"]
        return answer

    clock.now += 299
    assert asked("self") == asked("flow/self") == []
    clock.now += 1
    sums = {"token_used": 45, "count": 3, "quota": 90}
    empty = {"id": 0, "use_group": "", "token_id": 0, "channel_id": 0, "node_name": ""}
    owner = {"user_id": 1, "username": "sandbox", "model_name": MODEL, "created_at": 1_800_000_000}
    assert asked("self") == [empty | owner | sums]
    sandbox.account.delete(first.id)
    flow = {"use_group": "default", "model_name": MODEL}
    assert asked("flow/self") == [
        {"token_id": 2, "token_name": "second", "token_used": 30, "count": 2, "quota": 60} | flow,
        {"token_id": 1, "token_used": 15, "count": 1, "quota": 30} | flow,
    ]
    sandbox.settings.enable_data_export = False
    assert asked("self") == asked("flow/self") == []


def test_rows_of_all_types_are_mixed_in_the_log(served: Served) -> None:
    served.sandbox.account.note(type=7, content="Logged in")
    served.sandbox.begin_call(served.sandbox.add_key("x", remain_quota=1000), MODEL).end(10, 5)
    rows = served.client.get("/api/log/self").json()["data"]["items"]
    assert [(row["id"], row["type"], row["other"][:1]) for row in rows] == [(1, 2, "{"), (2, 7, "n")]
    assert "request_id" not in rows[1]
    assert rows[1]["other"] == "null"
    before = served.client.get("/api/log/self?p=-1&page_size=1").json()["data"]
    assert [row["id"] for row in before["items"]] == [-1]
