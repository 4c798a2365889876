import time

import pytest

from tests.contract.target import API, no, yes

FAR_FUTURE_MS = 1_900_000_000_000
KANJI = "鍵"


def test_the_answer_says_success_and_nothing_of_the_new_key(api: API) -> None:
    response = api.post(name=api.name(), remain_quota=1)
    assert response.json() == {"message": "", "success": True}
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_every_field_is_stored_as_sent(api: API) -> None:
    row = api.create(
        expired_time=1_900_000_000,
        remain_quota=12_345,
        unlimited_quota=False,
        model_limits_enabled=True,
        model_limits="gpt-4o,gpt-4.1-mini",
        allow_ips="198.51.100.10\n203.0.113.0/24\n2001:db8::/32",
        group="vip",
    )
    assert (row["expired_time"], row["remain_quota"], row["unlimited_quota"]) == (1_900_000_000, 12_345, False)
    assert (row["model_limits_enabled"], row["model_limits"]) == (True, "gpt-4o,gpt-4.1-mini")
    assert row["allow_ips"] == "198.51.100.10\n203.0.113.0/24\n2001:db8::/32"
    assert (row["group"], row["status"], row["used_quota"]) == ("vip", 1, 0)


def test_omitted_fields_get_the_defaults_of_a_key_that_never_expires_and_has_no_quota(api: API) -> None:
    name = api.name()
    yes(api.post(name=name))
    row = api.row(name)
    assert (row["expired_time"], row["remain_quota"], row["unlimited_quota"]) == (-1, 0, False)
    assert (row["model_limits_enabled"], row["model_limits"], row["allow_ips"]) == (False, "", "")
    assert (row["group"], row["cross_group_retry"]) == ("", False)


@pytest.mark.parametrize("body", ["{}", "null"])
def test_an_empty_body_makes_a_key_without_a_name(api: API, body: str) -> None:
    before = {row["id"] for row in api.page(page_size=100)["items"]}
    yes(api.request("POST", "/api/token/", content=body))
    new = [row for row in api.page(page_size=100)["items"] if row["id"] not in before and not row["name"]]
    assert new
    for row in new:
        api.delete(row["id"])


def test_two_equal_bodies_make_two_keys(api: API) -> None:
    name = api.name()
    for _ in range(2):
        yes(api.post(name=name, remain_quota=5))
    first, second = api.rows()
    assert first["id"] > second["id"]
    assert api.secret(first) != api.secret(second)


def test_fields_that_a_create_does_not_have_are_ignored(api: API) -> None:
    first = api.create()["id"]
    row = api.create(id=first, key="k" * 48, status=2, used_quota=9, user_id=99, created_time=5, unheard_of=True)
    assert row["id"] != first
    assert (row["status"], row["used_quota"]) == (1, 0)
    assert row["user_id"] == int(api.server.user_id)
    assert row["created_time"] > 5
    assert api.secret(row) != "k" * 48


def test_field_names_match_in_any_case_and_null_counts_as_not_sent(api: API) -> None:
    name = api.name()
    yes(api.post(NAME=name, remain_quota=None, Unlimited_Quota=True))
    assert (api.row(name)["remain_quota"], api.row(name)["unlimited_quota"]) == (0, True)


def test_the_clock_is_in_whole_seconds_and_both_times_are_the_creation(api: API) -> None:
    row = api.create()
    assert abs(row["created_time"] - time.time()) < 30
    assert row["accessed_time"] == row["created_time"]


def test_a_key_is_48_letters_and_digits(api: API) -> None:
    secret = api.secret(api.create())
    assert len(secret) == 48
    assert secret.isascii()
    assert secret.isalnum()


def test_ids_increase(api: API) -> None:
    assert api.create()["id"] < api.create()["id"]


def test_an_expiry_of_zero_means_never(api: API) -> None:
    assert api.create(expired_time=0)["expired_time"] == -1


@pytest.mark.parametrize("expired_time", [1_000_000_000, -2, FAR_FUTURE_MS])
def test_a_past_negative_or_absurd_expiry_is_stored_as_sent(api: API, expired_time: int) -> None:
    assert api.create(expired_time=expired_time)["expired_time"] == expired_time


def test_null_addresses_become_an_empty_string(api: API) -> None:
    assert api.create(allow_ips=None)["allow_ips"] == ""


@pytest.mark.parametrize("allow_ips", ["not an address", "198.51.100.1,198.51.100.2", "127.0.0.5/8"])
def test_addresses_are_not_checked(api: API, allow_ips: str) -> None:
    assert api.create(allow_ips=allow_ips)["allow_ips"] == allow_ips


def test_model_limits_are_stored_even_where_they_are_not_enabled(api: API) -> None:
    row = api.create(model_limits_enabled=False, model_limits="a, b")
    assert (row["model_limits_enabled"], row["model_limits"]) == (False, "a, b")


def test_a_negative_quota_is_refused(api: API) -> None:
    assert no(api.post(name=api.name(), remain_quota=-1)) == "Quota value cannot be negative"
    assert api.rows() == []


def test_a_negative_quota_is_accepted_of_an_unlimited_key(api: API) -> None:
    assert api.create(remain_quota=-7, unlimited_quota=True)["remain_quota"] == -7


def test_a_quota_has_a_largest_value_by_dialect(api: API) -> None:
    most = api.dialect.max_quota
    assert api.create(remain_quota=most)["remain_quota"] == most
    message = no(api.post(name=api.name(), remain_quota=most + 1))
    assert message == f"Quota value exceeds valid range, maximum is {most}"


def test_the_quota_of_an_unlimited_key_has_no_largest_value(api: API) -> None:
    above = api.dialect.max_quota + 1
    assert api.create(remain_quota=above, unlimited_quota=True)["remain_quota"] == above


def test_a_name_may_have_50_characters_but_not_51(api: API) -> None:
    name = api.name().ljust(50, "x")
    assert api.create(name=name)["name"] == name
    assert no(api.post(name=f"{name}x")).lower() == "token name is too long"


def test_names_are_measured_in_bytes_or_characters_by_dialect(api: API) -> None:
    name = api.name()
    name += KANJI * (50 - len(name))
    assert len(name) == 50
    if api.dialect.name_limit == "bytes":
        assert no(api.post(name=name)) == "Token name is too long"
    else:
        assert api.create(name=name)["name"] == name


@pytest.mark.parametrize("suffix", ["\n", "\x00", "\x1b[31m", "  ", "\u202e", "<b>&", "😀"])
def test_names_are_stored_as_sent_whatever_is_in_them(api: API, suffix: str) -> None:
    name = f"{api.name()}{suffix}"
    assert api.create(name=name)["name"] == name


def test_spaces_in_front_of_a_name_stay(api: API) -> None:
    name = f"  {api.name()}"
    assert api.create(name=name)["name"] == name


def test_a_lone_surrogate_in_a_name_becomes_the_replacement_character(api: API) -> None:
    name = api.name()
    yes(api.request("POST", "/api/token/", content=f'{{"name": "{name}\\ud800"}}'))
    assert api.row(f"{name}\ufffd")["name"] == f"{name}\ufffd"


def test_an_unknown_group_is_refused_or_stored_by_dialect(api: API) -> None:
    if api.dialect.groups_checked:
        assert no(api.post(name=api.name(), group="nobody")) == "no access to group"
        assert api.rows() == []
    else:
        assert api.create(group="nobody")["group"] == "nobody"


def test_cross_group_retry_without_the_group_auto_is_stored_as_sent_or_cleared_by_dialect(api: API) -> None:
    row = api.create(group="default", cross_group_retry=True)
    assert row["cross_group_retry"] is not api.dialect.cross_group_retry_needs_auto


def test_cross_group_retry_stays_with_the_group_auto(api: API) -> None:
    assert api.create(group="auto", cross_group_retry=True)["cross_group_retry"] is True


def test_auto_groups_are_kept_where_the_dialect_has_them(api: API) -> None:
    row = api.create(group="auto", auto_groups=["vip"])
    assert row.get("auto_groups") == (["vip"] if api.dialect.auto_groups else None)


def test_auto_groups_must_be_different_groups_of_the_account(api: API) -> None:
    if not api.dialect.auto_groups:
        assert api.create(group="auto", auto_groups=["vip", "vip"])["group"] == "auto"
        return
    doubled = api.post(name=api.name(), group="auto", auto_groups=["vip", "vip"])
    assert no(doubled) == "Auto group vip is duplicated"
    unknown = api.post(name=api.name(), group="auto", auto_groups=["nobody"])
    assert no(unknown) == "Auto group nobody is unavailable or unauthorized"


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", 1, "number into Go struct field {struct}.name of type string"),
        ("remain_quota", "5", "string into Go struct field {struct}.remain_quota of type int"),
        ("remain_quota", 1.5, "number 1.5 into Go struct field {struct}.remain_quota of type int"),
        ("remain_quota", 10**19, f"number {10**19} into Go struct field {{struct}}.remain_quota of type int"),
        ("expired_time", "-1", "string into Go struct field {struct}.expired_time of type int64"),
        ("unlimited_quota", "yes", "string into Go struct field {struct}.unlimited_quota of type bool"),
        ("unlimited_quota", 1, "number into Go struct field {struct}.unlimited_quota of type bool"),
        ("model_limits", ["gpt-4o"], "array into Go struct field {struct}.model_limits of type string"),
        ("allow_ips", {"a": 1}, "object into Go struct field {struct}.allow_ips of type string"),
        ("group", True, "bool into Go struct field {struct}.group of type string"),
        ("id", "1", "string into Go struct field {struct}.id of type int"),
    ],
)
def test_a_wrong_type_is_refused_in_the_words_of_go(api: API, field: str, value: object, complaint: str) -> None:
    message = no(api.post(**{"name": api.name(), field: value}))
    assert message == "json: cannot unmarshal " + complaint.format(struct=api.dialect.go_path)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "EOF"),
        ('{"name":', "unexpected EOF"),
        ("nul", "unexpected EOF"),
        ('{"remain_quota": NaN}', "invalid character 'N' looking for beginning of value"),
        ("name=x", "invalid character"),
        ('{"name" 1}', "invalid character"),
    ],
)
def test_a_body_that_is_no_json_is_refused(api: API, body: str, complaint: str) -> None:
    assert no(api.request("POST", "/api/token/", content=body)).startswith(complaint)


@pytest.mark.parametrize(("body", "kind"), [("[]", "array"), ('"name"', "string"), ("1", "number"), ("true", "bool")])
def test_a_body_that_is_no_object_is_refused(api: API, body: str, kind: str) -> None:
    message = no(api.request("POST", "/api/token/", content=body))
    assert message == f"json: cannot unmarshal {kind} into Go value of type {api.dialect.go_type}"


def test_a_wrong_type_of_auto_groups_is_refused_where_the_dialect_has_them(api: API) -> None:
    response = api.post(name=api.name(), remain_quota="1", auto_groups=[1])
    if api.dialect.auto_groups:
        expected = "json: cannot unmarshal number into Go struct field tokenRequest.auto_groups of type string"
    else:
        expected = "json: cannot unmarshal string into Go struct field Token.remain_quota of type int"
    assert no(response) == expected


def test_numbers_must_be_written_as_integers(api: API) -> None:
    body = f'{{"name": "{api.name()}", "remain_quota": 1e3}}'
    assert "cannot unmarshal number 1e3 into" in no(api.request("POST", "/api/token/", content=body))


def test_what_follows_the_object_is_ignored(api: API) -> None:
    name = api.name()
    yes(api.request("POST", "/api/token/", content=f'{{"name": "{name}", "remain_quota": 3}} trailing'))
    assert api.row(name)["remain_quota"] == 3


def test_the_content_type_of_the_request_does_not_matter(api: API) -> None:
    name = api.name()
    headers = {"Content-Type": "text/plain"}
    yes(api.request("POST", "/api/token/", content=f'{{"name": "{name}"}}', headers=headers))
    assert api.row(name)["name"] == name
