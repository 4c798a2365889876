import time

import pytest

from tests.contract.target import API, model_error, no, yes

DEAD = {
    "disabled": "该令牌状态不可用",
    "expired": "该令牌已过期",
    "exhausted": "该令牌额度已用尽",
    "deleted": "无效的令牌",
}


def made_unusable(api: API, how: str) -> str:
    """The value of a key that is dead in the way named."""
    if how == "expired":
        row = api.create(expired_time=int(time.time()) - 60)
    elif how == "exhausted":
        row = api.create(remain_quota=0)
    else:
        row = api.create()
    secret = api.secret(row)
    if how == "disabled":
        api.set_status(row, 2)
    elif how == "deleted":
        yes(api.delete(row["id"]))
    return secret


def test_usage_is_told_in_the_documented_shape(api: API) -> None:
    row = api.create(remain_quota=321, model_limits_enabled=True, model_limits="gpt-4o,gpt-4.1-mini")
    assert api.usage(api.secret(row)).json() == {
        "code": True,
        "message": "ok",
        "data": {
            "object": "token_usage",
            "name": row["name"],
            "total_granted": 321,
            "total_used": 0,
            "total_available": 321,
            "unlimited_quota": False,
            "model_limits": {"gpt-4o": True, "gpt-4.1-mini": True},
            "model_limits_enabled": True,
            "expires_at": 0,
        },
    }


def test_usage_tells_an_expiry_in_seconds(api: API) -> None:
    secret = api.secret(api.create(expired_time=1_900_000_000))
    assert api.usage(secret).json()["data"]["expires_at"] == 1_900_000_000


def test_usage_has_no_model_limits_where_the_key_has_none(api: API) -> None:
    assert api.usage(api.secret(api.create())).json()["data"]["model_limits"] == {}


def test_asking_for_usage_spends_nothing_and_changes_nothing(api: API) -> None:
    row = api.create()
    api.usage(api.secret(row))
    assert yes(api.get(row["id"])) == row


@pytest.mark.parametrize("how", ["expired", "exhausted"])
def test_a_spent_or_expired_key_may_ask_for_its_usage(api: API, how: str) -> None:
    secret = made_unusable(api, how)
    assert api.as_key(secret).status_code == 401
    assert api.usage(secret).json()["code"] is True


def test_a_disabled_key_may_ask_for_its_usage_by_dialect(api: API) -> None:
    response = api.usage(made_unusable(api, "disabled"))
    if api.dialect.usage_when_disabled:
        assert response.json()["code"] is True
    else:
        assert no(response, 401) == "This token status is unavailable"


def test_usage_without_the_trailing_slash_answers_or_redirects_by_dialect(api: API) -> None:
    response = api.as_key(api.secret(api.create()), "/api/usage/token")
    if api.dialect.usage_without_slash:
        assert response.json()["code"] is True
    else:
        assert (response.status_code, response.headers["location"]) == (301, "/api/usage/token/")


def test_usage_is_not_told_without_a_key_that_exists(api: API) -> None:
    assert no(api.usage("nobody"), 401) in ("Invalid token", "无效的令牌")
    assert api.request("GET", "/api/usage/token/", headers={"Authorization": None}).status_code == 401


def test_usage_wants_a_bearer(api: API) -> None:
    secret = api.secret(api.create())
    response = api.request("GET", "/api/usage/token/", headers={"Authorization": f"sk-{secret}"})
    assert no(response, 401) == "Invalid Bearer token"


@pytest.mark.parametrize("scheme", ["Bearer  ", "BEARER ", "Token "])
def test_usage_wants_it_written_as_usual(api: API, scheme: str) -> None:
    secret = api.secret(api.create())
    response = api.request("GET", "/api/usage/token/", headers={"Authorization": f"{scheme}{secret}"})
    no(response, 401)


@pytest.mark.parametrize("prefix", ["Bearer sk-", "Bearer ", "sk-", "bearer sk-"])
def test_models_are_listed_for_a_key_with_or_without_its_prefixes(api: API, prefix: str) -> None:
    secret = api.secret(api.create())
    response = api.as_key(secret, headers={"Authorization": f"{prefix}{secret}"})
    body = response.json()
    assert (response.status_code, body["object"], body["success"]) == (200, "list", True)
    assert {"id", "object", "created", "owned_by"} <= set(body["data"][0])


def test_a_key_may_call_only_the_models_of_its_limits(api: API) -> None:
    everything = api.models(api.secret(api.create()))
    first, second = everything[:2]
    limited = api.create(model_limits_enabled=True, model_limits=f"{second},{first},no-such-model")
    assert set(api.models(api.secret(limited))) == {first, second}


def test_limits_are_split_at_commas_without_trimming(api: API) -> None:
    first, second = api.models(api.secret(api.create()))[:2]
    limited = api.create(model_limits_enabled=True, model_limits=f"{first}, {second}")
    assert api.models(api.secret(limited)) == [first]


def test_limits_that_are_not_enabled_limit_nothing(api: API) -> None:
    everything = api.models(api.secret(api.create()))
    assert api.models(api.secret(api.create(model_limits=everything[0]))) == everything


def test_enabled_limits_without_a_model_allow_none(api: API) -> None:
    assert api.models(api.secret(api.create(model_limits_enabled=True, model_limits=""))) == []


@pytest.mark.parametrize("how", DEAD)
def test_a_dead_key_lists_no_models(api: API, how: str) -> None:
    code, message = model_error(api.as_key(made_unusable(api, how)), 401)
    assert code == ""
    if api.dialect.reasons_for_dead_keys:
        assert DEAD[how] in message
    else:
        assert message == "Invalid token"


@pytest.mark.parametrize(("how", "status"), [("expired", 3), ("exhausted", 4)])
def test_using_a_key_that_has_run_out_sets_its_status_except_with_redis(api: API, how: str, status: int) -> None:
    secret = made_unusable(api, how)
    assert api.rows()[0]["status"] == 1
    for _ in range(2):
        assert api.as_key(secret).status_code == 401
        assert api.rows()[0]["status"] == (1 if api.dialect.redis else status)


def test_a_key_that_listed_its_models_when_used_up_stays_dead_after_topping_up_except_with_redis(api: API) -> None:
    row = api.create(remain_quota=0)
    secret = api.secret(row)
    assert api.as_key(secret).status_code == 401
    after = yes(api.put(id=row["id"], name=row["name"], expired_time=-1, remain_quota=1000))
    assert after["status"] == (1 if api.dialect.redis else 4)
    assert api.as_key(secret).status_code == (200 if api.dialect.redis else 401)


def test_an_exhausted_key_is_refused_in_words_by_dialect(api: API) -> None:
    secret = made_unusable(api, "exhausted")
    shown = f"sk-{secret[:3]}***{secret[-3:]}"
    first, then = (model_error(api.as_key(secret), 401)[1] for _ in range(2))
    if api.dialect.reasons_for_dead_keys:
        assert first == f"[{shown}] 该令牌额度已用尽 !token.UnlimitedQuota && token.RemainQuota = 0"
        assert then == f"该令牌额度已用尽 TokenStatusExhausted[{shown}]"
    else:
        assert first == then == "Invalid token"


def test_an_unlimited_key_needs_no_quota(api: API) -> None:
    assert api.models(api.secret(api.create(remain_quota=0, unlimited_quota=True)))


def test_an_expiry_below_minus_one_has_passed(api: API) -> None:
    assert api.as_key(api.secret(api.create(expired_time=-2))).status_code == 401


def test_a_model_call_without_a_key_is_refused(api: API) -> None:
    response = api.request("GET", "/v1/models", headers={"Authorization": None})
    _, message = model_error(response, 401)
    assert message in ("Invalid token", "未提供令牌")


@pytest.mark.parametrize(
    "allow_ips",
    [
        "127.0.0.1",
        "127.0.0.5/8",
        " 127.0.0.1 ",
        "junk\n127.0.0.0/8",
        "127.0.0.1,",
        "\n",
        "::ffff:127.0.0.1",
        "0.0.0.0/0",
        "127.0.0.1/08",
    ],
)
def test_a_caller_on_the_list_is_let_in(api: API, allow_ips: str) -> None:
    secret = api.secret(api.create(allow_ips=allow_ips))
    assert api.as_key(secret, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize(
    "allow_ips",
    ["198.51.100.1", "junk", "127.0.0.1,127.0.0.2", "2001:db8::/32", "127.0.0.1/255.0.0.0", "::/0"],
)
def test_a_caller_who_is_not_on_the_list_is_refused(api: API, allow_ips: str) -> None:
    secret = api.secret(api.create(allow_ips=allow_ips))
    code, _ = model_error(api.as_key(secret, headers={"X-Forwarded-For": "127.0.0.1"}), 403)
    assert code == "access_denied"


def test_an_address_list_may_be_ipv6(api: API) -> None:
    secret = api.secret(api.create(allow_ips="2001:db8::/32"))
    assert api.as_key(secret, headers={"X-Forwarded-For": "2001:db8::7"}).status_code == 200


def test_asking_for_usage_does_not_mind_the_address_list(api: API) -> None:
    secret = api.secret(api.create(allow_ips="198.51.100.1"))
    assert api.usage(secret).json()["code"] is True


def test_a_key_of_an_unknown_group_is_refused_on_use(api: API) -> None:
    if api.dialect.groups_checked:
        assert no(api.post(name=api.name(), group="nobody"))
        return
    assert model_error(api.as_key(api.secret(api.create(group="nobody"))), 403)[1] == "无权访问 nobody 分组"


def test_a_model_outside_the_limits_is_refused(api: API) -> None:
    first, second = api.models(api.secret(api.create()))[:2]
    secret = api.secret(api.create(model_limits_enabled=True, model_limits=first))
    body = {"model": second, "messages": [{"role": "user", "content": "Hello"}]}
    code, message = model_error(api.as_key(secret, "/v1/chat/completions", json=body), 403)
    assert code == ""
    assert second in message


def test_an_unknown_model_is_refused(api: API) -> None:
    body = {"model": "no-such-model", "messages": [{"role": "user", "content": "Hello"}]}
    response = api.as_key(api.secret(api.create()), "/v1/chat/completions", json=body)
    assert model_error(response, 503)[0] == "model_not_found"


def test_a_chat_names_a_model(api: API) -> None:
    response = api.as_key(api.secret(api.create()), "/v1/chat/completions", json={"messages": []})
    assert model_error(response, 400)[1] == "Model name not specified, model name cannot be empty"


def test_a_dead_key_calls_no_model(api: API) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    model_error(api.as_key(made_unusable(api, "disabled"), "/v1/chat/completions", json=body), 401)


def test_the_old_billing_calls_answer_in_dollars(api: API) -> None:
    secret = api.secret(api.create(remain_quota=1_000_000))
    limits = api.as_key(secret, "/v1/dashboard/billing/subscription").json()
    assert (limits["hard_limit_usd"], limits["access_until"]) == (2, 0)
    assert api.as_key(secret, "/v1/dashboard/billing/usage").json()["total_usage"] == 0
