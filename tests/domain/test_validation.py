from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.money import Units
from comet_mcp.domain.validation import check_changed_key, check_new_key, fitting_name
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

NOW = 1_795_000_000.0  # 2026-11-18
MONTH = 30 * 86_400
SOUND = {"name": "sound", "remain_quota": 2_500_000, "expired_time": int(NOW) + MONTH}


def checked(**fields: object) -> tuple[KeySpec, list[str]]:
    return check_new_key(KeySpec.model_validate({**SOUND, **fields}), NOW, Units())


def refusal(**fields: object) -> str:
    with pytest.raises(ArgumentError) as refused:
        checked(**fields)
    return str(refused.value)


def warning(**fields: object) -> str:
    return " ".join(checked(**fields)[1])


def changed(before: dict[str, object], **fields: object) -> tuple[KeySpec, list[str]]:
    old = KeySpec.model_validate({**SOUND, **before})
    return check_changed_key(old, old.model_copy(update=fields), fields.keys(), NOW, Units())


def refused_change(before: dict[str, object], **fields: object) -> str:
    with pytest.raises(ArgumentError) as refused:
        changed(before, **fields)
    return str(refused.value)


def test_a_sound_key_passes_unchanged_and_without_a_warning() -> None:
    assert checked() == (KeySpec.model_validate(SOUND), [])


def test_expiry_zero_is_refused_with_both_ways_out() -> None:
    text = refusal(expired_time=0)
    assert "-1" in text
    assert str(int(NOW) + MONTH) in text


@pytest.mark.parametrize(
    ("stamp", "unit"),
    [
        (1_820_000_000_000, "milliseconds"),
        (1_820_000_000_000_000, "microseconds"),
        (1_820_000_000_000_000_000, "nanoseconds"),
    ],
)
def test_an_expiry_in_a_smaller_unit_is_refused_with_the_seconds_it_means(stamp: int, unit: str) -> None:
    assert refusal(expired_time=stamp) == (
        f"[invalid_argument] expired_time {stamp} looks like {unit}; in seconds it is 1820000000, 2027-09-03T19:33:20Z."
    )


def test_an_expiry_beyond_a_century_is_refused() -> None:
    assert "hundred years" in refusal(expired_time=99_999_999_999)


@given(st.integers(min_value=1, max_value=100 * 365 * 86_400 - 1))
def test_any_future_time_within_a_century_is_taken_as_it_is(ahead: int) -> None:
    body, warnings = checked(expired_time=int(NOW) + ahead)
    assert (body.expired_time, warnings) == (int(NOW) + ahead, [])


@pytest.mark.parametrize("past", [1_600_000_000, int(NOW)])
def test_a_past_expiry_is_refused_for_a_new_key_with_both_ways_out(past: int) -> None:
    text = refusal(expired_time=past)
    assert f"expired_time {past} is in the past" in text
    assert "-1" in text
    assert str(int(NOW) + MONTH) in text


def test_a_past_expiry_ends_a_key_that_exists_from_now_on() -> None:
    body, warnings = changed({}, expired_time=1_600_000_000)
    assert body.expired_time == 1_600_000_000
    assert warnings == [
        "expired_time 1600000000 is in the past (2020-09-13T12:26:40Z): the key is refused from now on."
    ]


@pytest.mark.parametrize("fields", [{}, {"unlimited_quota": True, "remain_quota": 0}])
def test_a_key_without_an_end_is_warned_about_with_an_end_in_thirty_days(fields: dict[str, object]) -> None:
    said = f"The key never expires. To let it end in 30 days, set expired_time to {int(NOW) + MONTH}."
    assert checked(expired_time=-1, **fields)[1][-1] == said
    assert changed(fields, expired_time=-1)[1] == [said]
    assert changed({**fields, "expired_time": -1}, name="renamed")[1] == []


@pytest.mark.parametrize(
    "entry",
    [
        "198.51.100.10",
        "203.0.113.0/24",
        "2001:db8::/32",
        "127.0.0.5/8",
        "::1",
        "::ffff:192.0.2.1",
        "0.0.0.0/0",
    ],
)
def test_every_form_of_address_that_the_gateway_reads_is_taken(entry: str) -> None:
    assert checked(allow_ips=entry)[0].allow_ips == entry


@pytest.mark.parametrize(
    "entry",
    [
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "01.2.3.4",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/255.0.0.0",
        "10.0.0.1-10.0.0.9",
        "fe80::1%eth0",
        "2001:db8::/129",
        "*",
        "http://1.2.3.4",
        "1.2.3.4:80",
        "１.2.3.4",
    ],
)
def test_what_is_no_address_is_refused_by_name_with_the_right_form(entry: str) -> None:
    text = refusal(allow_ips=f"192.0.2.1\n{entry}")
    assert f'"{entry}"' in text
    assert r"198.51.100.10\n203.0.113.0/24" in text


@pytest.mark.parametrize("separator", [",", ", ", " ", ";", "\t"])
def test_addresses_separated_by_anything_but_line_breaks_are_refused_with_the_fix(separator: str) -> None:
    assert "Separate entries by line breaks" in refusal(allow_ips=f"192.0.2.1{separator}192.0.2.2")


def test_blank_lines_carriage_returns_and_doubles_in_the_address_list_go() -> None:
    assert checked(allow_ips="\r\n 192.0.2.1 \r\n\n192.0.2.1\n::1\n")[0].allow_ips == "192.0.2.1\n::1"


def test_no_address_list_stays_null_and_an_empty_one_empty() -> None:
    assert checked(allow_ips=None)[0].allow_ips is None
    assert checked(allow_ips="")[0].allow_ips == ""


@given(st.lists(st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=4).map(lambda ip: f"{ip}/12")), max_size=8))
def test_any_list_of_addresses_comes_through_with_the_same_meaning(entries: list[str]) -> None:
    sent = checked(allow_ips="\n".join(entries))[0].allow_ips or ""
    meant = {ipaddress.ip_interface(entry) for entry in entries}
    assert {ipaddress.ip_interface(entry) for entry in sent.split("\n") if entry} == meant


def test_model_ids_are_trimmed_because_the_api_does_not() -> None:
    body, _ = checked(model_limits=" gpt-4o , gpt-4.1-mini,,gpt-4o", model_limits_enabled=True)
    assert body.model_limits == "gpt-4o,gpt-4.1-mini"


@pytest.mark.parametrize("models", ["gpt-4o gpt-4.1", '["gpt-4o"]', "gpt-4o\ngpt-4.1", "'gpt-4o'"])
def test_a_model_list_of_another_form_is_refused_with_the_right_one(models: str) -> None:
    said = refusal(model_limits=models, model_limits_enabled=True)
    assert "one string of ids separated by commas; list_models has the account's." in said


def test_a_model_list_that_is_switched_off_is_refused_because_the_api_would_allow_every_model() -> None:
    assert "allow every model" in refusal(model_limits="gpt-4o")


def test_an_empty_model_list_that_is_switched_on_is_warned_about() -> None:
    assert "no model" in warning(model_limits_enabled=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"remain_quota": 0}, "every model request"),
        ({"remain_quota": 5}, "If dollars were meant, $5 is 2500000"),
        ({"remain_quota": 4_999}, "only $0.009998"),
        ({"unlimited_quota": True, "remain_quota": 0}, "whole balance"),
        ({"unlimited_quota": True, "remain_quota": 7}, "remain_quota 7 has no effect"),
        ({"remain_quota": 2_147_483_648}, "at most 2147483647 quota units ($4,294.96) for one key"),
        ({"cross_group_retry": True}, 'only with group "auto"'),
    ],
)
def test_what_is_allowed_but_rarely_meant_is_warned_about(fields: dict[str, object], said: str) -> None:
    assert said in warning(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"remain_quota": 5_000}, {"remain_quota": 2_147_483_647}, {"cross_group_retry": True, "group": "auto"}],
)
def test_what_is_meant_is_not_warned_about(fields: dict[str, object]) -> None:
    assert warning(**fields) == ""


@pytest.mark.parametrize("name", ["", " ", "\n\t"])
def test_a_name_without_a_visible_character_is_refused(name: str) -> None:
    assert "name is empty" in refusal(name=name)


@pytest.mark.parametrize("char", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_a_name_with_a_line_break_or_another_control_character_is_refused_where_it_is_given(char: str) -> None:
    name = f"a{char}b"
    assert "control character" in refusal(name=name)
    assert "control character" in refused_change({}, name=name)
    assert changed({"name": name}, name=name, remain_quota=5_000)[0].name == name


@pytest.mark.parametrize("name", ["naïve", "鍵🔑", "\U0001f469\u200d\U0001f4bb key", "a b", "«q»"], ids=ascii)
def test_a_name_in_any_script_is_taken(name: str) -> None:
    assert checked(name=name)[0].name == name


def test_a_model_list_that_would_do_nothing_is_refused_for_a_change_too() -> None:
    for stored in ("", "gpt-4o"):
        text = refused_change({"model_limits": stored}, model_limits="gpt-4o")
        assert "it may call every model. Send model_limits_enabled true too." in text
    assert changed({}, model_limits="gpt-4o", model_limits_enabled=True)[1] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "renamed"},
        {"model_limits": ""},
        {"model_limits_enabled": True},
        {"model_limits_enabled": False, "model_limits": "gpt-4o", "name": "every field named"},
    ],
)
def test_a_key_whose_model_list_did_nothing_already_can_be_changed_elsewhere(fields: dict[str, object]) -> None:
    assert changed({"model_limits": "gpt-4o"}, **fields)[1] == []


def test_a_change_speaks_of_a_change() -> None:
    assert '"" allows every address' in refused_change({}, allow_ips="localhost")
    (said,) = changed({}, remain_quota=0)[1]
    assert said.endswith("every model request of the key will be refused.")
    assert warning(remain_quota=0).endswith("Set it with update_api_key.")


@pytest.mark.parametrize("left", [0, -7])
def test_taking_away_unlimited_without_a_budget_is_refused_with_what_to_send(left: int) -> None:
    before: dict[str, object] = {"unlimited_quota": True, "remain_quota": left}
    assert "Send remain_quota or add_budget_usd too." in refused_change(before, unlimited_quota=False)
    assert changed(before, unlimited_quota=False, remain_quota=5_000)[1] == []
    assert changed({**before, "remain_quota": 5_000}, unlimited_quota=False)[1] == []
    assert changed({"remain_quota": 0}, unlimited_quota=False, name="renamed")[0].name == "renamed"


@pytest.mark.parametrize(
    ("name", "length", "fits"),
    [
        ("x" * 51, 51, "x" * 50),
        ("鍵" * 17, 51, "鍵" * 16),
        ("ブログ要約ツール用の鍵（テスト環境）", 54, "ブログ要約ツール用の鍵（テスト環"),
        ("é" * 26, 52, "é" * 25),
        ("a" * 48 + "🔑", 52, "a" * 48),
        ("a" * 43 + "\U0001f469\u200d\U0001f4bb", 54, "a" * 43 + "\U0001f469"),
        ("a" * 49 + " b", 51, "a" * 49),
    ],
    ids=ascii,
)
def test_a_name_of_more_than_fifty_bytes_is_refused_with_its_length_and_one_that_fits(
    name: str, length: int, fits: str
) -> None:
    assert refusal(name=name).endswith(f"name has {length} bytes of UTF-8; the API allows 50. {quoted(fits)} fits.")
    assert checked(name=fits)[0].name == fits
    assert refused_change({}, name=name) == refusal(name=name)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=500))
def test_the_name_that_is_offered_fits_and_is_how_the_name_begins(name: str) -> None:
    fits = fitting_name(name)
    assert name.startswith(fits)
    assert len(fits.encode()) <= 50
    assert fits == name or len(name[: len(fits) + 1].encode()) > 50


def test_a_key_has_a_thousand_models_and_addresses_at_most() -> None:
    for count in (1000, 1001):
        models = ",".join(f"m{number}" for number in range(count))
        addresses = "\n".join(f"10.0.{number // 256}.{number % 256}" for number in range(count))
        fields = {"model_limits_enabled": True, "model_limits": models}
        if count == 1000:
            assert checked(**fields, allow_ips=addresses)[0].allow_ips == addresses
        else:
            assert "model_limits has 1001 of at most 1000 entries" in refusal(**fields)
            assert "allow_ips has 1001 of at most 1000 entries" in refusal(allow_ips=addresses)
            assert "model_limits has 1001 of at most 1000 entries" in refused_change({}, **fields)


def test_a_key_that_has_a_longer_list_already_can_be_renamed() -> None:
    long = "\n".join(f"10.0.{number // 256}.{number % 256}" for number in range(2000))
    assert changed({"allow_ips": long}, name="other")[0].allow_ips == long
