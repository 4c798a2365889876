import re
import time
from typing import Any

from tests.contract.target import API, model_error, yes

TEN_USD = 5_000_000


def needed(api: API, **fields: Any) -> int:
    """The quota units that a short chat reserves."""
    response = api.chat(api.secret(api.create(remain_quota=1)), **fields)
    match = re.search(r"need quota: ＄([0-9.]+)", response.text)
    assert match is not None
    return round(float(match[1]) * 500_000)


def test_less_left_than_the_reservation_is_refused_and_nothing_is_spent(api: API) -> None:
    row = api.create(remain_quota=needed(api) - 1)
    secret = api.secret(row)
    response = api.chat(secret)
    code, message = model_error(response, 403)
    assert code == "pre_consume_token_quota_failed"
    assert re.fullmatch(r"token quota is not enough, token remain quota: ＄\d\.\d{6}, need quota: ＄\d\.\d{6}", message)
    assert response.json()["error"]["param"] == ""
    assert yes(api.get(row["id"])) == row
    assert api.as_key(secret).status_code == 200


def test_exactly_the_reservation_is_enough_and_what_is_too_much_comes_back(api: API) -> None:
    units = needed(api)
    row = api.create(remain_quota=units)
    assert api.chat(api.secret(row)).status_code == 200
    time.sleep(api.dialect.batch_seconds)
    after = api.spent(row)
    assert after["remain_quota"] + after["used_quota"] == units
    assert 0 < after["used_quota"] < units
    assert after["status"] == 1


def test_a_reservation_is_for_at_least_500_tokens_and_the_longest_answer(api: API) -> None:
    units = needed(api)
    assert needed(api, max_tokens=500) == 2 * units
    assert needed(api, max_completion_tokens=1000) == 3 * units


def test_a_reservation_follows_from_the_price_of_the_catalog_where_that_is_told(api: API) -> None:
    if not api.dialect.public_catalog:
        assert needed(api) in (500, 625)  # the sandbox's gpt-4o, and that of live servers
        return
    catalog = {model["id"]: model["pricing"] for model in api.request("GET", "/api/models").json()["data"]}
    for model in ("gpt-4o", "gpt-5", "midjourney-imagine"):
        price = catalog[model]
        units = price["per_request"] * 500_000 if price["per_request"] else 500 * price["input"] / 2
        assert needed(api, model=model) == round(units)


def test_a_key_with_more_than_ten_dollars_reserves_nothing(api: API) -> None:
    trusted, other = (api.create(remain_quota=TEN_USD + more) for more in (1, 0))
    assert api.chat(api.secret(trusted), max_tokens=12_000_000).status_code == 200
    code, _ = model_error(api.chat(api.secret(other), max_tokens=12_000_000), 403)
    assert code == "pre_consume_token_quota_failed"


def test_the_quota_of_an_unlimited_key_falls_too(api: API) -> None:
    row = api.create(remain_quota=0, unlimited_quota=True)
    assert api.chat(api.secret(row)).status_code == 200
    after = api.spent(row)
    assert after["used_quota"] > 0
    assert after["remain_quota"] == -after["used_quota"]


def test_anyone_may_ask_what_a_dollar_is_in_quota_units(api: API) -> None:
    for authorization in (None, "wrong"):
        headers = {"Authorization": authorization, "New-Api-User": None}
        status = yes(api.request("GET", "/api/status", headers=headers))
        assert status["quota_per_unit"] == 500_000
        assert status["quota_display_type"] == "USD"
        assert isinstance(status["enable_data_export"], bool)
        assert isinstance(status["system_name"], str)
        assert status["start_time"] <= time.time() + 30


def test_the_models_of_a_group_are_told_by_dialect(api: API) -> None:
    everything = set(yes(api.request("GET", "/api/user/models")))
    assert set(yes(api.request("GET", "/api/user/models", params={"group": "vip"}))) == everything
    unknown = set(yes(api.request("GET", "/api/user/models", params={"group": "nobody"})))
    assert unknown == (set() if api.dialect.models_by_group else everything)


def test_the_ratio_of_the_group_auto_is_a_word(api: API) -> None:
    assert yes(api.request("GET", "/api/user/self/groups"))["auto"]["ratio"] == "自动"


def test_records_name_the_account(api: API) -> None:
    account = yes(api.request("GET", "/api/user/self"))
    assert {row["user_id"] for row in [api.create()]} == {account["id"]}


def test_the_account_pays_what_a_key_spends(api: API) -> None:
    time.sleep(api.dialect.batch_seconds)
    before = yes(api.request("GET", "/api/user/self"))
    row, _ = api.called()
    time.sleep(api.dialect.batch_seconds)
    after = yes(api.request("GET", "/api/user/self"))
    spent = yes(api.get(row["id"]))["used_quota"]
    if api.server.live:
        assert after["used_quota"] - before["used_quota"] >= spent  # others may spend as well
    else:
        assert after["used_quota"] - before["used_quota"] == before["quota"] - after["quota"] == spent
    assert after["request_count"] > before["request_count"]
