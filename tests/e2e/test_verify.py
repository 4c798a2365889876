from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import keyring
import keyring.backends.fail
import pytest

from comet_mcp.clock import Clock
from comet_mcp.sandbox import DIALECTS as DIALECTS_BY_NAME
from comet_mcp.sandbox.catalog import Model
from tests.e2e.life import LATER, connected, full_key
from tests.support import Home, data_of, error_of, text_of

PAST = 1_600_000_000
ENDED = "It expired at 2020-09-13T12:26:40Z."
SPENT = "It has nothing left to spend."
PLAIN: dict[str, Any] = {"allow_ips": "", "group": "", "cross_group_retry": False}
DIALECTS = ("documented", "gateway", "gateway-2026-03")


@pytest.fixture(params=DIALECTS)
def home(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    """The third dialect says in Chinese why a key is refused. Records show whole keys, so that all can be asked."""
    return make_home(dialect=replace(DIALECTS_BY_NAME[request.param], masked_keys=False))


async def verdict_on(home: Home, key_id: int) -> dict[str, Any]:
    """What the tool says of a key."""
    async with connected(home) as client:
        return data_of(await client.call_tool("verify_api_key", {"id": key_id}))


async def test_a_key_that_works_says_what_it_may_call_and_spend(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN, used_quota=500_000)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict == {
        "id": row.id,
        "name": "blog",
        "verdict": "works",
        "budget": "$5.00 of $6.00 left",
        "ends": "2030-03-17T17:46:40Z",
        "models": ["gpt-4.1-mini", "gpt-4o"],
        "models_total": 2,
    }


async def test_a_key_for_every_model_shows_some_and_how_many_there_are(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN, model_limits_enabled=False, unlimited_quota=True, expired_time=-1)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert (len(verdict["models"]), verdict["models_total"]) == (20, len(home.sandbox.account.models))
    assert (verdict["budget"], verdict["ends"]) == ("unlimited", "never")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": 2}, 'It is disabled. Call update_api_key with status "enabled".'),
        ({"status": 7}, 'It is unknown (7). Call update_api_key with status "enabled".'),
        ({"expired_time": PAST}, f"{ENDED} Call update_api_key with a later expired_time."),
        (
            {"expired_time": PAST, "status": 3},
            f'{ENDED} Call update_api_key with a later expired_time and status "enabled".',
        ),
        ({"remain_quota": 0}, f"{SPENT} Call update_api_key with add_budget_usd."),
        ({"remain_quota": 0, "status": 4}, f'{SPENT} Call update_api_key with add_budget_usd and status "enabled".'),
        ({"remain_quota": -9, "status": 4}, f'{SPENT} Call update_api_key with add_budget_usd and status "enabled".'),
        ({"status": 4}, "It still has the status exhausted, although it has something left. Call update_api_key with"),
        (
            {"group": "gone"},
            'Its group "gone" is not the account\'s. Call update_api_key with a group that get_account',
        ),
        ({"model_limits": "no-such-model"}, "It may call no model"),
        ({"model_limits": ""}, "It may call no model"),
        ({"allow_ips": "here"}, "has none that the API can read"),
    ],
)
async def test_a_key_that_does_not_work_says_why_and_what_fixes_it(
    fields: dict[str, Any], said: str, home: Home
) -> None:
    row = full_key(home.sandbox, **{**PLAIN, **fields})
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "does not work"
    (reason,) = verdict["reasons"]
    assert reason.startswith(said) or said in reason


async def test_a_key_with_many_faults_names_them_all(home: Home) -> None:
    row = full_key(home.sandbox, **{**PLAIN, "group": "gone"}, status=2, remain_quota=0, expired_time=PAST)
    home.sandbox.account.quota = 0
    reasons = (await verdict_on(home, row.id))["reasons"]
    starts = ["It is disabled.", ENDED, SPENT, 'Its group "gone"', "The account has nothing left ($0.00)"]
    assert len(reasons) == len(starts)
    assert all(reason.startswith(start) for reason, start in zip(reasons, starts, strict=True)), reasons


@pytest.mark.parametrize("fields", [{"remain_quota": 0}, {"remain_quota": -9}, {"expired_time": PAST}, {"status": 2}])
async def test_checking_a_key_never_changes_it(fields: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, **{**PLAIN, **fields})
    before = asdict(row)
    await verdict_on(home, row.id)
    assert asdict(row) == before, "a call as the key makes some releases note that it is used up or has ended"
    assert home.sandbox.count("models") + home.sandbox.count("usage") == 0


async def test_a_key_limited_to_other_addresses_is_not_said_to_be_dead(home: Home) -> None:
    row = full_key(home.sandbox, **{**PLAIN, "allow_ips": "192.0.2.1\n2001:db8::/32"})
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "can't be told"
    (reason,) = verdict["reasons"]
    assert reason.startswith('The API refuses it here: "')
    assert "is not on its IP list (2001:db8::/32, 192.0.2.1)" in reason
    assert "may work" in reason
    assert "models" not in verdict


@pytest.mark.parametrize("balance", [0, -48_211])
async def test_the_balance_of_the_account_counts(balance: int, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.account.quota = balance
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "does not work"
    (reason,) = verdict["reasons"]
    assert reason.startswith("The account has nothing left")
    assert "top the account up: nothing is wrong with the key" in reason


async def test_a_balance_that_cannot_be_read_leaves_it_open_whether_a_key_works(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.faults.add("account", "status", times=2, value=503)
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "can't be told"
    assert "balance could not be read" in verdict["reasons"][0]


ONE_CALL = {**PLAIN, "model_limits": "gpt-4o,claude-opus-4-1", "remain_quota": 499}
"""A call of gpt-4o reserves 500 units, one of claude-opus-4-1 3,000."""


async def test_a_budget_below_what_a_call_reserves_does_not_work(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="documented")
    row = full_key(home.sandbox, **ONE_CALL)
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "does not work"
    (reason,) = verdict["reasons"]
    assert reason.startswith(
        "It has $0.000998 (499 quota units) left, and the API sets aside at least 500 for a call of"
    )
    assert reason.endswith("every call is refused. Call update_api_key with add_budget_usd.")
    row.remain_quota = 500
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "works"
    (note,) = verdict["notes"]
    assert "less than a call of claude-opus-4-1 takes" in note


async def test_a_balance_below_what_a_call_reserves_does_not_work(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="documented")
    row = full_key(home.sandbox, **{**ONE_CALL, "remain_quota": 5_000_000})
    home.sandbox.account.quota = 499
    (reason,) = (await verdict_on(home, row.id))["reasons"]
    assert reason.startswith("The account has $0.000998 (499 quota units) left")
    assert reason.endswith("Ask the person to top the account up.")


async def test_a_budget_of_dollars_below_the_price_of_a_call_does_not_work(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="documented")
    home.sandbox.account.models = (Model("veo-3", "Google", "video", per_request=3.0),)
    row = full_key(home.sandbox, **{**PLAIN, "model_limits": "veo-3", "remain_quota": 750_000})
    async with connected(home) as client:
        for _ in range(5):
            verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert verdict["verdict"] == "does not work"
    (reason,) = verdict["reasons"]
    assert reason.startswith(
        "It has $1.50 (750000 quota units) left, and the API sets aside at least 1500000 for a call"
    )
    assert home.sandbox.count("catalog") + home.sandbox.count("groups") == 2
    row.remain_quota = 1_500_000
    assert (await verdict_on(home, row.id))["verdict"] == "works"


@pytest.mark.parametrize(("group", "whose"), [("", "the account's group"), ("vip", 'its group "vip"')])
async def test_a_key_without_a_model_list_that_may_call_none_is_not_said_to_have_one(
    group: str, whose: str, make_home: Callable[..., Home]
) -> None:
    home = make_home(dialect="documented")
    home.sandbox.account.models = ()
    row = full_key(home.sandbox, **{**PLAIN, "group": group}, model_limits_enabled=False, model_limits="")
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "does not work"
    (reason,) = verdict["reasons"]
    assert f"it has no model list, and the API offers {whose} none" in reason
    assert "model_limits" not in reason


async def test_the_groups_share_of_a_price_counts_for_what_a_call_reserves(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="documented")
    home.sandbox.account.groups["vip"]["ratio"] = 0.5
    row = full_key(home.sandbox, **{**ONE_CALL, "group": "vip"})
    assert (await verdict_on(home, row.id))["verdict"] == "works"


async def test_a_small_budget_where_the_api_tells_no_prices_cannot_be_told(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect=replace(DIALECTS_BY_NAME["gateway"], masked_keys=False))
    row = full_key(home.sandbox, **{**ONE_CALL, "remain_quota": 624})
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "can't be told"
    assert "625 for any of gpt-4o" in verdict["reasons"][0]
    row.remain_quota = 625
    assert (await verdict_on(home, row.id))["verdict"] == "works"


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 503])
async def test_a_page_in_the_apis_place_is_no_verdict_on_the_key(status: int, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.faults.add("models", "page", times=2, value=status)
    async with connected(home) as client:
        said = error_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert said.startswith("[no_usable_answer] ")
    assert "says nothing of the access token or of a key" in said


async def test_a_clock_that_is_wrong_is_not_taken_for_a_wrong_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    row = full_key(home.sandbox, **PLAIN)
    monkeypatch.setattr(Clock, "hear", lambda *_: None)  # an API without a Date, on a machine whose clock is wrong
    home.sandbox.clock = lambda: LATER + 5.0
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] != "works"
    (reason,) = verdict["reasons"]
    assert "by the API's clock it may have come, if this machine's is wrong" in reason
    assert "update_api_key with" not in reason or "a later expired_time" in reason


async def test_a_refusal_without_a_reason_leaves_it_open_whether_a_key_works(
    make_home: Callable[..., Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(dialect="documented")
    row = full_key(home.sandbox, **PLAIN, expired_time=-1)
    monkeypatch.setattr(home.sandbox.account, "find", lambda _: None)
    verdict = await verdict_on(home, row.id)
    assert verdict["verdict"] == "can't be told"
    assert verdict["reasons"][0].startswith('The API refuses it ("Invalid token (request id: ***)") without a reason')


async def test_a_working_key_in_a_group_with_an_open_address_list_works(home: Home) -> None:
    row = full_key(home.sandbox, allow_ips="0.0.0.0/0", group="vip", cross_group_retry=False)
    async with connected(home) as client:
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["verdict"] == "works"


async def test_the_value_is_sent_as_the_keys_own_authorization_and_nowhere_else(home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home) as client:
        result = await client.call_tool("verify_api_key", {"id": row.id})
    assert row.key not in text_of(result)
    (asked,) = [request for request in home.sandbox.requests if request.call == "models"]
    assert asked.headers["authorization"] == f"Bearer sk-{row.key}"
    assert home.sandbox.access_token not in asked.headers.values()
    assert not any(row.key in request.path + str(request.query) for request in home.sandbox.requests)


async def test_a_masked_value_that_is_not_stored_is_not_revealed_for_a_check(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home) as client:
        verdict = data_of(await client.call_tool("verify_api_key", {"id": row.id}))
        assert verdict["verdict"] == "can't be told"
        (reason,) = verdict["reasons"]
        assert "not stored here" in reason
        assert "save_api_key" in reason
        assert "models" not in verdict
        row.status = 2
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["verdict"] == "does not work"
        row.status = 1
        assert home.sandbox.count("reveal") + home.sandbox.count("reveal_batch") == 0
        data_of(await client.call_tool("save_api_key", {"id": row.id}))
        assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["verdict"] == "works"


async def test_a_value_in_a_file_is_what_a_check_asks_with(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        home.sandbox.requests.clear()
        for _ in range(3):
            assert data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))["verdict"] == "works"
    assert home.sandbox.count("reveal") + home.sandbox.count("reveal_batch") + home.sandbox.count("usage") == 0


async def test_a_file_that_holds_another_value_is_not_believed(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        (path,) = home.key_files
        path.write_text(f"# CometAPI key {key['id']}, blog\nCOMETAPI_KEY=sk-{'old' * 16}\n", encoding="utf-8")
        assert data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))["verdict"] == "can't be told"
    assert home.sandbox.count("models") == 0


async def test_checking_often_leaves_every_reveal_call_for_creates(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.rate_limits.enabled = True
    async with connected(home) as client:
        for number in range(3):
            key = data_of(await client.call_tool("create_api_key", {"name": f"{number}", "remain_quota": 5_000}))
            for _ in range(10):
                data_of(await client.call_tool("verify_api_key", {"id": key["id"]}))
            assert "secret" in key


async def test_a_locked_keychain_does_not_keep_a_key_from_being_checked(make_home: Callable[..., Home]) -> None:
    home = make_home(dialect="gateway")
    row = full_key(home.sandbox, **PLAIN)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        async with connected(home, COMETAPI_MCP_SECRETS="keyring") as client:
            assert data_of(await client.call_tool("verify_api_key", {"id": row.id}))["verdict"] == "can't be told"
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("store", ["file", "result", "none"])
async def test_a_key_is_checked_whatever_the_store(store: str, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    async with connected(home, COMETAPI_MCP_SECRETS=store) as client:
        result = await client.call_tool("verify_api_key", {"id": row.id})
    assert data_of(result)["verdict"] == "works"
    assert row.key not in text_of(result)


@pytest.mark.parametrize("fault", ["status", "html", "garbage", "rate_limit", "reset_before"])
async def test_an_api_that_cannot_be_asked_is_an_error_and_no_verdict(fault: str, home: Home) -> None:
    row = full_key(home.sandbox, **PLAIN)
    home.sandbox.faults.add("models", fault, times=2)
    async with connected(home) as client:
        error_of(await client.call_tool("verify_api_key", {"id": row.id}))
    assert row.expired_time == LATER


async def test_a_missing_key_sends_the_model_to_the_list(home: Home) -> None:
    async with connected(home) as client:
        assert "[key_not_found]" in error_of(await client.call_tool("verify_api_key", {"id": 99}))
