"""What can be had otherwise than the documentation has it, beyond the dialects."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from comet_mcp.sandbox import ExtraField, Sandbox, mount
from comet_mcp.sandbox import serve as serve_app
from tests.sandbox.conftest import NO_TLS, Served

Serve = Callable[[Sandbox], Served]


def pages(served: Served, asked: int) -> tuple[int, int]:
    data = served.client.get(f"/api/token/?p=1&page_size={asked}").json()["data"]
    return data["page_size"], len(data["items"])


def test_a_gateway_may_give_smaller_pages_than_were_asked_for(serve: Serve) -> None:
    served = serve(Sandbox("gateway", page_cap=50))
    for _ in range(60):
        served.sandbox.add_key()
    assert [pages(served, asked) for asked in (1, 50, 100)] == [(1, 1), (50, 50), (50, 50)]


@pytest.mark.parametrize("size", [10, 50])
def test_a_gateway_may_page_as_it_likes(serve: Serve, size: int) -> None:
    served = serve(Sandbox("documented", page_fixed=size))
    for _ in range(60):
        served.sandbox.add_key()
    assert [pages(served, asked) for asked in (1, 100, -1)] == [(size, size)] * 3
    last = served.client.get(f"/api/token/?p={60 // size + 1}").json()["data"]["items"]
    assert len(last) == 60 % size


@pytest.mark.parametrize("on_create", [True, False])
@pytest.mark.parametrize("survives_put", [True, False])
def test_a_record_may_have_fields_that_nobody_documented(serve: Serve, on_create: bool, survives_put: bool) -> None:
    field = ExtraField("rate", default=1, on_create=on_create, survives_put=survives_put)
    served = serve(Sandbox("documented", extra_fields=(field,)))

    def put(**fields: Any) -> Any:
        body = {"id": 1, "name": "x", "expired_time": -1, "status": 1, **fields}
        return served.client.put("/api/token/", json=body).json()["data"]["rate"]

    served.client.post("/api/token/", json={"name": "x", "rate": {"per": [5, None]}})
    assert served.list()[0]["rate"] == ({"per": [5, None]} if on_create else 1)
    assert put(rate=7) == 7
    assert put() == (7 if survives_put else 1)
    assert put(rate=None) is None
    assert served.sandbox.add_key("seeded").extra == {"rate": 1}


def test_a_body_without_fields_sets_no_extra_ones(serve: Serve) -> None:
    served = serve(Sandbox("documented", extra_fields=(ExtraField("rate"),)))
    assert served.client.post("/api/token/", content="null").json()["success"] is True
    assert served.list()[0]["rate"] is None


def test_a_database_begun_anew_has_no_keys_and_counts_from_one(served: Served) -> None:
    held = served.sandbox.keys
    for name in ("a", "b"):
        served.sandbox.add_key(name)
    served.sandbox.account.quota = 7
    served.sandbox.begin_anew()
    assert served.list() == held == []
    served.create()
    assert [row["id"] for row in served.list()] == [1]
    assert served.client.get("/api/user/self").json()["data"]["quota"] == 50_000_000


def test_a_renewed_access_token_is_the_only_one_and_of_the_same_account(served: Served) -> None:
    old = served.sandbox.access_token
    new = served.sandbox.renew_access_token()
    assert new == served.sandbox.access_token != old
    assert set("+/=") <= set(new)
    assert served.client.get("/api/token/").status_code == 401
    account = served.client.get("/api/user/self", headers={"Authorization": new}).json()["data"]
    assert account["id"] == served.sandbox.user_id
    assert served.sandbox.renew_access_token("given") == "given"
    assert served.client.get("/api/token/", headers={"Authorization": "given"}).status_code == 200


def test_two_gateways_share_a_host() -> None:
    alpha, beta = Sandbox("gateway"), Sandbox("documented", access_token="other")
    with serve_app(mount(alpha=alpha.app, beta=beta.app)) as url, httpx.Client(base_url=url, verify=NO_TLS) as client:
        for name, sandbox in (("alpha", alpha), ("beta", beta)):
            headers = {"Authorization": sandbox.access_token}
            assert client.post(f"/{name}/api/token/", json={"name": name}, headers=headers).json()["success"] is True
            assert [row.name for row in sandbox.keys] == [name]
            assert [request.path for request in sandbox.requests] == ["/api/token/"]
            redirect = client.get(f"/{name}/api/token", headers=headers)
            assert (redirect.status_code, redirect.headers["location"]) == (301, "/api/token/")
        assert client.get("/alphabet/api/token/").status_code == 404


def test_a_mounted_gateway_breaks_its_connection_too() -> None:
    sandbox = Sandbox()
    sandbox.faults.add("create", "reset_after")
    with serve_app(mount(a=sandbox.app)) as url, httpx.Client(base_url=url, verify=NO_TLS) as client:
        headers = {"Authorization": sandbox.access_token}
        with pytest.raises(httpx.ReadError):
            client.post("/a/api/token/", json={"name": "x"}, headers=headers)
    assert len(sandbox.keys) == 1
