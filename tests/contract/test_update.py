import time
from typing import Any

import pytest

from tests.contract.target import API, no, yes

FULL: dict[str, Any] = {
    "expired_time": 1_900_000_000,
    "remain_quota": 77,
    "unlimited_quota": False,
    "model_limits_enabled": True,
    "model_limits": "gpt-4o",
    "allow_ips": "198.51.100.1",
    "group": "vip",
    "cross_group_retry": False,
}


def test_the_answer_is_the_changed_record(api: API) -> None:
    row = api.create()
    name = api.name()
    answer = yes(api.put(id=row["id"], name=name, status=1, **FULL))
    assert answer == row | {"name": name} | FULL
    assert yes(api.get(row["id"])) == answer


def test_omitted_fields_are_reset_so_that_the_key_is_expired_and_empty(api: API) -> None:
    row = api.create(**FULL)
    answer = yes(api.put(id=row["id"], name=row["name"]))
    reset = {
        "expired_time": 0,
        "remain_quota": 0,
        "unlimited_quota": False,
        "model_limits_enabled": False,
        "model_limits": "",
        "allow_ips": None,
        "group": "",
    }
    assert {name: answer[name] for name in reset} == reset
    assert answer["status"] == 1


def test_null_addresses_stay_null_after_an_update(api: API) -> None:
    row = api.create()
    yes(api.put(id=row["id"], name=row["name"], expired_time=-1, allow_ips=None))
    assert yes(api.get(row["id"]))["allow_ips"] is None


def test_a_status_in_a_full_update_is_minded_or_ignored_by_dialect(api: API) -> None:
    row = api.create()
    answer = yes(api.put(id=row["id"], name=row["name"], status=2, **FULL))
    assert answer["status"] == (2 if api.dialect.status_in_put else 1)
    assert answer["remain_quota"] == 77


def test_status_only_changes_nothing_else_on_a_gateway(api: API) -> None:
    row = api.create()
    answer = yes(api.put("?status_only=1", id=row["id"], status=2, name=row["name"], remain_quota=5))
    assert answer["status"] == 2
    assert answer["remain_quota"] == (5 if api.dialect.status_in_put else 1000)


def test_one_full_update_with_status_only_sets_a_status_in_every_dialect(api: API) -> None:
    row = api.create()
    assert api.set_status(row, 2) == row | {"status": 2}
    assert api.set_status(row, 1) == row


def test_an_omitted_status_makes_a_gateways_key_unusable(api: API) -> None:
    row = api.create()
    answer = yes(api.put("?status_only=1", id=row["id"], name=row["name"], remain_quota=9, expired_time=-1))
    assert answer["status"] == (1 if api.dialect.status_in_put else 0)


def test_a_status_that_means_nothing_is_stored_too(api: API) -> None:
    assert api.set_status(api.create(), 7)["status"] == 7


def test_a_negative_budget_is_taken_only_of_a_key_without_one_and_kept_by_a_gateways_status_only(api: API) -> None:
    row = api.create(unlimited_quota=True, remain_quota=-48_211)
    assert row["remain_quota"] == -48_211
    fields = {"id": row["id"], "name": row["name"], "expired_time": -1, "status": 2}
    for query in ("", "?status_only=1"):
        assert no(api.put(query, **fields, remain_quota=-48_211)).lower() == "quota value cannot be negative"
    kept = yes(api.put("?status_only=1", **fields, remain_quota=0))
    assert kept["status"] == 2
    assert kept["remain_quota"] == (0 if api.dialect.status_in_put else -48_211)


def test_what_is_not_the_owners_to_change_stays(api: API) -> None:
    row = api.create()
    secret = api.secret(row)
    changes = {"key": "k" * 48, "used_quota": 9, "created_time": 1, "accessed_time": 1, "user_id": 99}
    answer = yes(api.put(id=row["id"], name=row["name"], status=1, **FULL, **changes))
    assert {name: answer[name] for name in changes} == {name: row[name] for name in changes}
    assert api.secret(row) == secret


def test_an_expired_key_is_not_enabled_before_its_expiry_is_changed(api: API) -> None:
    row = api.create(expired_time=int(time.time()) - 60)
    assert api.as_key(api.secret(row)).status_code == 401
    if api.dialect.redis:
        # Its status was not written, so nothing minds.
        assert api.set_status(row, 1)["status"] == 1
        api.set_status(row, 3)
    assert yes(api.get(row["id"]))["status"] == 3
    refused = api.put("?status_only=1", id=row["id"], name=row["name"], status=1, remain_quota=1, expired_time=-1)
    assert no(refused).startswith("Token has expired and cannot be enabled")
    yes(api.put(id=row["id"], name=row["name"], status=3, remain_quota=1000, expired_time=-1))
    assert api.set_status(yes(api.get(row["id"])), 1)["status"] == 1
    assert api.as_key(api.secret(row)).status_code == 200


def test_an_exhausted_key_is_not_enabled_before_it_has_quota(api: API) -> None:
    row = api.create(remain_quota=0)
    assert api.as_key(api.secret(row)).status_code == 401
    if api.dialect.redis:
        api.set_status(row, 4)
    assert yes(api.get(row["id"]))["status"] == 4
    refused = api.put("?status_only=1", id=row["id"], name=row["name"], status=1, remain_quota=1, expired_time=-1)
    assert no(refused).startswith("Token quota is exhausted and cannot be enabled")
    yes(api.put(id=row["id"], name=row["name"], status=4, remain_quota=1000, expired_time=-1))
    assert api.set_status(yes(api.get(row["id"])), 1)["status"] == 1


@pytest.mark.parametrize(
    ("id", "message"), [(999_999_999, "record not found"), (0, "id 或 userId 为空！"), (None, "id 或 userId 为空！")]
)
def test_an_update_names_a_key_that_is_there(api: API, id: int | None, message: str) -> None:
    assert no(api.put(id=id, name=api.name(), expired_time=-1)) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "x" * 51}, "token name is too long"),
        ({"remain_quota": -1}, "quota value cannot be negative"),
        ({"remain_quota": 500_000_000_000_001}, "quota value exceeds valid range, maximum is {max_quota}"),
    ],
)
def test_an_update_is_checked_as_a_create_is(api: API, fields: dict[str, object], message: str) -> None:
    row = api.create()
    assert no(api.put(**{"id": row["id"], "name": row["name"], **fields})).lower() == message.format(
        max_quota=api.dialect.max_quota
    )
    assert yes(api.get(row["id"])) == row


def test_an_update_to_an_unknown_group_is_refused_or_stored_by_dialect(api: API) -> None:
    row = api.create()
    response = api.put(id=row["id"], name=row["name"], expired_time=-1, status=1, group="nobody")
    if api.dialect.groups_checked:
        assert no(response) == "no access to group"
        assert yes(api.get(row["id"])) == row
    else:
        assert yes(response)["group"] == "nobody"


def test_cross_group_retry_without_the_group_auto_is_cleared_or_kept_by_dialect(api: API) -> None:
    row = api.create()
    answer = yes(api.put(id=row["id"], name=row["name"], expired_time=-1, status=1, cross_group_retry=True))
    assert answer["cross_group_retry"] is not api.dialect.cross_group_retry_needs_auto


def test_auto_groups_survive_an_update_that_leaves_them_out_but_not_null(api: API) -> None:
    row = api.create(group="auto", auto_groups=["vip"])
    fields = {"id": row["id"], "name": row["name"], "expired_time": -1, "status": 1}
    kept = yes(api.put(**fields, group="auto"))
    assert kept.get("auto_groups") == (["vip"] if api.dialect.auto_groups else None)
    assert yes(api.put(**fields, group="auto", auto_groups=None)).get("auto_groups") is None
    yes(api.put(**fields, group="auto", auto_groups=["vip"]))
    assert yes(api.put(**fields, group="default")).get("auto_groups") is None
