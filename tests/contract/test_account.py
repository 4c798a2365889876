import re

import pytest

from tests.contract.target import API, no, yes


def test_the_access_token_is_taken_raw_and_as_a_bearer(api: API) -> None:
    for authorization in (api.server.token, f"Bearer {api.server.token}"):
        yes(api.request("GET", "/api/token/", headers={"Authorization": authorization}))


def test_a_bearer_in_lower_case_is_taken_by_dialect(api: API) -> None:
    response = api.request("GET", "/api/token/", headers={"Authorization": f"bearer {api.server.token}"})
    if api.dialect.bearer_in_any_case:
        yes(response)
    else:
        no(response)


def test_another_scheme_than_bearer_is_refused(api: API) -> None:
    response = api.request("GET", "/api/token/", headers={"Authorization": f"Token {api.server.token}"})
    no(response, api.dialect.wrong_token_status)


@pytest.mark.parametrize("authorization", [None, ""])
def test_without_an_access_token_nothing_is_told(api: API, authorization: str | None) -> None:
    response = api.request("GET", "/api/token/", headers={"Authorization": authorization})
    message = no(response, 401)
    if api.dialect.wrong_token_code:
        assert message == "Unauthorized, invalid access token"
    elif api.dialect.chinese_auth:
        assert message == "无权进行此操作，未登录且未提供 access token"
    else:
        assert message == "Unauthorized, not logged in and no access token provided"
    assert response.json().get("code") == api.dialect.wrong_token_code


def test_a_wrong_access_token_is_refused_with_the_status_of_the_dialect(api: API) -> None:
    response = api.request("GET", "/api/token/", headers={"Authorization": "made-up"})
    message = no(response, api.dialect.wrong_token_status)
    refused = "无权进行此操作，access token 无效" if api.dialect.chinese_auth else "Unauthorized, invalid access token"
    assert message == refused
    assert response.json().get("code") == api.dialect.wrong_token_code


def test_a_key_is_no_access_token(api: API) -> None:
    secret = api.secret(api.create())
    response = api.request("GET", "/api/token/", headers={"Authorization": f"Bearer sk-{secret}"})
    no(response, api.dialect.wrong_token_status)


@pytest.mark.parametrize(
    ("user", "english", "chinese"),
    [
        (None, "New-Api-User header not provided", "未提供 New-Api-User"),
        ("999", "New-Api-User does not match logged in user", "New-Api-User 与登录用户不匹配"),
        ("abc", "New-Api-User header format error", "New-Api-User 格式错误"),
    ],
)
def test_the_header_with_the_accounts_id_is_required_or_ignored_by_dialect(
    api: API, user: str | None, english: str, chinese: str
) -> None:
    response = api.request("GET", "/api/token/", headers={"New-Api-User": user})
    if api.dialect.user_header == "required":
        assert no(response, 401).endswith(chinese if api.dialect.chinese_auth else english)
    else:
        yes(response)


def test_refusals_follow_the_language_that_is_asked_for(api: API) -> None:
    body = {"name": api.name(), "remain_quota": -1}
    response = api.request("POST", "/api/token/", json=body, headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert no(response) == "额度值不能为负数"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/tokens"),
        ("PATCH", "/api/token/"),
        ("POST", "/api/token/1/nope"),
        ("GET", "/v1/nope"),
        ("POST", "/api/user/self/groups"),
    ],
)
def test_a_wrong_path_or_method_is_a_404_in_json(api: API, method: str, path: str) -> None:
    response = api.request(method, path)
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": f"Invalid URL ({method} {path})",
            "type": "invalid_request_error",
            "param": "",
            "code": "",
        }
    }


def test_a_path_outside_the_api_is_the_dashboards_page(api: API) -> None:
    response = api.request("GET", "/nowhere")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/token", "/api/token/"),
        ("/api/token?p=2&page_size=3", "/api/token/?p=2&page_size=3"),
        ("/api/token/1/", "/api/token/1"),
        ("/v1/models/", "/v1/models"),
        ("/api/user/self/", "/api/user/self"),
    ],
)
def test_a_get_with_a_wrong_slash_is_redirected_with_a_page(api: API, path: str, target: str) -> None:
    response = api.request("GET", path)
    assert (response.status_code, response.headers["location"]) == (301, target)
    assert response.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/token"), ("PUT", "/api/token"), ("DELETE", "/api/token/1/")]
)
def test_other_methods_with_a_wrong_slash_are_redirected_without_a_body(api: API, method: str, path: str) -> None:
    response = api.request(method, path, json=None if method == "DELETE" else {"name": api.name()})
    assert (response.status_code, response.content) == (307, b"")
    assert api.rows() == []


@pytest.mark.parametrize("path", ["/api/token/", "/api/nope", "/v1/models", "/api/user/self"])
def test_every_answer_has_a_request_id_of_its_own(api: API, path: str) -> None:
    ids = {api.request("GET", path).headers["x-oneapi-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"20[0-9]{12}[0-9A-Za-z]{8,}", found) for found in ids)


def test_answers_are_packed_for_clients_that_accept_it_by_dialect(api: API) -> None:
    packed = api.request("GET", "/api/token/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers.get("content-encoding") == ("gzip" if api.dialect.gzips else None)
    yes(packed)
    plain = api.request("GET", "/api/token/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    yes(plain)


def test_the_account_tells_its_balance_in_quota_units(api: API) -> None:
    account = yes(api.request("GET", "/api/user/self"))
    assert account["id"] == int(api.server.user_id)
    assert {type(account[name]) for name in ("quota", "used_quota", "request_count")} == {int}
    assert account["group"] == "default"
    assert account["username"]


def test_the_account_tells_its_groups_with_their_ratios(api: API) -> None:
    groups = yes(api.request("GET", "/api/user/self/groups"))
    assert {"default", "vip"} <= set(groups)
    assert groups["default"].keys() == {"desc", "ratio"}
    assert groups["default"]["ratio"] == 1


def test_the_log_of_a_new_key_is_empty(api: API) -> None:
    name = api.create()["name"]
    page = yes(api.request("GET", "/api/log/self", params={"p": 1, "page_size": 5, "token_name": name}))
    assert page == {"page": 1, "page_size": 5, "total": 0, "items": []}


def test_the_sums_of_a_new_keys_log_are_zero(api: API) -> None:
    name = api.create()["name"]
    params = {"token_name": name, "start_timestamp": 1, "end_timestamp": 1_900_000_000}
    assert yes(api.request("GET", "/api/log/self/stat", params=params)) == {"quota": 0, "rpm": 0, "tpm": 0}


def test_the_catalog_is_public_and_priced_or_the_accounts_by_dialect(api: API) -> None:
    response = api.request("GET", "/api/models", headers={"Authorization": None})
    if not api.dialect.public_catalog:
        assert response.status_code == 401
        by_channel = api.request("GET", "/api/models").json()["data"]
        assert all(isinstance(model, str) for models in by_channel.values() for model in models or [])
        return
    body = response.json()
    assert (body["success"], body["total"]) == (True, len(body["data"]))
    fields = {"id", "provider", "model_type", "features", "pricing", "api_doc_url"}
    assert all(fields <= set(model) for model in body["data"])
    prices = {"currency", "input", "output", "per_request", "per_second"}
    assert all(prices <= set(model["pricing"]) for model in body["data"])


def test_a_key_without_limits_may_call_every_model_of_the_account(api: API) -> None:
    usable = yes(api.request("GET", "/api/user/models"))
    assert set(api.models(api.secret(api.create()))) == set(usable)
