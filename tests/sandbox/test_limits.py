from collections.abc import Callable
from itertools import repeat

import httpx
import pytest

from comet_mcp.sandbox import DIALECTS, Sandbox
from tests.sandbox.conftest import Served

Serve = Callable[[Sandbox], Served]


def statuses(served: Served, times: int, path: str, method: str = "GET") -> list[int]:
    return [served.client.request(method, path).status_code for _ in range(times)]


def limited(served: Served, path: str, method: str = "GET") -> httpx.Response:
    response = served.client.request(method, path)
    assert response.status_code == 429
    return response


def test_limits_hold_only_where_they_are_switched_on(serve: Serve) -> None:
    served = serve(Sandbox("gateway"))
    assert statuses(served, 12, "/api/token/search?keyword=x") == [200] * 12


def test_ten_searches_a_minute_are_answered(serve: Serve) -> None:
    now = 1000.0
    served = serve(Sandbox("gateway", rate_limits=True, clock=lambda: now))
    assert statuses(served, 10, "/api/token/search?keyword=x") == [200] * 10
    response = limited(served, "/api/token/search?keyword=x")
    assert response.headers["retry-after"] == "60"
    assert (response.content, response.headers["content-encoding"]) == (b"", "gzip")
    assert "content-type" not in response.headers
    assert served.client.get("/api/token/").status_code == 200
    now = 1059.9
    limited(served, "/api/token/search?keyword=x")
    now = 1060.0
    assert served.client.get("/api/token/search?keyword=x").status_code == 200


def test_revealing_and_asking_for_usage_share_twenty_calls_in_twenty_minutes(serve: Serve) -> None:
    now = 1000.0
    served = serve(Sandbox("gateway", rate_limits=True, clock=lambda: now))
    row = served.sandbox.add_key("x")
    assert statuses(served, 10, "/api/token/1/key", "POST") == [200] * 10
    assert [served.as_key(row.key, "/api/usage/token/").status_code for _ in repeat(None, 10)] == [200] * 10
    assert limited(served, "/api/token/1/key", "POST").headers["retry-after"] == "1200"
    limited(served, "/api/usage/token/")
    limited(served, "/api/token/batch/keys", "POST")
    now = 2200.0
    assert served.client.post("/api/token/1/key").status_code == 200


def test_a_usage_query_counts_whoever_asks_and_a_reveal_only_for_the_account(serve: Serve) -> None:
    served = serve(Sandbox("gateway", rate_limits=True))
    served.sandbox.add_key("x")
    wrong = {"Authorization": "made-up"}
    for _ in range(25):
        assert served.client.post("/api/token/1/key", headers=wrong).status_code == 401
    assert statuses(served, 20, "/api/usage/token/") == [401] * 20
    limited(served, "/api/usage/token/")


def test_360_calls_in_three_minutes_are_answered_below_api(serve: Serve) -> None:
    now = 1000.0
    served = serve(Sandbox("gateway", rate_limits=True, clock=lambda: now))
    row = served.sandbox.add_key("x", unlimited_quota=True)
    assert statuses(served, 360, "/api/user/self") == [200] * 360
    assert limited(served, "/api/token/").headers["retry-after"] == "180"
    assert served.as_key(row.key).status_code == 200
    now = 1180.0
    assert served.client.get("/api/token/").status_code == 200


ELSEWHERE = {"X-Forwarded-For": "198.51.100.1"}


def test_each_address_is_counted_for_itself(serve: Serve) -> None:
    served = serve(Sandbox("gateway", rate_limits=True))
    row = served.sandbox.add_key("x")
    assert statuses(served, 20, "/api/token/1/key", "POST") == [200] * 20
    limited(served, "/api/token/1/key", "POST")
    assert served.client.post("/api/token/1/key", headers=ELSEWHERE).status_code == 200
    limited(served, "/api/log/token")
    own = ELSEWHERE | {"Authorization": f"Bearer {row.key}"}
    assert served.client.get("/api/log/token", headers=own).status_code == 200


def test_searches_of_keys_and_of_the_log_are_counted_together_for_the_account(serve: Serve) -> None:
    served = serve(Sandbox("gateway", rate_limits=True))
    assert statuses(served, 5, "/api/token/search") == [200] * 5
    assert statuses(served, 5, "/api/log/self/search") == [200] * 5
    limited(served, "/api/token/search")
    assert served.client.get("/api/token/search", headers=ELSEWHERE).status_code == 429


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_only_the_newest_gateway_says_when_to_come_back(serve: Serve, dialect: object) -> None:
    served = serve(Sandbox(dialect, rate_limits=True))  # type: ignore[arg-type]
    statuses(served, 10, "/api/token/search")
    newest = served.sandbox.dialect.name in ("gateway", "gateway-redis", "gateway-batched")
    assert ("retry-after" in limited(served, "/api/token/search").headers) is newest


def test_a_client_that_does_not_unpack_gets_an_empty_body_as_it_is(serve: Serve) -> None:
    served = serve(Sandbox("gateway", rate_limits=True))
    statuses(served, 10, "/api/token/search")
    response = served.client.get("/api/token/search", headers={"Accept-Encoding": "identity"})
    assert (response.status_code, response.content) == (429, b"")
    assert "content-encoding" not in response.headers
