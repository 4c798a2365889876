from collections.abc import Callable

import httpx
import pytest

from comet_mcp.sandbox import CALLS, Sandbox, front
from tests.sandbox.conftest import Served


def test_the_account_is_visibly_made_up() -> None:
    sandbox = Sandbox()
    assert sandbox.access_token.startswith("sandbox-access-token")
    assert set("+/=") <= set(sandbox.access_token)
    assert sandbox.user_id == 1
    assert sandbox.keys == []
    assert sandbox.requests == []


def test_seeded_keys_are_listed_and_found(served: Served) -> None:
    first = served.sandbox.add_key("first")
    second = served.sandbox.add_key(name="second", remain_quota=9, status=2, used_quota=4, key="k" * 48)
    assert [(row["id"], row["name"]) for row in served.list()] == [(2, "second"), (1, "first")]
    assert (first.status, first.expired_time, len(first.key)) == (1, -1, 48)
    assert served.list()[0] | {"remain_quota": 9, "status": 2, "used_quota": 4} == served.list()[0]
    assert served.sandbox.keys == [first, second]


def test_a_seeded_id_moves_the_next_ones_behind_it() -> None:
    sandbox = Sandbox()
    sandbox.add_key("x", id=41)
    assert sandbox.add_key("y").id == 42


def test_a_field_that_no_key_has_cannot_be_seeded() -> None:
    with pytest.raises(TypeError, match="A key has no field 'budget'"):
        Sandbox().add_key("x", budget=5)


def test_changing_a_row_changes_what_the_api_tells(served: Served) -> None:
    row = served.sandbox.add_key("x", remain_quota=100)
    row.used_quota += 30
    row.remain_quota -= 30
    usage = served.as_key(row.key, "/api/usage/token/").json()["data"]
    assert (usage["total_granted"], usage["total_used"], usage["total_available"]) == (100, 30, 70)
    served.sandbox.keys.remove(row)
    assert served.list() == []


def test_a_keys_value_is_not_in_its_repr() -> None:
    row = Sandbox().add_key("x")
    assert row.key not in repr(row)


def test_requests_are_recorded_with_what_was_sent(served: Served) -> None:
    served.client.post("/api/token/?a=1&b=", json={"name": "x"}, headers={"X-Test": "yes"})
    served.client.put("/api/token/", content="not json")
    served.client.get("/api/token/7")
    first, second, third = served.sandbox.requests
    assert (first.method, first.path, first.query, first.call) == (
        "POST",
        "/api/token/",
        {"a": "1", "b": ""},
        "create",
    )
    assert (first.body, first.raw) == ({"name": "x"}, b'{"name":"x"}')
    assert first.headers["x-test"] == "yes"
    assert (second.call, second.body) == ("update", "not json")
    assert (third.call, third.body, third.raw) == ("get", None, b"")


def test_the_oldest_requests_are_forgotten_before_they_fill_the_memory(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MAX_REQUESTS", 3)
    for number in range(5):
        served.client.get(f"/api/token/{number}")
    assert [request.path for request in served.sandbox.requests] == ["/api/token/2", "/api/token/3", "/api/token/4"]


def test_secrets_of_a_request_are_not_in_its_repr(served: Served) -> None:
    served.client.post("/api/token/", json={"name": "between us"})
    shown = repr(served.sandbox.requests)
    assert "create" in shown
    assert served.sandbox.access_token not in shown
    assert "between us" not in shown


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("POST", "/api/token/", "create"),
        ("GET", "/api/token/", "list"),
        ("GET", "/api/token/5", "get"),
        ("PUT", "/api/token/", "update"),
        ("DELETE", "/api/token/5", "delete"),
        ("GET", "/api/token/search", "search"),
        ("POST", "/api/token/5/key", "reveal"),
        ("POST", "/api/token/batch/keys", "reveal_batch"),
        ("GET", "/api/usage/token", "usage"),
        ("GET", "/api/usage/token/", "usage"),
        ("GET", "/v1/models", "models"),
        ("GET", "/api/models", "catalog"),
        ("GET", "/api/user/self", "account"),
        ("GET", "/api/user/self/groups", "groups"),
        ("GET", "/api/log/self/stat", "stat"),
        ("GET", "/api/log/self", "log"),
        ("POST", "/v1/chat/completions", "chat"),
        ("POST", "/api/token", "other"),
        ("PATCH", "/api/token/", "other"),
        ("GET", "/", "other"),
    ],
)
@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_calls_have_their_names_in_every_dialect(
    serve: Callable[[Sandbox], Served], dialect: str, method: str, path: str, call: str
) -> None:
    served = serve(Sandbox(dialect))
    served.client.request(method, path)
    assert [request.call for request in served.sandbox.requests] == [call]
    assert served.sandbox.count(call) == 1
    assert call in CALLS


def test_only_calls_that_exist_are_counted() -> None:
    with pytest.raises(ValueError, match=r"There is no call 'creates'. The calls are: create, list"):
        Sandbox().count("creates")


def test_the_clock_can_be_given_and_replaced(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox(clock=lambda: 1_800_000_000.9))
    response = served.create()
    assert response.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert response.headers["x-oneapi-request-id"].startswith("20270115080000")
    served.sandbox.clock = lambda: 1_800_000_007.0
    served.create()
    assert [row["created_time"] for row in served.list()] == [1_800_000_007, 1_800_000_000]


def test_a_key_expires_when_the_clock_has_passed_its_expiry(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox(clock=lambda: 1000.0))
    row = served.sandbox.add_key("x", expired_time=1000, unlimited_quota=True)
    assert served.as_key(row.key).status_code == 200
    served.sandbox.clock = lambda: 1001.0
    assert served.as_key(row.key).status_code == 401
    assert row.status == 3


def test_more_than_a_thousand_keys_are_refused(served: Served) -> None:
    for _ in range(999):
        served.sandbox.add_key("x")
    assert served.create().json()["success"] is True
    assert served.create().json() == {"message": "已达到最大令牌数量限制 (1000)", "success": False}
    assert len(served.sandbox.keys) == 1000


async def test_the_application_answers_in_process() -> None:
    sandbox = Sandbox("gateway")
    transport = httpx.ASGITransport(app=sandbox.app)
    headers = {"Authorization": sandbox.access_token}
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        assert (await client.post("/api/token/", json={"name": "x"})).json() == {"message": "", "success": True}
        assert (await client.get("/api/token/1")).json()["data"]["name"] == "x"


async def test_the_application_speaks_nothing_but_http() -> None:
    with pytest.raises(NotImplementedError, match="HTTP only"):
        await Sandbox().app({"type": "websocket"}, None, None)  # type: ignore[arg-type]
