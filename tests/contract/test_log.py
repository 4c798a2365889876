import json
import time

import pytest

from tests.contract.target import API, no, yes

ROW = {
    "id",
    "user_id",
    "created_at",
    "type",
    "content",
    "username",
    "token_name",
    "model_name",
    "quota",
    "prompt_tokens",
    "completion_tokens",
    "use_time",
    "is_stream",
    "channel",
    "channel_name",
    "token_id",
    "group",
    "ip",
    "request_id",
    "other",
}


def test_a_call_leaves_a_row_in_the_log_when_its_answer_is_there(api: API) -> None:
    row = api.create(remain_quota=100_000)
    request_id = api.chat(api.secret(row)).headers["x-oneapi-request-id"]
    (entry,) = api.log(token_name=row["name"])["items"]
    assert set(entry) == ROW
    assert (entry["id"], entry["type"], entry["request_id"]) == (1, 2, request_id)
    assert (entry["token_id"], entry["token_name"], entry["model_name"]) == (row["id"], row["name"], "gpt-4o")
    assert (entry["user_id"], entry["group"]) == (row["user_id"], "default")
    assert abs(entry["created_at"] - time.time()) < 30
    assert (entry["content"], entry["channel_name"], entry["ip"], entry["is_stream"]) == ("", "", "", False)
    assert entry["prompt_tokens"] > 0
    assert entry["completion_tokens"] > 0


def test_a_row_tells_what_the_key_was_charged_and_by_which_prices(api: API) -> None:
    row, request_id = api.called()
    (entry,) = api.log(request_id=request_id)["items"]
    prices = json.loads(entry["other"])
    tokens = entry["prompt_tokens"] + entry["completion_tokens"] * prices["completion_ratio"]
    cost = tokens * prices["model_ratio"] * prices["group_ratio"]
    assert entry["quota"] == max(1, int(cost + 0.5))
    time.sleep(api.dialect.batch_seconds)
    assert yes(api.get(row["id"]))["used_quota"] == entry["quota"]
    assert prices["model_price"] == -1
    assert prices["request_path"] == "/v1/chat/completions"


def test_rows_keep_the_name_that_a_key_had_and_outlive_it(api: API) -> None:
    row, request_id = api.called()
    yes(api.put(id=row["id"], name=api.name(), expired_time=-1, status=1))
    assert api.log(request_id=request_id)["items"][0]["token_name"] == row["name"]
    yes(api.delete(row["id"]))
    assert api.log(token_name=row["name"])["total"] == 1


def test_positions_count_from_the_newest_row_over_all_pages(api: API) -> None:
    row = api.create(remain_quota=100_000)
    ids = [api.chat(api.secret(row)).headers["x-oneapi-request-id"] for _ in range(3)]
    pages = [api.log(token_name=row["name"], p=p, page_size=2) for p in (1, 2, 3)]
    assert [[entry["id"] for entry in page["items"]] for page in pages] == [[1, 2], [3], []]
    assert [entry["request_id"] for page in pages for entry in page["items"]] == ids[::-1]
    assert {page["total"] for page in pages} == {3}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"type": 2}, True),
        ({"type": 5}, False),
        ({"type": "junk"}, True),
        ({"type": 0}, True),
        ({"group": "default"}, True),
        ({"group": "vip"}, False),
        ({"model_name": "gpt-4o"}, True),
        ({"model_name": "GPT-4O%"}, True),
        ({"model_name": "gpt_4o%"}, False),
        ({"model_name": "4o"}, False),
        ({"request_id": "nobody"}, False),
        ({"token_id": 999_999_999, "channel": 999, "username": "nobody"}, True),
        ({"start_timestamp": "junk", "end_timestamp": "junk"}, True),
        ({"start_timestamp": "1e9", "end_timestamp": "1.5"}, True),
        ({"start_timestamp": 0, "end_timestamp": 0}, True),
        ({"start_timestamp": -5}, True),
        ({"end_timestamp": -5}, False),
        ({"end_timestamp": 5}, False),
        ({"start_timestamp": "99999999999999999999"}, False),
        ({"end_timestamp": "99999999999999999999"}, True),
    ],
)
def test_the_log_is_filtered(api: API, query: dict[str, str | int], found: bool) -> None:
    row, _ = api.called()
    assert api.log(token_name=row["name"], **query)["total"] == int(found)


def test_the_name_of_a_key_is_filtered_with_its_case(api: API) -> None:
    row, _ = api.called()
    assert api.log(token_name=row["name"].upper())["total"] == 0
    assert api.log(token_name=row["name"][:-1])["total"] == 0


def test_a_model_is_filtered_by_its_exact_name_or_in_any_case_by_dialect(api: API) -> None:
    row, _ = api.called()
    assert api.log(token_name=row["name"], model_name="GPT-4O")["total"] == int(api.dialect.log_models_like)


def test_both_timestamps_are_inclusive(api: API) -> None:
    row, request_id = api.called()
    ended = api.log(request_id=request_id)["items"][0]["created_at"]
    for start, end, found in ((ended, ended, 1), (ended + 1, ended + 9, 0), (ended - 9, ended - 1, 0)):
        page = api.log(token_name=row["name"], start_timestamp=start, end_timestamp=end)
        assert page["total"] == found


@pytest.mark.parametrize("path", ["/api/log/self", "/api/log/self/stat"])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("a%%", "搜索模式中不允许包含连续的 % 通配符"),
        ("%a%b%", "搜索模式中最多允许包含 2 个 % 通配符"),
        ("%a", "使用模糊搜索时，关键词长度至少为 2 个字符"),
    ],
)
def test_wildcards_that_would_find_nearly_every_model_are_refused(
    api: API, path: str, model: str, message: str
) -> None:
    assert no(api.request("GET", path, params={"model_name": model})) == message


@pytest.mark.parametrize(
    ("query", "quota", "calls"),
    [
        ({}, True, True),
        ({"type": 5}, True, True),
        ({"start_timestamp": "junk", "end_timestamp": "junk"}, True, True),
        ({"end_timestamp": 5}, False, True),
        ({"start_timestamp": 4_000_000_000}, False, True),
        ({"group": "vip"}, False, False),
        ({"channel": 999}, False, False),
        ({"model_name": "no-such-model"}, False, False),
    ],
)
def test_sums_follow_the_filters_and_calls_are_those_of_the_last_minute_whatever_the_timestamps(
    api: API, query: dict[str, str | int], quota: bool, calls: bool
) -> None:
    row, request_id = api.called()
    (entry,) = api.log(request_id=request_id)["items"]
    sums = yes(api.request("GET", "/api/log/self/stat", params={"token_name": row["name"], **query}))
    tokens = entry["prompt_tokens"] + entry["completion_tokens"]
    assert sums == {"quota": entry["quota"] * quota, "rpm": int(calls), "tpm": tokens * calls}


def test_a_key_reads_its_own_log(api: API) -> None:
    row = api.create(remain_quota=100_000)
    secret = api.secret(row)
    api.chat(secret)
    for authorization in (f"Bearer sk-{secret}", f"sk-{secret}", secret):
        rows = yes(api.request("GET", "/api/log/token", headers={"Authorization": authorization}))
        assert [(entry["id"], entry["token_id"]) for entry in rows] == [(1, row["id"])]
    assert yes(api.as_key(api.secret(api.create()), "/api/log/token")) == []
    assert no(api.as_key("nobody", "/api/log/token"), 401) in ("Invalid token", "无效的令牌")


def test_a_disabled_key_reads_its_log_by_dialect(api: API) -> None:
    row = api.create()
    secret = api.secret(row)
    api.set_status(row, 2)
    response = api.as_key(secret, "/api/log/token")
    if api.dialect.usage_when_disabled:
        assert yes(response) == []
    else:
        assert no(response, 401) == "This token status is unavailable"


MONTH = 2_592_000


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, ""),
        ({"start_timestamp": "junk", "end_timestamp": "junk"}, ""),
        ({"start_timestamp": 5}, ""),
        ({"end_timestamp": 1_800_000_000}, "时间跨度不能超过 1 个月"),
        ({"start_timestamp": 1_000_000_000, "end_timestamp": 1_000_000_000 + MONTH}, ""),
        ({"start_timestamp": 1_000_000_000, "end_timestamp": 1_000_000_001 + MONTH}, "时间跨度不能超过 1 个月"),
        ({"end_timestamp": "99999999999999999999"}, "时间跨度不能超过 1 个月"),
    ],
)
def test_hourly_sums_are_told_of_a_month_at_most(api: API, query: dict[str, str | int], message: str) -> None:
    response = api.request("GET", "/api/data/self", params=query)
    if message:
        assert no(response) == message
    else:
        assert yes(response) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "invalid start_timestamp"),
        ({"start_timestamp": "junk", "end_timestamp": 5}, "invalid start_timestamp"),
        ({"start_timestamp": "99999999999999999999"}, "invalid start_timestamp"),
        ({"start_timestamp": 9223372036854775807}, "invalid end_timestamp"),
        ({"start_timestamp": "+5"}, "invalid end_timestamp"),
        ({"start_timestamp": 5, "end_timestamp": 0}, "invalid end_timestamp"),
        ({"start_timestamp": 5, "end_timestamp": 4}, "invalid time range"),
        ({"start_timestamp": 5, "end_timestamp": 6 + MONTH}, "时间跨度不能超过 1 个月"),
        ({"start_timestamp": 5, "end_timestamp": 5 + MONTH}, ""),
    ],
)
def test_sums_of_keys_need_both_timestamps_where_the_dialect_has_them(
    api: API, query: dict[str, str | int], message: str
) -> None:
    response = api.request("GET", "/api/data/flow/self", params=query)
    if not api.dialect.quota_flow:
        assert response.status_code == 404
    elif message:
        assert no(response) == message
    else:
        assert yes(response) == []
