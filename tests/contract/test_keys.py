from typing import Any

import pytest

from tests.contract.target import API, no, yes

RECORD = {
    "id": int,
    "user_id": int,
    "key": str,
    "status": int,
    "name": str,
    "created_time": int,
    "accessed_time": int,
    "expired_time": int,
    "remain_quota": int,
    "unlimited_quota": bool,
    "model_limits_enabled": bool,
    "model_limits": str,
    "allow_ips": str,
    "used_quota": int,
    "group": str,
    "cross_group_retry": bool,
}


def test_a_record_has_exactly_the_fields_of_the_dialect(api: API) -> None:
    row = api.create()
    more = {"DeletedAt"} if api.dialect.gateway_fields else set()
    more |= {"auto_groups"} if api.dialect.auto_groups else set()
    assert set(row) == set(RECORD) | more
    assert {name: type(row[name]) for name in RECORD} == RECORD
    assert [row[name] for name in more] == [None] * len(more)


def test_a_record_shows_the_whole_key_or_a_masked_one_by_dialect(api: API) -> None:
    row = api.create()
    secret = api.secret(row)
    assert row["key"] == (f"{secret[:4]}**********{secret[-4:]}" if api.dialect.masked_keys else secret)
    assert len(secret) == 48


def test_the_list_is_newest_first_and_says_where_it_is(api: API) -> None:
    names = [api.create()["name"] for _ in range(3)]
    page = api.page(p=1, page_size=100)
    assert set(page) == {"page", "page_size", "total", "items"}
    assert (page["page"], page["page_size"]) == (1, 100)
    assert page["total"] >= 3
    assert [row["id"] for row in page["items"]] == sorted((row["id"] for row in page["items"]), reverse=True)
    assert [row["name"] for row in api.rows()] == names[::-1]


def test_pages_do_not_overlap(api: API) -> None:
    for _ in range(3):
        api.create()
    ids: list[int] = []
    for _ in range(20):  # other tests may make and delete keys of a live server between two pages
        ids = [api.page(p=page, page_size=1)["items"][0]["id"] for page in (1, 2, 3)]
        if len(set(ids)) == 3:
            break
    assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize(
    ("asked", "page", "page_size"),
    [
        ({}, 1, 10),
        ({"p": 0, "page_size": 0}, 1, 10),
        ({"p": "junk", "page_size": "junk"}, 1, 10),
        ({"p": 2, "page_size": 101}, 2, 100),
        ({"p": 1, "size": 7}, 1, 7),
        ({"p": 1, "ps": 8}, 1, 8),
        ({"p": -1, "page_size": 5}, -1, 5),
    ],
)
def test_page_and_size_have_defaults_and_a_cap(api: API, asked: dict[str, Any], page: int, page_size: int) -> None:
    answer = api.page(**asked)
    assert (answer["page"], answer["page_size"]) == (page, page_size)


def test_a_negative_page_size_does_not_limit(api: API) -> None:
    names = {api.create()["name"] for _ in range(2)}
    page = api.page(p=1, page_size=-1)
    assert page["page_size"] == -1
    assert names <= {row["name"] for row in page["items"]}


def test_a_page_past_the_end_is_empty(api: API) -> None:
    api.create()
    page = api.page(p=90_000, page_size=10)
    assert (page["page"], page["items"]) == (90_000, [])
    assert page["total"] >= 1


def test_one_key_is_shown_as_the_list_shows_it(api: API) -> None:
    row = api.create()
    assert yes(api.get(row["id"])) == row


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("999999999", "record not found"),
        ("-1", "record not found"),
        ("0", "id 或 userId 为空！"),
        ("abc", 'strconv.Atoi: parsing "abc": invalid syntax'),
        ("99999999999999999999", 'strconv.Atoi: parsing "99999999999999999999": value out of range'),
    ],
)
def test_an_id_that_no_key_has_is_refused(api: API, id: str, message: str) -> None:
    assert no(api.get(id)) == message


def test_a_deleted_key_is_gone(api: API) -> None:
    row = api.create()
    assert api.delete(row["id"]).json() == {"message": "", "success": True}
    assert no(api.get(row["id"])) == "record not found"
    assert no(api.delete(row["id"])) == "record not found"
    assert api.rows() == []


def test_deleting_what_is_no_number_names_no_id(api: API) -> None:
    assert no(api.request("DELETE", "/api/token/abc")) == "id 或 userId 为空！"


def test_a_key_is_revealed_by_id_where_the_dialect_can(api: API) -> None:
    row = api.create()
    response = api.request("POST", f"/api/token/{row['id']}/key")
    if not api.dialect.reveal:
        assert response.status_code == 404
        assert response.json()["error"]["message"] == f"Invalid URL (POST /api/token/{row['id']}/key)"
        return
    data = yes(response)
    assert set(data) == {"key"}
    assert (data["key"][:4], data["key"][-4:]) == (row["key"][:4], row["key"][-4:])
    assert "no-store" in response.headers["cache-control"]


def test_revealing_a_missing_key_is_refused(api: API) -> None:
    response = api.request("POST", "/api/token/999999999/key")
    if api.dialect.reveal:
        assert no(response) == "record not found"
    else:
        assert response.status_code == 404


def test_several_keys_are_revealed_at_once_where_the_dialect_can(api: API) -> None:
    rows = [api.create() for _ in range(2)]
    ids = [row["id"] for row in rows]
    response = api.request("POST", "/api/token/batch/keys", json={"ids": [*ids, 999_999_999]})
    if not api.dialect.reveal:
        assert response.status_code == 404
        return
    assert yes(response) == {"keys": {f"{row['id']}": api.secret(row) for row in rows}}


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "Invalid parameters"),
        ("1", "Invalid parameters"),
        (list(range(1, 102)), "Too many items in batch request, maximum is 100"),
    ],
)
def test_a_batch_names_between_one_and_a_hundred_ids(api: API, ids: object, message: str) -> None:
    response = api.request("POST", "/api/token/batch/keys", json={"ids": ids})
    if api.dialect.reveal:
        assert no(response) == message
    else:
        assert response.status_code == 404


def test_a_search_finds_a_whole_name(api: API) -> None:
    row = api.create()
    api.create()
    assert api.found(keyword=row["name"]) == {row["name"]}


def test_a_part_of_a_name_is_found_or_needs_a_wildcard_by_dialect(api: API) -> None:
    names = {api.create()["name"] for _ in range(2)}
    assert api.found(keyword=api.prefix[2:]) == (set() if api.dialect.search_pages else names)
    if api.dialect.search_pages:
        assert api.found(keyword=f"{api.prefix}%") == names
        assert api.found(keyword=f"%{api.prefix[2:]}%") == names
        assert api.found(keyword=f"{api.prefix.upper()}%") == names
        assert api.found(keyword=api.prefix.replace("c", "_") + "%") == set()


def test_a_search_finds_a_key_by_its_value(api: API) -> None:
    row = api.create()
    secret = api.secret(row)
    assert api.found(token=secret) == {row["name"]}
    assert api.found(token=f"sk-{secret}", keyword=row["name"]) == {row["name"]}
    assert api.found(token=secret, keyword="another name") == set()


def test_a_search_is_a_page_or_a_list_by_dialect(api: API) -> None:
    row = api.create()
    api.create(name=row["name"])
    data = yes(api.search(keyword=row["name"], p=2, page_size=1))
    if api.dialect.search_pages:
        assert (data["page"], data["page_size"], data["total"], data["items"]) == (2, 1, 2, [row])
    else:
        assert [found["id"] for found in data] == [found["id"] for found in api.rows()]


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("a%%", "搜索模式中不允许包含连续的 % 通配符"),
        ("%a%b%", "搜索模式中最多允许包含 2 个 % 通配符"),
        ("%a", "使用模糊搜索时，关键词长度至少为 2 个字符"),
    ],
)
def test_a_gateway_refuses_wildcards_that_would_find_nearly_everything(api: API, keyword: str, message: str) -> None:
    response = api.search(keyword=keyword)
    if api.dialect.search_pages:
        assert no(response) == message
    else:
        assert yes(response) == []
