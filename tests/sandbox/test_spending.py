"""A key at work: what a model call costs, and what the account's reports then say."""

from collections.abc import Callable

import pytest

from comet_mcp.sandbox import Sandbox
from comet_mcp.sandbox.catalog import CATALOG
from comet_mcp.sandbox.gojson import WrongBodyError, read_value
from comet_mcp.sandbox.settings import UNITS_PER_USD
from tests.sandbox.conftest import Served

CHAT = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_chat_answers_and_costs_a_few_units(served: Served) -> None:
    row = served.sandbox.add_key("x", remain_quota=1000)
    answer = served.as_key(row.key, "/v1/chat/completions", json=CHAT).json()
    assert answer["choices"][0]["message"]["content"].startswith("This is the CometAPI sandbox")
    assert (answer["object"], answer["model"]) == ("chat.completion", "gpt-4.1-mini")
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    assert 0 < row.used_quota < 100
    assert row.remain_quota == 1000 - row.used_quota
    assert served.sandbox.account.quota == 100 * UNITS_PER_USD - row.used_quota


def test_a_dearer_model_costs_more(served: Served) -> None:
    cheap, dear = (served.sandbox.add_key(unlimited_quota=True) for _ in range(2))
    served.as_key(cheap.key, "/v1/chat/completions", json=CHAT)
    served.as_key(dear.key, "/v1/chat/completions", json=CHAT | {"model": "claude-opus-4-1"})
    assert dear.used_quota > cheap.used_quota


def test_a_key_is_refused_once_it_has_spent_its_quota(served: Served) -> None:
    row = served.sandbox.add_key(remain_quota=80)
    dear = CHAT | {"metadata": {"sandbox_completion_tokens": "1000"}}
    assert served.as_key(row.key, "/v1/chat/completions", json=dear).status_code == 200
    assert row.remain_quota < 0
    assert served.as_key(row.key, "/v1/chat/completions", json=CHAT).status_code == 401
    assert row.status == 4


def test_a_refused_chat_costs_nothing(served: Served) -> None:
    row = served.sandbox.add_key(remain_quota=1000, model_limits_enabled=True, model_limits="gpt-4o")
    assert served.as_key(row.key, "/v1/chat/completions", json=CHAT).status_code == 403
    assert (row.used_quota, served.sandbox.account.used_quota) == (0, 0)


def test_a_chat_that_is_no_json_is_refused(served: Served) -> None:
    row = served.sandbox.add_key(unlimited_quota=True)
    headers = {"Authorization": f"Bearer {row.key}"}
    response = served.client.post("/v1/chat/completions", content="{", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("Invalid request:")


def test_an_anthropic_header_carries_a_key_too(served: Served) -> None:
    row = served.sandbox.add_key(unlimited_quota=True)
    assert served.client.get("/v1/models", headers={"x-api-key": row.key}).status_code == 200


def test_what_was_spent_is_in_the_account_the_log_and_its_sums(served: Served) -> None:
    first, second = (served.sandbox.add_key(name, unlimited_quota=True) for name in ("first", "second"))
    for row in (first, second, second):
        served.as_key(row.key, "/v1/chat/completions", json=CHAT)
    account = served.client.get("/api/user/self").json()["data"]
    assert account["used_quota"] == first.used_quota + second.used_quota
    assert account["request_count"] == 3
    page = served.client.get("/api/log/self?p=1&page_size=2").json()["data"]
    assert (page["total"], [entry["id"] for entry in page["items"]]) == (3, [1, 2])
    only = served.client.get("/api/log/self?token_name=first&model_name=gpt-4.1-mini").json()["data"]["items"]
    assert [entry["token_id"] for entry in only] == [first.id]
    assert only[0]["quota"] == first.used_quota
    assert only[0]["group"] == "default"
    stat = served.client.get("/api/log/self/stat?token_name=second").json()["data"]
    assert stat["quota"] == second.used_quota
    assert stat["rpm"] == 2
    assert stat["tpm"] > 0
    assert served.client.get("/api/log/self/stat?start_timestamp=2000000000").json()["data"]["quota"] == 0
    assert served.client.get("/api/log/self/stat?end_timestamp=5").json()["data"]["quota"] == 0


def test_the_official_clis_reports_are_answered(served: Served) -> None:
    row = served.sandbox.add_key("first", remain_quota=500_000)
    served.as_key(row.key, "/v1/chat/completions", json=CHAT)
    stats = served.client.get("/api/user/self/stats").json()["data"]
    assert (stats["month_req_count"], stats["month_usage"]) == (1, row.used_quota / UNITS_PER_USD)
    found = served.client.get("/api/log/self/search?keyword=first").json()["data"]
    assert [entry["token_name"] for entry in found] == ["first"]
    assert served.client.get("/api/log/self/search?keyword=nobody").json()["data"] == []
    exported = served.client.get("/api/log/self/export")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert exported.text.splitlines()[1].split(",")[1:3] == ["first", "gpt-4.1-mini"]
    usage = served.as_key(row.key, "/v1/dashboard/billing/usage").json()
    assert usage["total_usage"] == pytest.approx(row.used_quota / UNITS_PER_USD * 100)
    limit = served.as_key(row.key, "/v1/dashboard/billing/subscription").json()
    assert limit["hard_limit_usd"] == pytest.approx(1.0)


def test_an_unlimited_key_has_a_limit_of_a_hundred_million_dollars(served: Served) -> None:
    row = served.sandbox.add_key(unlimited_quota=True)
    assert served.as_key(row.key, "/v1/dashboard/billing/subscription").json()["hard_limit_usd"] == 100_000_000


def test_the_catalog_has_about_thirty_models_and_each_its_own_page(served: Served) -> None:
    entries = served.client.get("/api/models").json()["data"]
    assert 25 <= len(entries) <= 40
    assert len({entry["id"] for entry in entries}) == len(entries)
    assert {"gpt-4.1-mini", "gpt-4.1", "claude-sonnet-4-5"} <= {entry["id"] for entry in entries}
    for entry in entries:
        assert entry["pricing"]["currency"] == "USD"
        assert any(entry["pricing"][name] for name in ("input", "per_request", "per_second"))
    one = served.client.get("/api/model/gpt-4-1-mini").json()
    assert one["data"] in entries
    assert served.client.get("/api/model/nobody").json()["success"] is False


def test_the_log_names_the_group_of_the_key_and_where_it_is_wanted_the_address_of_the_caller(served: Served) -> None:
    row = served.sandbox.add_key("x", unlimited_quota=True, group="vip")
    for records in (True, False):
        served.sandbox.settings.record_ip_log = records
        served.as_key(row.key, "/v1/chat/completions", json=CHAT)
    new, old = served.client.get("/api/log/self").json()["data"]["items"]
    assert (old["group"], old["ip"], old["type"]) == ("vip", "127.0.0.1", 2)
    assert new["ip"] == ""
    assert served.client.get("/api/log/self?group=default").json()["data"]["total"] == 0


def test_gateways_list_the_ids_of_each_maker_under_a_number(serve: Callable[[Sandbox], Served]) -> None:
    by_channel = serve(Sandbox("gateway")).client.get("/api/models").json()["data"]
    assert list(by_channel) == [f"{number}" for number in range(1, len(by_channel) + 1)]
    (anthropic,) = [ids for ids in by_channel.values() if "claude-sonnet-4-5" in ids]
    assert all(model.startswith("claude-") for model in anthropic)
    everything = [model for ids in by_channel.values() for model in ids]
    assert sorted(everything) == sorted({model.id for model in CATALOG})


def test_gateways_have_retired_the_search_of_the_log(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox("gateway"))
    assert served.client.get("/api/log/self/search?keyword=x").json() == {"message": "该接口已废弃", "success": False}


def test_gateways_tell_the_groups_that_auto_chooses_from(serve: Callable[[Sandbox], Served]) -> None:
    data = serve(Sandbox("gateway")).client.get("/api/token/auto-groups").json()["data"]
    assert data == {"groups": ["default", "vip"], "max_count": 5}


def test_more_than_five_auto_groups_are_refused(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox("gateway"))
    body = {"name": "x", "group": "auto", "auto_groups": list("abcdef")}
    answer = served.client.post("/api/token/", json=body).json()
    assert answer["message"] == "A token can select at most 5 Auto groups"


def test_gateways_delete_several_keys_at_once(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox("gateway"))
    for name in ("a", "b", "c"):
        served.sandbox.add_key(name)
    assert served.client.post("/api/token/batch", json={"ids": [1, 3, 99]}).json()["data"] == 2
    assert [row["name"] for row in served.list()] == ["b"]


def test_json_that_is_too_deep_is_refused() -> None:
    with pytest.raises(WrongBodyError, match="exceeded max depth"):
        read_value(b"[" * 200_000)
