import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from comet_mcp.sandbox import CALLS, FAULTS, Sandbox, wire_faults
from comet_mcp.sandbox.bodies import gzip_bomb
from comet_mcp.sandbox.faults import ONLY
from tests.e2e.steps import blocking_until
from tests.sandbox.conftest import IMPATIENT, Served, kept

MIB = 1024 * 1024
BEFORE = {"reset_before", "status", "page", "rate_limit", "html", "refused", "redirect", "echo"}
OF_CREATES = [fault for fault in FAULTS if "create" in ONLY.get(fault, {"create"})]


@pytest.mark.parametrize("fault", sorted(set(OF_CREATES) - {"hang", "hang_after"}))
def test_a_fault_commits_or_not_as_its_name_and_description_say(served: Served, fault: str) -> None:
    values = {"huge": 1, "gzip_bomb": 1, "latency": 0.01, "late": 0.01, "deferred": 0, "deferred_reset": 0}
    served.sandbox.faults.add("create", fault, value=values.get(fault))
    with suppress(httpx.TransportError):
        served.create()
    committed = 0 if fault in BEFORE else 2 if fault == "duplicate" else 1
    assert len(kept(served)) == committed
    assert ("does nothing" in FAULTS[fault] or "before doing anything" in FAULTS[fault]) is (fault in BEFORE)
    served.sandbox.faults.clear()
    assert served.create().json() == {"message": "", "success": True}


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_reset_is_a_real_rst(served: Served, fault: str) -> None:
    served.sandbox.faults.add("create", fault)
    with pytest.raises(httpx.ReadError, match=r"reset|10054|forcibly"):
        served.create()


def test_latency_only_delays(served: Served) -> None:
    served.sandbox.faults.add("create", "latency", value=0.2)
    started = time.monotonic()
    assert served.create().json()["success"] is True
    assert time.monotonic() - started >= 0.1  # no load makes it shorter


def test_a_client_that_does_not_wait_out_the_latency_has_a_key_all_the_same(served: Served) -> None:
    served.sandbox.faults.add("create", "latency", value=1)
    with pytest.raises(httpx.ReadTimeout):
        served.client.post("/api/token/", json={"name": "patience"}, timeout=IMPATIENT)
    blocking_until(lambda: kept(served) == ["patience"])


@pytest.mark.parametrize(("fault", "names"), [("hang", []), ("hang_after", ["made"])])
def test_a_hanging_request_never_answers(served: Served, fault: str, names: list[str]) -> None:
    served.sandbox.faults.add("create", fault)
    with pytest.raises(httpx.ReadTimeout):
        served.client.post("/api/token/", json={"name": "made"}, timeout=IMPATIENT)
    blocking_until(lambda: kept(served) == names)
    assert served.client.get("/api/token/").status_code == 200


def test_a_hanging_request_ends_after_its_longest_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_faults, "LONGEST_HANG", 0.05)
    served.sandbox.faults.add("list", "hang")
    with pytest.raises(httpx.ReadError):
        served.client.get("/api/token/")


@pytest.mark.parametrize(("value", "status"), [(None, 500), ("503", 503), ("418", 418), ("403", 403)])
def test_a_status_comes_with_json_and_without_a_key(served: Served, value: str | None, status: int) -> None:
    served.sandbox.faults.add("create", "status", value=value)
    response = served.create()
    assert response.status_code == status
    assert response.json()["success"] is False


def test_a_status_without_a_body_has_none(served: Served) -> None:
    served.sandbox.faults.add("create", "status", value=204)
    response = served.create()
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(("value", "title"), [(None, "502 Bad Gateway"), (504, "504 Gateway Timeout"), (599, "599")])
def test_a_status_after_the_commit_comes_with_a_proxys_page(served: Served, value: int | None, title: str) -> None:
    served.sandbox.faults.add("create", "status_after", value=value)
    response = served.create()
    assert response.status_code == int(title[:3])
    assert response.headers["content-type"] == "text/html"
    assert f"<h1>{title}</h1>" in response.text
    assert kept(served) == ["made"]


@pytest.mark.parametrize(("value", "retry_after"), [(None, None), (7, "7")])
def test_a_rate_limit_is_an_empty_body_that_is_packed(
    served: Served, value: int | None, retry_after: str | None
) -> None:
    served.sandbox.faults.add("list", "rate_limit", value=value)
    response = served.client.get("/api/token/")
    assert (response.status_code, response.content) == (429, b"")
    assert response.headers.get("retry-after") == retry_after
    assert response.headers["content-encoding"] == "gzip"
    assert "content-type" not in response.headers


@pytest.mark.parametrize("fault", ["html", "html_after"])
def test_html_looks_like_a_success(served: Served, fault: str) -> None:
    served.sandbox.faults.add("create", fault)
    response = served.create()
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("fault", "body"), [("garbage", b'{"success":tru'), ("empty_after", b""), ("wrong_json", b"[1,2]")]
)
def test_a_spoilt_body_comes_with_status_200_and_the_type_of_json(served: Served, fault: str, body: bytes) -> None:
    served.sandbox.faults.add("create", fault)
    response = served.create()
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_a_truncated_body_is_shorter_than_announced(served: Served) -> None:
    served.sandbox.faults.add("create", "truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="received 14 bytes, expected 29"):
        served.create()
    assert kept(served) == ["made"]


@pytest.mark.parametrize(("value", "message"), [(None, "Sandbox fault: refused"), ("没有 quota", "没有 quota")])
def test_a_refusal_carries_the_message_that_was_ordered(served: Served, value: str | None, message: str) -> None:
    served.sandbox.faults.add("create", "refused", value=value)
    response = served.create()
    assert (response.status_code, response.json()) == (200, {"success": False, "message": message})


def test_a_dripping_body_arrives_byte_by_byte(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_faults, "DRIP_INTERVAL", 0.005)
    served.sandbox.faults.add("create", "drip")
    with served.client.stream("POST", "/api/token/", json={"name": "made"}) as response:
        pieces = list(response.iter_raw())
    assert len(pieces) > 5
    assert json.loads(b"".join(pieces)) == {"message": "", "success": True}


def test_a_huge_answer_is_valid_json_without_an_announced_length(served: Served) -> None:
    served.sandbox.add_key("x")
    served.sandbox.faults.add("list", "huge", value=3)
    with served.client.stream("GET", "/api/token/") as response:
        assert "content-length" not in response.headers
        body = response.read()
    assert 3 * MIB < len(body) < 3 * MIB + 2000
    assert [row["name"] for row in json.loads(body)["data"]["items"]] == ["x"]


def test_a_gzip_bomb_is_small_and_unpacks_to_its_size(served: Served) -> None:
    served.sandbox.faults.add("list", "gzip_bomb", value=8)
    with served.client.stream("GET", "/api/token/") as response:
        packed = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert len(packed) < 8 * MIB / 500
    body = gzip.decompress(packed)
    assert len(body) > 8 * MIB
    assert json.loads(body)["data"]["items"] == []


def test_the_largest_bomb_is_small() -> None:
    assert len(gzip_bomb(b"{}", 256)) < MIB


@pytest.mark.parametrize(
    ("method", "status", "value", "location"),
    [
        ("GET", 301, None, "/api/user/self/"),
        ("POST", 307, None, "/api/user/self/"),
        ("GET", 301, "http://198.51.100.1/elsewhere?a=b*c", "http://198.51.100.1/elsewhere?a=b*c"),
    ],
)
def test_a_redirect_goes_where_it_was_ordered_to(
    served: Served, method: str, status: int, value: str | None, location: str
) -> None:
    served.sandbox.faults.add("*", "redirect", value=value)
    response = served.client.request(method, "/api/user/self?x=1")
    assert (response.status_code, response.headers["location"]) == (status, location)


def test_an_answer_may_repeat_the_request(served: Served) -> None:
    served.sandbox.faults.add("create", "echo")
    served.sandbox.faults.add("create", "echo_after")
    refusal, success = served.create(), served.create()
    assert refusal.status_code == 400
    repeated = json.loads(refusal.json()["message"])
    assert success.json()["data"] == repeated
    assert repeated["headers"]["authorization"] == served.sandbox.access_token
    assert json.loads(repeated["body"])["name"] == "made"
    assert kept(served) == ["made"]


def test_a_faulty_answer_has_a_request_id_too(served: Served) -> None:
    for fault in ("status", "status_after", "garbage", "refused", "html", "rate_limit", "echo", "refused_after"):
        served.sandbox.faults.add("list", fault)
        assert served.client.get("/api/token/").headers["x-oneapi-request-id"]


def test_a_fault_can_be_asked_for_by_a_header(served: Served) -> None:
    response = served.create(**{"X-Sandbox-Fault": "status_after=503"})
    assert response.status_code == 503
    assert kept(served) == ["made"]
    assert served.create(**{"X-Sandbox-Fault": "duplicate"}).status_code == 200
    assert kept(served) == ["made"] * 3


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nonsense", "There is no fault 'nonsense'. The faults are: latency, "),
        ("latency=soon", "The value of the fault latency is a number of seconds, not 'soon'."),
    ],
)
def test_a_header_that_is_not_understood_is_answered_with_what_there_is(
    served: Served, fault: str, sentence: str
) -> None:
    response = served.create(**{"X-Sandbox-Fault": fault})
    assert response.status_code == 400
    assert response.json()["message"].startswith(sentence)
    assert kept(served) == []


def test_a_fault_of_creates_cannot_happen_to_another_call(served: Served) -> None:
    response = served.client.get("/api/token/", headers={"X-Sandbox-Fault": "late"})
    assert response.json()["message"] == "The fault late only happens to create, not to list."


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_packed_answers_are_spoilt_as_plain_ones_are(serve: Callable[[Sandbox], Served], dialect: str) -> None:
    served = serve(Sandbox(dialect))
    served.sandbox.faults.add("list", "huge", value=1)
    assert served.list() == []
    served.sandbox.faults.add("list", "gzip_bomb", value=1)
    assert served.list() == []


async def test_in_process_a_reset_is_an_exception_after_or_before_the_commit() -> None:
    sandbox = Sandbox()
    sandbox.faults.add("create", "reset_before")
    sandbox.faults.add("create", "reset_after")
    transport = httpx.ASGITransport(app=sandbox.app)
    headers = {"Authorization": sandbox.access_token}
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        for committed in (0, 1):
            with pytest.raises(ConnectionResetError):
                await client.post("/api/token/", json={"name": "x"})
            assert len(sandbox.keys) == committed


def test_every_fault_is_described_in_one_line() -> None:
    assert set(FAULTS) >= set(ONLY)
    for description in (*FAULTS.values(), *CALLS.values()):
        assert description
        assert "\n" not in description
        assert len(description) < 105
