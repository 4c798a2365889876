"""Each fault of the API, on real sockets, against a create: what is told, how often it was sent, what exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from comet_mcp.api.models import TokenPage
from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Pending
from comet_mcp.domain.key import Key
from comet_mcp.errors import APIError
from comet_mcp.journal.operations import Watermark
from comet_mcp.sandbox import DIALECTS, FAULTS
from comet_mcp.services.listing import NewestKeys
from tests.e2e.steps import code_of, creating, let_pass, list_late_rows, on_each, operations, served, stored, values
from tests.support import Home, data_of, error_of, text_of

pytestmark = pytest.mark.fast_time

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {
    "name": "exactly once",
    "remain_quota": 500_000,
    "expired_time": 1_900_000_000,
    "allow_ips": "198.51.100.10\n2001:db8::/32",
}
SETTLED = 61
"""Seconds after which a create without a row counts as not made."""
DEAD = 31
"""Seconds after which a create in flight has no server any more."""

CREATED, UNKNOWN, NO_ID, AMBIGUOUS = "", "create_outcome_unknown", "created_id_unknown", "create_ambiguous"


@dataclass(frozen=True)
class Case:
    """One fault of a create. `timeout` is short where the outcome takes all the time there is."""

    fault: str
    outcome: str
    rows: int
    value: str | None = None
    timeout: str = "10"
    warned: bool = False
    """Whether the answer says that the API refused what it has done."""

    def __str__(self) -> str:
        return f"{self.fault}={self.value}" if self.value else self.fault


CASES = [
    Case("latency", CREATED, 1, "0.3"),
    Case("hang", UNKNOWN, 0, timeout="4"),
    Case("hang_after", CREATED, 1, timeout="6"),
    Case("reset_before", UNKNOWN, 0, timeout="4"),
    Case("reset_after", CREATED, 1),
    Case("status", UNKNOWN, 0, timeout="4"),
    Case("status", UNKNOWN, 0, "503", timeout="4"),
    Case("status", UNKNOWN, 0, "408", timeout="4"),
    Case("status", "refused", 0, "400"),
    Case("status", "refused", 0, "413"),
    Case("status", "unauthorized", 0, "401"),
    Case("status", "no_such_call", 0, "404"),
    Case("status_after", CREATED, 1),
    Case("status_after", CREATED, 1, "504"),
    Case("rate_limit", "rate_limited", 0),
    Case("rate_limit", "rate_limited", 0, "180"),
    Case("page", UNKNOWN, 0, timeout="4"),
    Case("page", UNKNOWN, 0, "401", timeout="4"),
    Case("html", UNKNOWN, 0, timeout="4"),
    Case("html_after", CREATED, 1),
    Case("garbage", CREATED, 1),
    Case("truncated", CREATED, 1),
    Case("empty_after", CREATED, 1),
    Case("wrong_json", CREATED, 1),
    Case("refused", "refused", 0, "the moon is in the wrong house"),
    Case("refused", "too_many_keys", 0, "已达到最大令牌数量上限 (1000)"),
    Case("drip", CREATED, 1, timeout="6"),
    Case("huge", CREATED, 1, "9"),
    Case("gzip_bomb", CREATED, 1, "32"),
    Case("redirect", "no_usable_answer", 0),
    Case("redirect", "no_usable_answer", 0, "http://127.0.0.1:9/api/token/"),
    Case("normalise", CREATED, 1),
    Case("duplicate", AMBIGUOUS, 2),
    Case("late", CREATED, 1, "0.5"),
    Case("late", NO_ID, 1, "600", timeout="4"),
    Case("create_with_id", CREATED, 1),
    Case("json_status_after", CREATED, 1, warned=True),
    Case("json_status_after", CREATED, 1, "499", warned=True),
    Case("rate_limit_after", CREATED, 1, warned=True),
    Case("refused_after", CREATED, 1, "no", warned=True),
    Case("echo", "refused", 0),
    Case("echo_after", CREATED, 1),
    Case("deferred", CREATED, 1, "0.5"),
    Case("deferred_reset", CREATED, 1, "0.5"),
]
ELSEWHERE = {"wrong_key"}
"""Faults that a create can't have."""


def test_the_table_has_every_fault_of_the_sandbox() -> None:
    assert {case.fault for case in CASES} == set(FAULTS) - ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_whatever_happens_to_a_create_it_is_sent_once_and_its_outcome_told(home: Home, case: Case) -> None:
    home.extra["COMETAPI_MCP_TIMEOUT"] = case.timeout
    home.sandbox.add_key("older")
    home.sandbox.faults.add("create", case.fault, value=case.value)
    async with served(home) as client:
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) == case.outcome, text_of(result)
        assert home.sandbox.count("create") == 1
        assert [row.name for row in home.sandbox.keys] == ["older", *[BODY["name"]] * case.rows]
        made = home.sandbox.keys[1:]
        if case.outcome == CREATED:
            assert data_of(result)["id"] == made[0].id
            assert "secret" in data_of(result)
            assert ("made the key all the same" in str(data_of(result).get("warnings"))) is case.warned
            assert case.warned or "warnings" not in data_of(result)
            assert operations(home) == [("stored", made[0].id)]
            assert stored(home) == [f"sk-{made[0].key}"]
        else:
            assert home.key_files == []
        await _nothing_is_made_twice(home, case)


async def _nothing_is_made_twice(home: Home, case: Case) -> None:
    """Lists afterwards, now and after a while, by another server: no key appears, and every stored one is right."""
    home.sandbox.faults.clear()
    async with served(home) as client:
        notes = data_of(await client.call_tool("list_api_keys")).get("notes", [])
        assert all("still unclear" in note or "does not list it yet" in note for note in notes)
        assert bool(notes) == (case.outcome in (UNKNOWN, NO_ID)), notes
        if case.outcome not in (UNKNOWN, NO_ID):
            return
        list_late_rows(home)
        let_pass(home, SETTLED)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert ("made no key" in note) == (case.rows == 0), note
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert home.sandbox.count("create") == 1
    assert stored(home) == [f"sk-{row.key}" for row in home.sandbox.keys[1:]]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_lost_answer_is_made_good_in_every_release(make_home: MakeHome, dialect: str) -> None:
    home = make_home(dialect=dialect)
    home.sandbox.faults.add("create", "reset_after")
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", {**BODY, "cross_group_retry": True}))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert stored(home) == values(home)


# Whether the create's answer came or not, the list that would show the row fails.

LISTS = ["hang", "reset_before", "status", "rate_limit", "html", "garbage", "wrong_json", "refused", "redirect"]
ANSWERS = {"reset_after": UNKNOWN, "": NO_ID}


@pytest.mark.parametrize("fault", LISTS)
@pytest.mark.parametrize("dialect", ["documented", "gateway"])
async def test_a_key_that_no_list_shows_is_found_and_stored_by_a_later_list(
    make_home: MakeHome, dialect: str, fault: str
) -> None:
    """Whether its create was answered or not."""
    answered, unanswered = (make_home(dialect=dialect, COMETAPI_MCP_TIMEOUT="8") for _ in range(2))

    async def check(home: Home) -> None:
        await _create_unlisted(home, "reset_after" if home is unanswered else "", fault)

    await on_each([answered, unanswered], check)


async def _create_unlisted(home: Home, create: str, fault: str) -> None:
    if create:
        home.sandbox.faults.add("create", create)
    home.sandbox.faults.add("list", fault, times=1000, after=1)
    async with served(home) as client:
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) == ANSWERS[create], text_of(result)
        assert "list_api_keys" in error_of(result)
        assert "o not create it again" in error_of(result)
        assert (home.sandbox.count("create"), len(home.sandbox.keys), stored(home)) == (1, 1, [])
        home.sandbox.faults.clear()
        let_pass(home, DEAD)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert str(home.key_files[0]) in note
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


@pytest.mark.parametrize("create", ANSWERS)
async def test_a_key_that_no_list_shows_is_found_by_an_equal_create_at_once(home: Home, create: str) -> None:
    home.extra["COMETAPI_MCP_TIMEOUT"] = "4"
    if create:
        home.sandbox.faults.add("create", create)
    home.sandbox.faults.add("list", "status", times=1000, after=1)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == ANSWERS[create]
        home.sandbox.faults.clear()
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert home.sandbox.count("create") == 1
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert any("earlier call" in warning for warning in key["warnings"])
    assert stored(home) == values(home)


@pytest.mark.parametrize("fault", LISTS)
async def test_a_list_that_fails_before_the_create_means_that_nothing_is_sent(make_home: MakeHome, fault: str) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("list", fault, times=1000)
    async with served(home) as client:
        assert (await client.call_tool("create_api_key", BODY)).is_error
    assert (home.sandbox.count("create"), home.sandbox.keys, home.key_files) == (0, [], [])
    assert operations(home) == []


async def test_a_list_that_fails_once_after_the_create_is_asked_again(home: Home) -> None:
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "status", after=1, times=2)
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


# The key exists, and its value can't be read or not yet.

REVEALS = [
    "hang",
    "hang_after",
    "reset_before",
    "reset_after",
    "status",
    "rate_limit",
    "html",
    "garbage",
    "truncated",
    "empty_after",
    "wrong_json",
    "refused",
    "redirect",
]


@pytest.mark.parametrize("fault", REVEALS)
async def test_a_value_that_cannot_be_revealed_is_told_and_saved_later(make_home: MakeHome, fault: str) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("reveal", fault)
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
        (row,) = home.sandbox.keys
        assert key["id"] == row.id
        assert "secret" not in key
        (warning,) = key["warnings"]
        assert f"save_api_key with id {row.id}" in warning
        assert "Do not create the key again" in warning
        assert operations(home) == [("unstored", row.id)]
        home.sandbox.faults.clear()
        saved = data_of(await client.call_tool("save_api_key", {"id": row.id}))
    assert saved["secret"]["path"] == str(home.key_files[0])
    assert operations(home) == [("stored", row.id)]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


async def test_a_key_whose_value_was_not_stored_is_told_by_lists_until_it_is(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("reveal", "status")
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
        let_pass(home, DEAD)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert f"save_api_key with id {key['id']}" in note
        data_of(await client.call_tool("save_api_key", {"id": key["id"]}))
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))


async def test_a_key_whose_value_was_not_stored_is_not_told_once_it_is_deleted(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("reveal", "status")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
        let_pass(home, DEAD)
        home.sandbox.keys.clear()
        await client.call_tool("list_api_keys")
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))


async def test_no_key_is_made_while_the_calls_that_reveal_values_are_used_up(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    async with served(home) as client:
        for number in range(20):
            data_of(await client.call_tool("create_api_key", {"name": f"key {number}"}))
        assert home.sandbox.count("reveal") == 20
        assert code_of(await client.call_tool("create_api_key", BODY)) == "rate_limited"
    assert (home.sandbox.count("create"), len(home.key_files)) == (20, 20)


async def test_an_answer_with_the_keys_id_is_used_even_where_the_key_cannot_be_read(home: Home) -> None:
    home.extra["COMETAPI_MCP_TIMEOUT"] = "4"
    home.sandbox.faults.add("create", "create_with_id")
    home.sandbox.faults.add("get", "status", times=100)
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert stored(home) == values(home)


# What the API changes without a word.


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"name": " Trimmed "}, 'name was sent as " Trimmed " and stored as "Trimmed"'),
        (
            {"name": "limits", "model_limits_enabled": True, "model_limits": "GPT-4o,gpt-4.1-mini"},
            'model_limits was sent as "GPT-4o,gpt-4.1-mini" and stored as "gpt-4o,gpt-4.1-mini"',
        ),
    ],
)
async def test_a_key_that_the_api_changed_is_named_as_a_candidate_and_never_taken_on_its_name_alone(
    make_home: MakeHome, wanted: dict[str, Any], named: str
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="8")
    home.sandbox.faults.add("create", "normalise")
    async with served(home) as client:
        result = await client.call_tool("create_api_key", wanted)
        assert code_of(result) == NO_ID
        assert f"Key 1 has that name but differs: {named}" in error_of(result)
        assert "Do not create it again" in error_of(result)
        let_pass(home, SETTLED)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "may have made key 1, which has that name but other settings" in note
        saved = data_of(await client.call_tool("save_api_key", {"id": 1}))
    assert saved["secret"]["path"] == str(home.key_files[0])
    assert home.sandbox.count("create") == 1


async def test_what_releases_are_known_to_change_is_no_difference_and_is_told(home: Home) -> None:
    """Measured: `cross_group_retry` is false unless the group is auto, and null addresses are ""."""
    async with served(home) as client:
        key = data_of(
            await client.call_tool("create_api_key", {"name": "x", "cross_group_retry": True, "group": "vip"})
        )
    (row,) = home.sandbox.keys
    assert key["id"] == row.id
    told = "cross_group_retry was sent as true and stored as false" in " ".join(key.get("warnings", []))
    assert told is (not row.cross_group_retry)


async def test_another_persons_key_of_nearly_the_same_name_is_never_handed_out(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="8")
    home.sandbox.faults.add("create", "late", value="600")
    async with served(home) as client:
        async with creating(client, BODY, lambda: home.sandbox.keys) as results:
            home.sandbox.add_key(**BODY | {"name": "Exactly-Once"})
            home.sandbox.add_key(**BODY | {"remain_quota": 1})
        assert code_of(results[0]) == NO_ID
        assert "Key 3 has that name but differs: remain_quota was sent as 500000" in error_of(results[0])
        list_late_rows(home)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
    assert "Key 1 " in note
    assert stored(home) == [f"sk-{home.sandbox.keys[0].key}"]


# A refusal that came after the key was made.

REFUSALS = [("refused", None), ("status", "400"), ("status", "409"), ("rate_limit", "180"), ("status", "499")]


@pytest.fixture
def refused_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[Home], None]:
    """Lets a refusal of a create come from a proxy, behind which the API has made the key all the same."""

    def arrange(home: Home) -> None:
        take = home.sandbox.faults.take

        def took(call: str) -> Any:
            fault = take(call)
            if call == "create" and fault is not None:
                home.sandbox.add_key(**BODY)
            return fault

        monkeypatch.setattr(home.sandbox.faults, "take", took)

    return arrange


@pytest.mark.parametrize(("fault", "value"), REFUSALS)
async def test_a_refusal_that_came_after_the_key_was_made_ends_as_created_with_a_warning(
    make_home: MakeHome, refused_after: Callable[[Home], None], fault: str, value: str | None
) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    refused_after(home)
    home.sandbox.faults.add("create", fault, value=value)
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
        assert "it refused the create, and made the key all the same" in " ".join(key["warnings"])
        assert code_of(await client.call_tool("create_api_key", BODY)) == "policy", "it is counted"
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


@pytest.mark.parametrize(("fault", "value"), REFUSALS)
async def test_a_refusal_is_believed_where_no_equal_row_is_there_and_nothing_is_counted(
    make_home: MakeHome, fault: str, value: str | None
) -> None:
    home = make_home(COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    home.sandbox.faults.add("create", fault, value=value)
    async with served(home) as client:
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) in ("refused", "rate_limited")
        assert operations(home) == [("not_done", None)]
        data_of(await client.call_tool("create_api_key", BODY))
    assert len(home.sandbox.keys) == 1


async def test_a_refusal_behind_which_nobody_can_look_is_unknown_and_stays_counted(
    make_home: MakeHome, refused_after: Callable[[Home], None]
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4", COMETAPI_MCP_POLICY_MAX_KEYS_TOTAL="1")
    refused_after(home)
    home.sandbox.faults.add("create", "refused", value="no")
    home.sandbox.faults.add("list", "status", times=1000, after=1)
    async with served(home) as client:
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) == UNKNOWN
        assert "Do not create it again now" in error_of(result)
        home.sandbox.faults.clear()
        assert code_of(await client.call_tool("create_api_key", BODY | {"name": "another"})) == "policy"
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert str(home.key_files[0]) in note
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


# The API carries a create out long after it was sent.


async def test_a_create_that_is_carried_out_after_it_was_given_up_is_recognised_within_a_day(
    make_home: MakeHome,
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "reset_before")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == UNKNOWN
        let_pass(home, SETTLED)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "made no key" in note
        home.sandbox.add_key(**BODY)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "Key 1 " in note
        assert str(home.key_files[0]) in note
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert stored(home) == values(home)


async def test_of_two_normalised_keys_none_is_taken_and_later_none_is_said_to_be_missing(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "duplicate")
    home.sandbox.faults.add("list", "status", times=1000, after=1)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", {**BODY, "name": " Trimmed "})) == NO_ID
        _trim_names(home)
        home.sandbox.faults.clear()
        let_pass(home, SETTLED)
        notes = " ".join(data_of(await client.call_tool("list_api_keys"))["notes"])
    assert "made no key" not in notes
    assert home.key_files == []


async def test_a_normalised_key_whose_create_went_unanswered_is_a_candidate_that_answer_and_list_name(
    make_home: MakeHome,
) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "reset_after")
    home.sandbox.faults.add("list", "latency", value="0.5", after=1)
    async with served(home) as client:
        async with creating(client, {**BODY, "name": " Trimmed "}, lambda: home.sandbox.keys) as results:
            _trim_names(home)
        (row,) = home.sandbox.keys
        assert code_of(results[0]) == UNKNOWN
        assert f"Key {row.id} has that name but differs" in error_of(results[0])
        let_pass(home, SETTLED)
        notes = " ".join(data_of(await client.call_tool("list_api_keys"))["notes"])
        assert "made no key" not in notes
        assert f"{row.id}" in notes
    assert (home.sandbox.count("create"), home.key_files) == (1, [])


def _trim_names(home: Home) -> None:
    for row in home.sandbox.keys:
        row.name = row.name.strip()


async def test_where_two_equal_keys_appear_both_ids_are_named_and_no_value_is_stored(home: Home) -> None:
    home.sandbox.faults.add("create", "duplicate")
    async with served(home) as client:
        result = await client.call_tool("create_api_key", BODY)
        assert code_of(result) == AMBIGUOUS
        one, other = home.sandbox.keys
        assert f"{one.id}, {other.id}" in error_of(result)
        assert home.key_files == []
        # it is told once; afterwards a new key is a new wish
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert key["id"] not in (one.id, other.id)
    assert home.sandbox.count("create") == 2


async def test_an_equal_key_that_was_there_before_is_never_taken_for_the_new_one(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.add_key(**BODY)
    home.sandbox.faults.add("create", "reset_before")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == UNKNOWN
        let_pass(home, SETTLED)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert "made no key" in note
    assert home.key_files == []


async def test_a_new_key_is_found_behind_many_that_others_made_meanwhile(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="8")
    home.sandbox.faults.add("create", "hang_after")
    async with served(home) as client, creating(client, BODY, lambda: home.sandbox.keys) as results:
        for number in range(130):
            home.sandbox.add_key(f"somebody's {number}")
    assert data_of(results[0])["id"] == home.sandbox.keys[0].id
    assert stored(home) == [f"sk-{home.sandbox.keys[0].key}"]


# An unclear create that made no key.


async def test_an_equal_create_waits_until_it_is_known_that_the_unclear_one_made_none(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    home.sandbox.faults.add("create", "reset_before")
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == UNKNOWN
        again = await client.call_tool("create_api_key", {**BODY, "remain_quota": 500_000})
        assert code_of(again) == UNKNOWN
        assert "Nothing was sent now" in error_of(again)
        assert home.sandbox.count("create") == 1
        other = data_of(await client.call_tool("create_api_key", {**BODY, "name": "another"}))
        let_pass(home, SETTLED)
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [other["id"], key["id"]]
    assert home.sandbox.count("create") == 3
    assert stored(home) == values(home)


# Requests that were refused for their rate, or never left.


async def test_a_create_refused_for_its_rate_is_sent_again_after_the_time_the_api_names(home: Home) -> None:
    home.sandbox.faults.add("create", "rate_limit", value="1")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert (home.sandbox.count("create"), stored(home)) == (2, values(home))


async def test_an_api_that_refuses_every_create_with_no_time_to_wait_is_not_hammered(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="5")
    home.sandbox.faults.add("create", "rate_limit", value="0", times=10_000)
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "rate_limited"
    assert home.sandbox.count("create") <= 10
    assert home.sandbox.keys == []


async def test_a_create_whose_repetition_is_lost_is_not_sent_a_third_time(home: Home) -> None:
    home.sandbox.faults.add("create", "rate_limit", value="1")
    home.sandbox.faults.add("create", "reset_after")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert (home.sandbox.count("create"), stored(home)) == (2, values(home))


async def test_without_a_server_nothing_is_sent_and_the_next_create_works(home: Home) -> None:
    url = home.url
    home.url = "http://127.0.0.1:9"  # nothing listens there: a low port, which nobody gets by chance
    async with served(home) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "unreachable"
    assert operations(home) == []
    home.url = url
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert home.sandbox.count("create") == 1


class _Unconnected(httpx.AsyncHTTPTransport):
    """Makes no connection for the first creates."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == "/api/token/" and self.times:
            self.times -= 1
            raise httpx.ConnectError("refused", request=request)
        return await super().handle_async_request(request)


async def test_a_create_that_never_left_is_sent_again(home: Home) -> None:
    async with served(home, transport=_Unconnected(2)) as client:
        data_of(await client.call_tool("create_api_key", BODY))
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


async def test_a_create_that_can_never_leave_is_told_as_not_made(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="4")
    async with served(home, transport=_Unconnected(1000)) as client:
        assert code_of(await client.call_tool("create_api_key", BODY)) == "unreachable"
        assert "notes" not in data_of(await client.call_tool("list_api_keys"))
    assert (home.sandbox.count("create"), home.sandbox.keys, home.key_files) == (0, [], [])


# The same by a real client of a real process.


@pytest.mark.long
@pytest.mark.real_time
@pytest.mark.parametrize(("fault", "dialect"), [("hang_after", "documented"), ("reset_after", "gateway")])
async def test_a_real_server_process_makes_good_a_lost_answer(make_home: MakeHome, fault: str, dialect: str) -> None:
    home = make_home(dialect=dialect, COMETAPI_MCP_TIMEOUT="5")
    home.sandbox.faults.add("create", fault)
    async with home.client() as client:
        key = data_of(await client.call_tool("create_api_key", BODY))
    assert [row.id for row in home.sandbox.keys] == [key["id"]]
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


@pytest.mark.long
@pytest.mark.real_time
async def test_what_one_server_process_left_unclear_the_next_one_settles(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEOUT="6")
    async with home.client() as client:
        await client.call_tool("list_api_keys")  # so that the API's time is known, and the create lists once before it
        await anyio.sleep(0.3)  # until that list is too old to be what the create looks at
        home.sandbox.faults.add("create", "reset_after")
        home.sandbox.faults.add("list", "reset_before", times=1000, after=1)
        assert code_of(await client.call_tool("create_api_key", BODY)) == UNKNOWN
    home.sandbox.faults.clear()
    home.extra.clear()
    async with home.client() as client:
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
    assert str(home.key_files[0]) in note
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


class _FailsOnce:
    """An API whose first list fails."""

    def __init__(self) -> None:
        self.lists = 0

    async def list_tokens(self, _page: int, _page_size: int, *, seconds: float | None = None) -> TokenPage:
        del seconds
        self.lists += 1
        await anyio.lowlevel.checkpoint()
        if self.lists == 1:
            raise APIError("The first list fails.")
        return TokenPage(items=[Key(id=7)])


async def test_who_waited_for_a_list_that_failed_is_not_told_that_there_are_no_keys() -> None:
    newest = NewestKeys(_FailsOnce(), SYSTEM, Pending())  # type: ignore[arg-type]
    seen: list[list[int] | str] = []

    async def ask() -> None:
        try:
            seen.append([row.id for row in await newest.above(Watermark(0), 1)])
        except APIError as error:
            seen.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        group.start_soon(ask)
    assert seen[0] == "[api_error] The first list fails."
    assert seen[1] in ([7], seen[0])
