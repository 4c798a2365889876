"""What a model call reserves while it runs; the figures are those of live servers, at this catalog's prices."""

from collections.abc import Callable

import pytest

from comet_mcp.sandbox import Key, Refused, Sandbox
from tests.sandbox.conftest import Clock, Served

MODEL = "gpt-4o"
"""A token of the prompt is one unit, a token of the answer four."""


def quota(row: Key) -> tuple[int, int]:
    return row.remain_quota, row.used_quota


def refused(sandbox: Sandbox, row: Key, **tokens: int) -> Refused:
    with pytest.raises(Refused) as error:
        sandbox.begin_call(row, MODEL, **tokens)
    return error.value


def test_a_call_takes_its_reservation_at_once_and_sets_it_right_at_its_end() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=100_000)
    balance = sandbox.account.quota
    call = sandbox.begin_call(row, MODEL, prompt_tokens=10, max_tokens=16_000)
    assert quota(row) == (83_500, 16_500)
    assert (sandbox.account.quota, sandbox.account.used_quota) == (balance - 16_500, 0)
    assert call.end(prompt_tokens=10, completion_tokens=5) == 30
    assert quota(row) == (99_970, 30)
    assert (sandbox.account.quota, sandbox.account.used_quota, sandbox.account.request_count) == (balance - 30, 30, 1)


def test_a_long_prompt_reserves_more_than_a_short_one() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=100_000)
    reserved = [sandbox.begin_call(row, MODEL, prompt_tokens=tokens).reserved for tokens in (0, 500, 501)]
    assert reserved == [500, 500, 501]
    assert quota(row) == (100_000 - 1501, 1501)


def test_a_call_that_fails_upstream_costs_nothing() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=100_000)
    sandbox.begin_call(row, MODEL, max_tokens=1000).abort()
    assert quota(row) == (100_000, 0)
    assert (sandbox.account.used_quota, sandbox.account.request_count) == (0, 0)
    assert sandbox.account.log.entries == []


def test_a_call_is_over_once() -> None:
    sandbox = Sandbox()
    call = sandbox.begin_call(sandbox.add_key("x", remain_quota=1000), MODEL)
    call.end(1, 1)
    for again in (call.abort, lambda: call.end(1, 1)):
        with pytest.raises(RuntimeError, match="This model call is over"):
            again()


def test_less_left_than_the_reservation_is_refused_while_the_key_works() -> None:
    sandbox = Sandbox("gateway")
    row = sandbox.add_key("x", remain_quota=499)
    refusal = refused(sandbox, row)
    assert (refusal.status, refusal.code) == (403, "pre_consume_token_quota_failed")
    assert refusal.values == {"left": "＄0.000998", "needs": "＄0.001000"}
    assert (quota(row), row.status) == ((499, 0), 1)


def test_calls_in_flight_leave_less_for_the_next() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=1200)
    calls = [sandbox.begin_call(row, MODEL) for _ in range(2)]
    assert refused(sandbox, row).key == "reserve.key_short"
    calls[0].end(10, 5)
    assert quota(row) == (670, 530)
    sandbox.begin_call(row, MODEL)


def test_a_budget_is_soft_for_dear_calls_at_once() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=10_000)
    calls = [sandbox.begin_call(row, MODEL) for _ in range(20)]
    assert quota(row) == (0, 10_000)
    for call in calls:
        call.end(prompt_tokens=2, completion_tokens=12_500)
    assert quota(row) == (10_000 - 20 * 50_002, 20 * 50_002)


@pytest.mark.parametrize(("dialect", "status"), [("gateway", 4), ("gateway-redis", 1)])
def test_a_call_in_the_moment_when_all_is_reserved_exhausts_the_key_for_good_except_with_redis(
    dialect: str, status: int
) -> None:
    sandbox = Sandbox(dialect)
    row = sandbox.add_key("x", remain_quota=500)
    call = sandbox.begin_call(row, MODEL)
    assert refused(sandbox, row).status == 401
    call.end(10, 5)
    assert (quota(row), row.status) == ((470, 30), status)
    assert refused(sandbox, row).status == (401 if status == 4 else 403)


@pytest.mark.parametrize(
    ("left", "unlimited", "reserved"), [(5_000_000, False, 500), (5_000_001, False, 0), (0, True, 0)]
)
def test_who_has_more_than_ten_dollars_reserves_nothing(left: int, unlimited: bool, reserved: int) -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=left, unlimited_quota=unlimited)
    call = sandbox.begin_call(row, MODEL)
    assert (call.reserved, quota(row)) == (reserved, (left - reserved, reserved))
    call.end(10, 5)
    assert quota(row) == (left - 30, 30)


def test_an_account_with_ten_dollars_or_less_reserves_for_every_key() -> None:
    sandbox = Sandbox()
    sandbox.account.quota = 5_000_000
    row = sandbox.add_key("x", unlimited_quota=True)
    sandbox.begin_call(row, MODEL)
    assert (quota(row), sandbox.account.quota) == ((-500, 500), 4_999_500)


@pytest.mark.parametrize(("balance", "key"), [(0, "reserve.account_empty"), (499, "reserve.account_short")])
def test_an_account_without_enough_calls_no_model(balance: int, key: str) -> None:
    sandbox = Sandbox()
    sandbox.account.quota = balance
    refusal = refused(sandbox, sandbox.add_key("x", remain_quota=1000))
    assert (refusal.key, refusal.status, refusal.code) == (key, 403, "insufficient_user_quota")


def test_what_the_operator_calls_a_dollar_counts_at_once() -> None:
    sandbox = Sandbox("gateway")
    sandbox.settings.quota_per_unit = 50
    row = sandbox.add_key("x", remain_quota=501)
    assert sandbox.begin_call(row, MODEL).reserved == 0
    assert sandbox.account.max_quota == 2**31 - 1
    sandbox.settings.quota_per_unit = 0
    assert sandbox.begin_call(row, MODEL).reserved == 500
    assert refused(sandbox, row).values == {"left": "＄+Inf", "needs": "＄+Inf"}
    assert sandbox.account.max_quota == 0


def test_a_budget_set_during_a_call_gets_its_reservation_on_top() -> None:
    sandbox = Sandbox("gateway")
    row = sandbox.add_key("x", remain_quota=100_000)
    call = sandbox.begin_call(row, MODEL, max_tokens=1000)
    sandbox.account.update({"id": row.id, "expired_time": -1, "remain_quota": 5000}, status_only=False)
    assert quota(row) == (5000, 1500)
    call.end(10, 5)
    assert quota(row) == (6470, 30)


def test_a_deleted_keys_call_is_billed_to_the_account_and_logged() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("gone", remain_quota=1000)
    balance = sandbox.account.quota
    call = sandbox.begin_call(row, MODEL)
    sandbox.account.delete(row.id)
    call.end(10, 5)
    assert (sandbox.keys, sandbox.account.quota) == ([], balance - 30)
    assert [(entry.token_name, entry.quota) for entry in sandbox.account.log.entries] == [("gone", 30)]


def test_a_call_of_a_database_that_was_begun_anew_is_nobodys() -> None:
    sandbox = Sandbox()
    call = sandbox.begin_call(sandbox.add_key("x", remain_quota=1000), MODEL)
    sandbox.begin_anew()
    call.end(10, 5)
    assert (sandbox.account.used_quota, sandbox.account.log.entries) == (0, [])
    assert sandbox.account.quota == 50_000_000


def test_a_group_has_its_ratio_and_auto_that_of_the_first_group_it_chooses() -> None:
    sandbox = Sandbox("gateway")
    rows = [
        sandbox.add_key(remain_quota=9999, group=group, auto_groups=chosen)
        for group, chosen in (("", None), ("vip", None), ("auto", None), ("auto", ["vip"]))
    ]
    calls = [sandbox.begin_call(row, MODEL) for row in rows]
    assert [call.reserved for call in calls] == [500, 400, 500, 400]
    assert [call.end(10, 5) for call in calls] == [30, 24, 30, 24]
    assert [entry.group for entry in sandbox.account.log.entries] == ["default", "vip", "default", "vip"]


@pytest.mark.parametrize(
    ("model", "reserved", "cost"), [("flux-1.1-pro", 16_000, 16_000), ("sora-2", 40_000, 40_000), ("gpt-5-nano", 10, 1)]
)
def test_a_call_has_a_fixed_price_or_costs_at_least_one_unit(model: str, reserved: int, cost: int) -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=100_000)
    call = sandbox.begin_call(row, model)
    assert (call.reserved, call.end(1, 0)) == (reserved, cost)


def test_a_free_group_reserves_and_costs_nothing() -> None:
    sandbox = Sandbox()
    sandbox.account.groups["vip"]["ratio"] = 0
    row = sandbox.add_key("x", remain_quota=1, group="vip")
    call = sandbox.begin_call(row, MODEL, max_tokens=9999)
    assert (call.reserved, call.end(10, 5)) == (0, 0)
    assert (quota(row), sandbox.account.request_count) == ((1, 0), 1)


def test_an_answer_without_tokens_costs_nothing_and_leaves_a_row() -> None:
    sandbox = Sandbox()
    row = sandbox.add_key("x", remain_quota=1000)
    assert sandbox.begin_call(row, MODEL).end(0, 0) == 0
    assert quota(row) == (1000, 0)
    assert [entry.quota for entry in sandbox.account.log.entries] == [0]
    assert sandbox.account.request_count == 0


def test_without_a_log_of_consumption_quota_moves_all_the_same() -> None:
    sandbox = Sandbox()
    sandbox.settings.log_consumption = False
    row = sandbox.add_key("x", remain_quota=1000)
    sandbox.begin_call(row, MODEL).end(10, 5)
    assert (quota(row), sandbox.account.log.entries) == ((970, 30), [])


def test_failures_leave_a_row_where_the_operator_wants_them_logged() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    sandbox.settings.log_errors = True
    call = sandbox.begin_call(sandbox.add_key("x", remain_quota=1000), MODEL)
    clock.now += 3.9
    call.abort()
    (entry,) = sandbox.account.log.entries
    assert (entry.type, entry.quota, entry.use_time, entry.created_at) == (5, 0, 3, 1_800_000_003)


def test_batched_updates_show_in_records_later_and_in_usage_at_once(serve: Callable[[Sandbox], Served]) -> None:
    clock = Clock()
    served = serve(Sandbox("gateway-batched", clock=clock))
    sandbox, row = served.sandbox, served.sandbox.add_key("x", remain_quota=600)

    def told() -> tuple[int, int, int]:
        usage = served.as_key(row.key, "/api/usage/token/").json()["data"]
        account = served.client.get("/api/user/self").json()["data"]
        return served.list()[0]["remain_quota"], usage["total_available"], account["quota"]

    call = sandbox.begin_call(row, MODEL)
    assert told() == (600, 100, 50_000_000)
    assert refused(sandbox, row).key == "reserve.key_short"
    clock.now += 5
    assert told() == (100, 100, 49_999_500)
    call.end(10, 5)
    assert served.client.get("/api/log/self").json()["data"]["total"] == 1
    assert told() == (100, 570, 49_999_500)
    clock.now += 5
    assert told() == (570, 570, 49_999_970)
    assert sandbox.account.used_quota == 30
