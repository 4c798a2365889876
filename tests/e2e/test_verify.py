from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keyring
import keyring.backends.fail
import pytest

from tests.e2e.life import LATER, connected, full_key
from tests.support import Home, data_of, error_of, text_of

PAST = 1_600_000_000
PLAIN: dict[str, Any] = {"allow_ips": "", "group": "", "cross_group_retry": False}
DIALECTS = ("documented", "gateway", "gateway-2026-03")


@pytest.fixture(params=DIALECTS)
def home(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    """The third dialect says in Chinese why a key is refused."""
    return make_home(dialect=request.param)


async def test_a_key_that_works_says_what_it_may_call_and_spend(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN, used_quota=500_000)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict == {
        "id": row.id,
        "name": "blog",
        "works": True,
        "remaining": "$5.00 of $6.00",
        "remain_quota": 2_500_000,
        "expires": "2030-03-17T17:46:40Z",
        "models": ["gpt-4.1-mini", "gpt-4o"],
        "models_total": 2,
    }


async def test_a_key_for_every_model_shows_some_and_how_many_there_are(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN, model_limits_enabled=False, unlimited_quota=True, expired_time=-1)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert (len(verdict["models"]), verdict["models_total"]) == (20, len(home.sandbox.account.models))
    assert (verdict["remaining"], verdict["expires"]) == ("unlimited", "never")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": 2}, "It is disabled."),
        ({"status": 7}, "It is unknown (7)."),
        ({"expired_time": PAST}, "It expired at 2020-09-13T12:26:40Z."),
        ({"expired_time": PAST, "status": 3}, "It expired at 2020-09-13T12:26:40Z."),
        ({"remain_quota": 0}, "It has nothing left to spend."),
        ({"remain_quota": 0, "status": 4}, "It has nothing left to spend."),
        ({"remain_quota": -9, "status": 4}, "It has nothing left to spend."),
        ({"allow_ips": "192.0.2.1\n2001:db8::/32"}, "not on its IP list (192.0.2.1, 2001:db8::/32)"),
        ({"allow_ips": "192.0.2.1"}, 'The API refuses it here: "'),
        ({"allow_ips": "\n".join(["192.0.2.1"] * 1000)}, "192.0.2.1, 192.0.2.1"),
        ({"group": "gone"}, 'Its group "gone" is not the account\'s. The API says: "'),
        ({"model_limits": "no-such-model"}, "It may call no model"),
        ({"model_limits": ""}, "It may call no model"),
    ],
)
async def test_a_key_that_does_not_work_says_why_in_every_dialect(
    fields: dict[str, Any], said: str, home: Home
) -> None:
    row = full_key(home.sandbox, **{**PLAIN, **fields})
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict["works"] is False
    (reason,) = verdict["reasons"]
    assert said in reason
    assert len(reason) < 700


async def test_a_key_with_two_faults_names_both(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN, status=2, remain_quota=0)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict["reasons"] == ["It is disabled.", "It has nothing left to spend."]


async def test_a_working_key_in_a_group_with_an_open_address_list_works(home: Home) -> None:
    row = full_key(home.sandbox, allow_ips="0.0.0.0/0", group="vip", cross_group_retry=False)
    async with connected(home) as client:
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["works"]


async def test_the_value_is_sent_as_the_keys_own_authorization_and_nowhere_else(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home) as client:
        result = await client.call_tool("verify_api_key", {"id": row.id})
    assert row.key not in text_of(result)
    (asked,) = [request for request in home.sandbox.requests if request.call == "models"]
    assert asked.headers["authorization"] == f"Bearer sk-{row.key}"
    assert home.sandbox.access_token not in asked.headers.values()
    assert not any(row.key in request.path + str(request.query) for request in home.sandbox.requests)


async def test_a_masked_value_is_revealed_once_where_no_file_has_it(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home) as client:
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["works"]
    assert home.sandbox.count("reveal") == 1


async def test_a_value_in_a_file_spares_the_reveal_call(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        home.sandbox.requests.clear()
        for _ in range(3):
            assert data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))["works"]
    assert home.sandbox.count("reveal") + home.sandbox.count("reveal_batch") == 0


async def test_a_file_that_holds_another_value_is_not_believed(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        (path,) = home.key_files
        path.write_text(f"# CometAPI key {key['id']}, blog\nCOMETAPI_KEY=sk-{'old' * 16}\n", encoding="utf-8")
        home.sandbox.requests.clear()
        assert data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))["works"]
    assert home.sandbox.count("reveal") == 1


async def test_checking_often_leaves_reveal_calls_for_the_next_create(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.rate_limits.enabled = True
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        for _ in range(19):
            data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))
        result = await client.call_tool("create_api_key", {"name": "next", "remain_quota": 5_000})
    if result.is_error:
        assert len(home.sandbox.keys) == 1, "a key was made whose value could not be stored"
    else:
        assert "secret" in data_of(result)


async def test_a_locked_keychain_does_not_keep_a_key_from_being_checked(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox, **PLAIN)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        async with connected(home, COMETAPI_MCP_SECRETS="keyring") as client:
            assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["works"]
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("store", ["file", "result", "none"])
async def test_a_key_is_checked_whatever_the_store(store: str, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home, COMETAPI_MCP_SECRETS=store) as client:
        result = await client.call_tool("verify_api_key", {"id": row.id})
    assert data_of(result)["works"]
    assert row.key not in text_of(result)


@pytest.mark.parametrize("fault", ["status", "html", "garbage", "rate_limit", "reset_before"])
async def test_an_api_that_cannot_be_asked_is_an_error_and_no_verdict(fault: str, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.faults.add("models", fault, times=2)
    async with connected(home) as client:
        error_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert row.expired_time == LATER


async def test_a_usage_call_that_fails_does_not_hide_that_the_key_works(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.faults.add("usage", "status", times=2, value=503)
    async with connected(home) as client:
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["works"]


async def test_a_missing_key_sends_the_model_to_the_list(home: Home) -> None:
    async with connected(home) as client:
        assert "[key_not_found]" in error_of(await client.call_tool("verify_api_key", {"id": 99}))


@pytest.mark.parametrize(
    ("fields", "said"), [({"remain_quota": 0}, "nothing left"), ({"expired_time": PAST}, "expired at 2020")]
)
async def test_a_key_whose_models_are_listed_all_the_same_is_not_said_to_work(
    fields: dict[str, Any], said: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox, **{**PLAIN, **fields})
    monkeypatch.setattr("comet_mcp.sandbox.model_calls.admitted", lambda *_: row)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict["works"] is False
    assert said in verdict["reasons"][0]
