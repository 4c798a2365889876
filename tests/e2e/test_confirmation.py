"""A person confirms what changes something: protocol era x client capability x mode x answer."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from time import time
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
)

from comet_mcp.clock import SYSTEM
from comet_mcp.confirmation import asking as confirmation
from comet_mcp.server import TOOLS
from tests.e2e.life import body_of
from tests.e2e.steps import code_of, served, started
from tests.e2e.test_audit import brief, trail, verified
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

LEGACY, MODERN = "legacy", "2026-07-28"
ERAS = [LEGACY, MODERN]
CALLS: dict[str, dict[str, Any]] = {
    "create_api_key": {"name": "new", "remain_quota": 2_500_000},
    "update_api_key": {"id": 1, "name": "renamed"},
    "delete_api_key": {"id": 1},
    "rotate_api_key": {"id": 1, "old_key": "delete"},
    "save_api_key": {"id": 1},
}
ASKED_FOR = {"never": set(), "destructive": {"update_api_key", "delete_api_key", "rotate_api_key"}, "writes": {*CALLS}}
YES = ElicitResult(action="accept", content={"confirm": True})
NOES = {
    "unticked": (ElicitResult(action="accept", content={"confirm": False}), "confirmation_unticked"),
    "empty": (ElicitResult(action="accept", content={}), "confirmation_unticked"),
    "a word for yes": (ElicitResult(action="accept", content={"confirm": "true"}), "confirmation_unticked"),
    "without content": (ElicitResult(action="accept"), "confirmation_unticked"),
    "decline": (ElicitResult(action="decline"), "confirmation_declined"),
    "decline with a tick": (ElicitResult(action="decline", content={"confirm": True}), "confirmation_declined"),
    "cancel": (ElicitResult(action="cancel"), "confirmation_cancelled"),
}


@dataclass
class Person:
    """Answers every question alike, and remembers what was asked. `meanwhile` happens before the answer."""

    answer: ElicitResult | ErrorData = field(default_factory=lambda: YES)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, _context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        assert isinstance(params, ElicitRequestFormParams)
        assert list(params.requested_schema["properties"]) == ["confirm"]
        assert params.requested_schema["properties"]["confirm"]["type"] == "boolean"
        self.asked.append(params.message)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.answer


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


@pytest.fixture(autouse=True)
def quick_person(monkeypatch: pytest.MonkeyPatch) -> float:
    """A person who answers at once, which nobody else does. Returns the time that a real one takes at least."""
    seconds = confirmation.QUICKEST_PERSON
    monkeypatch.setattr(confirmation, "QUICKEST_PERSON", 0.0)
    return seconds


@pytest.fixture
def make(make_home: MakeHome) -> MakeHome:
    """Makes homes with one key in the account, "old" with $2.00 left of $3.00, and a mode."""

    def make(confirm: str = "writes", **extra: str) -> Home:
        home = make_home(COMETAPI_MCP_CONFIRM=confirm, **extra)
        home.sandbox.add_key("old", remain_quota=1_000_000, used_quota=500_000)
        return home

    return make


def state(home: Home) -> tuple[list[dict[str, Any]], int]:
    """All that a call could have changed: the account's keys and the key files."""
    return [asdict(row) for row in home.sandbox.keys], len(home.key_files)


def used(home: Home) -> int:
    """How many answers have served."""
    with closing(sqlite3.connect(home.state)) as db:
        count: int = db.execute("SELECT count(*) FROM answered").fetchone()[0]
        return count


async def ask(client: Client, tool: str, arguments: dict[str, Any]) -> InputRequiredResult:
    """Call, in the newer era, and take the question without answering it."""
    result = await client.session.call_tool(tool, arguments, allow_input_required=True)
    assert isinstance(result, InputRequiredResult), result
    return result


async def answer(
    client: Client,
    tool: str,
    arguments: dict[str, Any],
    request_state: str | None,
    given: ElicitResult | None = YES,
) -> CallToolResult:
    """Repeat a call with an answer."""
    result = await client.session.call_tool(
        tool,
        arguments,
        request_state=request_state,
        input_responses=None if given is None else {"confirm": given},
        allow_input_required=True,
    )
    assert isinstance(result, CallToolResult), result
    return result


# Who is asked, and what.


@pytest.mark.parametrize("mode", ["never", "destructive", "writes"])
async def test_a_person_is_asked_once_for_each_call_of_the_mode_and_for_no_other(
    make: MakeHome, era: str, mode: str
) -> None:
    for tool, arguments in CALLS.items():
        home, person = make(mode), Person()
        async with served(home, mode=era, elicitation_callback=person) as client:
            data_of(await client.call_tool("list_api_keys"))
            data_of(await client.call_tool(tool, arguments))
        asked = tool in ASKED_FOR[mode]
        assert len(person.asked) == asked, (tool, person.asked)
        assert used(home) == asked
        assert trail(home)[-1].get("confirmation") == ("confirmed" if asked else None)


def test_every_tool_that_changes_something_is_in_the_matrix() -> None:
    elsewhere = {"tidy_api_keys"}  # one question for many keys: tests/e2e/test_tidy.py
    assert {tool.name for tool in TOOLS if tool.writes} == {*CALLS, *elsewhere}
    assert {tool.name for tool in TOOLS if tool.destructive} == ASKED_FOR["destructive"] | elsewhere


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("create_api_key", CALLS["create_api_key"], ['"new"', "up to $5.00", "never expires", "every model"]),
        (
            "create_api_key",
            {"name": "n", "unlimited_quota": True, "expired_time": 1_900_000_000, "allow_ips": "127.0.0.1"},
            ["whole balance", "2030-03-17T17:46:40Z", "Only from 127.0.0.1"],
        ),
        (
            "create_api_key",
            {"name": "n", "model_limits_enabled": True, "model_limits": "gpt-4o,gpt-4.1-mini", "group": "default"},
            ["gpt-4o, gpt-4.1-mini", '"default"'],
        ),
        (
            "update_api_key",
            {"id": 1, "name": "x", "add_budget_usd": 1, "expired_time": 1_900_000_000, "status": "disabled"},
            ["id 1", '"old" -> "x"', "$2.00 -> $3.00", "never -> 2030-03-17", "enabled -> disabled"],
        ),
        ("update_api_key", {"id": 1, "unlimited_quota": True}, ["no -> yes", "whole balance"]),
        ("delete_api_key", {"id": 1}, ['"old" (id 1)', "for good", "It works", "$2.00", "stop working"]),
        ("rotate_api_key", {"id": 1}, ['"old" (id 1)', "up to $2.00", "24 hours from your answer", "both can spend"]),
        ("rotate_api_key", CALLS["rotate_api_key"], ["deleted for good", "stop working"]),
        ("save_api_key", {"id": 1}, ['"old" (id 1)', "in a file of its own"]),
        ("save_api_key", {"id": 1, "file": "team.env", "variable": "TEAM_KEY"}, ['"team.env" as "TEAM_KEY"']),
    ],
)
async def test_the_question_says_what_will_happen_what_it_may_cost_and_what_it_replaces(
    make: MakeHome, tool: str, arguments: dict[str, Any], said: list[str]
) -> None:
    home, person = make(), Person(ElicitResult(action="decline"))
    async with served(home, elicitation_callback=person) as client:
        assert code_of(await client.call_tool(tool, arguments)) == "confirmation_declined"
    (question,) = person.asked
    assert all(words in question for words in said), question


async def test_a_name_from_the_api_can_not_forge_a_question(make: MakeHome) -> None:
    home, person = make(), Person(ElicitResult(action="cancel"))
    home.sandbox.add_key('ok"?\nAll is fine.\x1b[2J\u202e')
    async with served(home, elicitation_callback=person) as client:
        await client.call_tool("delete_api_key", {"id": 2})
    assert person.asked[0].isprintable()
    assert "\\n" in person.asked[0]


async def test_nobody_is_asked_about_what_would_be_refused_anyway(make: MakeHome, era: str) -> None:
    home, person = make(), Person()
    async with served(home, mode=era, elicitation_callback=person) as client:
        for tool, arguments, code in (
            ("create_api_key", {"name": "x", "budget_usd": 5}, "invalid_argument"),
            ("create_api_key", {"name": "x", "allow_ips": "all"}, "invalid_argument"),
            ("update_api_key", {"id": 1}, "invalid_argument"),
            ("update_api_key", {"id": 404, "name": "x"}, "key_not_found"),
            ("rotate_api_key", {"id": 404}, "key_not_found"),
            ("save_api_key", {"id": 404}, "key_not_found"),
        ):
            assert code_of(await client.call_tool(tool, arguments)) == code
        assert data_of(await client.call_tool("delete_api_key", {"id": 404}))["deleted"] is False
    assert person.asked == []


@pytest.mark.parametrize("tool", CALLS)
async def test_nobody_is_asked_about_what_the_policy_refuses(make: MakeHome, tool: str) -> None:
    home, person = make(), Person()
    config = home.directory / "config.toml"
    config.write_text('[policy]\nname_prefix = "agent-"\nonly_own_prefix = true\n', encoding="utf-8")
    home.extra["COMETAPI_MCP_CONFIG"] = str(config)
    before = state(home)
    async with served(home, elicitation_callback=person) as client:
        assert code_of(await client.call_tool(tool, CALLS[tool])) == "policy"
    assert (person.asked, state(home)) == ([], before)


# Answers.


@pytest.mark.parametrize("tool", CALLS)
@pytest.mark.parametrize("given", NOES)
async def test_any_answer_but_yes_changes_nothing_and_says_so(make: MakeHome, era: str, tool: str, given: str) -> None:
    home, (said, code) = make(), NOES[given]
    before, person = state(home), Person(said)
    async with served(home, mode=era, elicitation_callback=person) as client:
        result = await client.call_tool(tool, CALLS[tool])
    assert code_of(result) == code
    assert "Nothing was done" in error_of(result)
    assert state(home) == before
    assert {request.method for request in home.sandbox.requests} <= {"GET"}
    assert len(person.asked) == 1
    assert (brief(home)[-1][1], trail(home)[-1]["confirmation"]) == (code, code.removeprefix("confirmation_"))


@pytest.mark.parametrize("given", ["decline", "cancel"])
async def test_a_no_that_comes_at_once_is_the_clients_and_not_said_of_a_person(
    make: MakeHome, era: str, given: str, quick_person: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "QUICKEST_PERSON", 60 * quick_person)  # no machine is as slow as that
    home = make()
    before = state(home)
    async with served(home, mode=era, elicitation_callback=Person(NOES[given][0])) as client:
        said = error_of(await client.call_tool("delete_api_key", {"id": 1}))
    assert said.startswith(
        "[confirmation_unasked] The client declined without asking a person, or nobody could be asked"
    )
    assert "No person has said no. Nothing was done" in said
    assert state(home) == before
    assert trail(home)[-1]["confirmation"] == "unasked"


@pytest.mark.fast_time
@pytest.mark.parametrize("given", ["decline", "cancel"])
async def test_a_no_that_took_as_long_as_a_person_needs_is_the_persons(
    make: MakeHome, era: str, given: str, quick_person: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "QUICKEST_PERSON", quick_person)
    answer_, code = NOES[given]
    person = Person(answer_, meanwhile=lambda: anyio.sleep(quick_person + 0.2))
    async with served(make(), mode=era, elicitation_callback=person) as client:
        assert code_of(await client.call_tool("delete_api_key", {"id": 1})) == code


async def test_accepting_without_the_tick_asks_for_the_tick_and_the_call_may_be_repeated(
    make: MakeHome, era: str
) -> None:
    home, person = make(), Person(NOES["unticked"][0])
    async with served(home, mode=era, elicitation_callback=person) as client:
        said = error_of(await client.call_tool("delete_api_key", {"id": 1}))
        assert "the box ticked, or True or Yes chosen" in said
        assert "call again" in said
        person.answer = YES
        assert data_of(await client.call_tool("delete_api_key", {"id": 1}))["deleted"]


@pytest.mark.parametrize("mode", ["destructive", "writes"])
@pytest.mark.parametrize("tool", CALLS)
async def test_a_client_that_can_not_ask_gets_a_readable_refusal(
    make: MakeHome, era: str, mode: str, tool: str
) -> None:
    home = make(mode)
    before = state(home)
    async with served(home, mode=era) as client:
        result = await client.call_tool(tool, CALLS[tool])
        data_of(await client.call_tool("get_api_key", {"id": 1}))
    if tool in ASKED_FOR[mode]:
        assert code_of(result) == "confirmation_needed"
        said = error_of(result)  # the situation first; the agent is not told how the guard is switched off
        assert said.index("The user has to confirm") < said.index("Tell the user") < said.index("COMETAPI_MCP_CONFIRM")
        assert said.endswith("COMETAPI_MCP_CONFIRM and COMETAPI_MCP_CONFIRM_FALLBACK.")
        assert state(home) == before
    else:
        data_of(result)


@pytest.mark.parametrize("tool", CALLS)
async def test_with_the_fallback_allow_a_client_that_can_not_ask_goes_on_unasked(
    make: MakeHome, era: str, tool: str
) -> None:
    home = make(COMETAPI_MCP_CONFIRM_FALLBACK="allow")
    async with served(home, mode=era) as client:
        data_of(await client.call_tool(tool, CALLS[tool]))
    assert trail(home)[-1]["confirmation"] == "not asked: the client can't"


async def test_the_fallback_is_no_way_around_the_answer_of_a_client_that_can_ask(make: MakeHome, era: str) -> None:
    for said in (ElicitResult(action="decline"), ElicitResult(action="cancel")):
        home = make(COMETAPI_MCP_CONFIRM_FALLBACK="allow")
        before = state(home)
        async with served(home, mode=era, elicitation_callback=Person(said)) as client:
            assert code_of(await client.call_tool("delete_api_key", {"id": 1})).startswith("confirmation_")
        assert state(home) == before


async def test_a_client_that_fails_to_show_the_question_changes_nothing(make: MakeHome) -> None:
    home = make(COMETAPI_MCP_CONFIRM_FALLBACK="allow")
    before = state(home)
    person = Person(ErrorData(code=-32603, message="no window"))
    async with served(home, mode=LEGACY, elicitation_callback=person) as client:
        result = await client.call_tool("delete_api_key", {"id": 1})
    assert code_of(result) == "confirmation_needed"
    assert "Nothing was done" in error_of(result)
    assert state(home) == before


@pytest.mark.parametrize("name", ["confirm", "confirmed", "request_state", "input_responses", "inputResponses"])
async def test_no_argument_stands_in_for_a_person(make: MakeHome, era: str, name: str) -> None:
    home = make()
    before = state(home)
    async with served(home, mode=era, elicitation_callback=Person(ElicitResult(action="decline"))) as client:
        for value in (True, "yes", {"confirm": {"action": "accept", "content": {"confirm": True}}}):
            result = await client.call_tool("delete_api_key", {"id": 1, name: value})
            assert code_of(result) == "invalid_argument"
    assert state(home) == before


# The key changes while the person reads.


@pytest.mark.parametrize("tool", ["update_api_key", "delete_api_key", "rotate_api_key", "save_api_key"])
@pytest.mark.parametrize("change", [{"name": "not old"}, {"status": 2}, {"remain_quota": 9_000_000}, {"group": "vip"}])
async def test_a_yes_about_a_key_that_was_changed_meanwhile_does_nothing(
    make: MakeHome, era: str, tool: str, change: dict[str, Any]
) -> None:
    home = make()

    async def meanwhile() -> None:
        for name, value in change.items():
            setattr(home.sandbox.keys[0], name, value)

    async with served(home, mode=era, elicitation_callback=Person(meanwhile=meanwhile)) as client:
        result = await client.call_tool(tool, CALLS[tool])
    assert code_of(result) == "confirmation_stale", error_of(result)
    assert "Nothing was done" in error_of(result)
    assert {request.method for request in home.sandbox.requests} <= {"GET"}
    assert used(home) == 0


async def test_a_rotation_of_a_key_that_is_made_as_it_was_is_asked_for_anew(make: MakeHome, era: str) -> None:
    home = make()
    (row,) = home.sandbox.keys
    person, late = Person(), {"id": 1, "status": 1, **body_of(row), "name": "renamed"}
    home.sandbox.faults.add("update", "reset_before")
    async with served(home, mode=era, elicitation_callback=person) as client:
        error_of(await client.call_tool("update_api_key", {"id": 1, "name": "renamed"}))
        data_of(await client.call_tool("update_api_key", {"id": 1, "name": "later"}))
        home.sandbox.account.update(late, status_only=False)
        result = await client.call_tool("rotate_api_key", {"id": 1})
        assert code_of(result) == "confirmation_stale"
        assert "was carried out late and undid later ones" in error_of(result)
        assert [key.name for key in home.sandbox.keys] == ["later"]
        data_of(await client.call_tool("rotate_api_key", {"id": 1}))
    assert [('"renamed"' in text, '"later"' in text) for text in person.asked[-2:]] == [(True, False), (False, True)]
    assert [key.name for key in home.sandbox.keys] == ["later", "later"]


@pytest.mark.parametrize("tool", ["update_api_key", "delete_api_key", "rotate_api_key", "save_api_key"])
async def test_what_a_key_spends_while_the_person_reads_does_not_spoil_the_yes(
    make: MakeHome, era: str, tool: str
) -> None:
    home = make()

    async def meanwhile() -> None:
        row = home.sandbox.keys[0]
        row.remain_quota, row.used_quota = row.remain_quota - 10, row.used_quota + 10

    async with served(home, mode=era, elicitation_callback=Person(meanwhile=meanwhile)) as client:
        data_of(await client.call_tool(tool, CALLS[tool]))


# The newer era: the answer comes with a repeated call, and may be anything.


@pytest.mark.parametrize("tool", CALLS)
async def test_an_answer_serves_once(make: MakeHome, tool: str) -> None:
    home = make()
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, tool, CALLS[tool])
        data_of(await answer(client, tool, CALLS[tool], asked.request_state))
        before = state(home)
        for _ in range(2):
            result = await answer(client, tool, CALLS[tool], asked.request_state)
            if tool == "delete_api_key":  # it is gone: there is nothing to do
                assert data_of(result)["deleted"] is False
            else:
                assert code_of(result) in ("confirmation_used", "confirmation_stale", "key_not_found")
            assert state(home) == before


async def test_a_replayed_answer_is_refused_also_where_the_key_looks_as_it_did(make: MakeHome) -> None:
    home = make()
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "create_api_key", CALLS["create_api_key"])
        data_of(await answer(client, "create_api_key", CALLS["create_api_key"], asked.request_state))
        result = await answer(client, "create_api_key", CALLS["create_api_key"], asked.request_state)
        assert code_of(result) == "confirmation_used"
        assert "Nothing was done" in error_of(result)
    assert home.sandbox.count("create") == 1


async def test_of_ten_equal_answers_at_once_one_serves(make: MakeHome) -> None:
    home = make()
    results: list[str] = []
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "create_api_key", CALLS["create_api_key"])

        async def one() -> None:
            results.append(
                code_of(await answer(client, "create_api_key", CALLS["create_api_key"], asked.request_state))
            )

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one)
    assert sorted(results) == ["", *["confirmation_used"] * 9]
    assert home.sandbox.count("create") == 1


@pytest.mark.parametrize("given", ["decline", "cancel", "unticked"])
async def test_after_a_no_the_same_question_takes_no_yes(make: MakeHome, given: str) -> None:
    home = make()
    before = state(home)
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "delete_api_key", {"id": 1})
        said, code = NOES[given]
        assert code_of(await answer(client, "delete_api_key", {"id": 1}, asked.request_state, said)) == code
        assert code_of(await answer(client, "delete_api_key", {"id": 1}, asked.request_state)) == "confirmation_used"
    assert state(home) == before


async def test_an_answer_holds_for_no_other_arguments_and_no_other_tool(make: MakeHome) -> None:
    home = make()
    home.sandbox.add_key("other")
    before = state(home)
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "update_api_key", {"id": 1, "name": "x"})
        for tool, arguments in (
            ("update_api_key", {"id": 2, "name": "x"}),
            ("update_api_key", {"id": 1, "name": "y"}),
            ("update_api_key", {"id": 1, "name": "x", "unlimited_quota": True}),
            ("delete_api_key", {"id": 1}),
            ("create_api_key", {"name": "x"}),
        ):
            result = await answer(client, tool, arguments, asked.request_state)
            assert code_of(result) == "confirmation_invalid"
            assert "Nothing was done" in error_of(result)
        assert state(home) == before
        equal = {"name": "x", "id": 1, "group": None}  # the same, said otherwise
        data_of(await answer(client, "update_api_key", equal, asked.request_state))


async def test_an_altered_state_is_refused(make: MakeHome) -> None:
    home = make()
    before = state(home)
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "delete_api_key", {"id": 1})
        genuine = asked.request_state or ""
        version, _, sealed = genuine.partition(".")
        assert "delete_api_key" not in base64.urlsafe_b64decode(sealed + "==").decode(errors="replace")
        for altered in (
            "",
            "yes",
            "é",
            version,
            f"{version}.",
            sealed,
            f"v2.{sealed}",
            f"{genuine}=",
            f"{genuine}A",
            genuine[:-4],
            ("A" if genuine[0] != "A" else "B") + genuine[1:],
            genuine.replace(".", ".A", 1),
            *(genuine[:at] + ("A" if genuine[at] != "A" else "B") + genuine[at + 1 :] for at in range(3, len(genuine))),
        ):
            result = await answer(client, "delete_api_key", {"id": 1}, altered)
            assert code_of(result) == "confirmation_invalid", altered
        assert state(home) == before
    async with served(home, mode=MODERN, elicitation_callback=Person()) as other:  # another process, another key
        assert code_of(await answer(other, "delete_api_key", {"id": 1}, genuine)) == "confirmation_invalid"
    assert state(home) == before


async def test_an_answer_without_a_question_and_a_question_without_an_answer_change_nothing(make: MakeHome) -> None:
    home = make()
    before = state(home)
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        again = await client.session.call_tool(
            "delete_api_key", {"id": 1}, input_responses={"confirm": YES}, allow_input_required=True
        )
        assert isinstance(again, InputRequiredResult)  # it asks
        result = await answer(client, "delete_api_key", {"id": 1}, again.request_state, None)
        assert code_of(result) == "confirmation_needed"
        assert state(home) == before
        data_of(await answer(client, "delete_api_key", {"id": 1}, again.request_state))


async def test_the_question_holds_one_form_and_no_secret(make: MakeHome) -> None:
    home = make()
    async with served(home, mode=MODERN, elicitation_callback=Person()) as client:
        asked = await ask(client, "save_api_key", {"id": 1})
    (request,) = (asked.input_requests or {}).values()
    assert isinstance(request, ElicitRequest)
    assert home.sandbox.keys[0].key not in asked.model_dump_json()
    assert brief(home) == [("save_api_key", "asked", [1])]


async def test_without_a_journal_that_takes_note_of_it_no_answer_serves(make: MakeHome, era: str) -> None:
    home = make()
    home.state.mkdir(parents=True)
    before = state(home)
    async with served(home, mode=era, elicitation_callback=Person()) as client:
        result = await client.call_tool("delete_api_key", {"id": 1})
    assert code_of(result) == "journal_unavailable"
    assert "nothing was done" in error_of(result)
    assert state(home) == before


# Time.


@pytest.mark.parametrize("after", [299, 301, 1_000_000])
@pytest.mark.parametrize("said", [YES, ElicitResult(action="decline")])
async def test_an_answer_holds_for_five_minutes_by_the_clock(
    make: MakeHome, era: str, monkeypatch: pytest.MonkeyPatch, after: float, said: ElicitResult
) -> None:
    home = make()
    before = state(home)

    async def meanwhile() -> None:
        monkeypatch.setattr(SYSTEM, "_wall", lambda: time() + after)

    async with served(home, mode=era, elicitation_callback=Person(said, meanwhile)) as client:
        result = await client.call_tool("delete_api_key", {"id": 1})
    if after < 300:
        assert code_of(result) == ("" if said is YES else "confirmation_declined")
        return
    assert code_of(result) == "confirmation_timed_out"
    assert "Nothing was done" in error_of(result)
    assert state(home) == before
    assert trail(home)[-1]["confirmation"] == "timed out"


async def test_nobody_is_waited_for_longer_than_an_answer_holds(
    make: MakeHome, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make()
    before = state(home)
    monkeypatch.setattr(confirmation, "ANSWER_WITHIN", 0.3)

    async def meanwhile() -> None:
        await anyio.sleep(1)

    async with served(home, mode=era, elicitation_callback=Person(meanwhile=meanwhile)) as client:
        with anyio.fail_after(20):
            result = await client.call_tool("delete_api_key", {"id": 1})
    assert code_of(result) == "confirmation_timed_out"
    assert "Nothing was done" in error_of(result)
    assert state(home) == before


@pytest.mark.fast_time
async def test_the_time_a_person_takes_does_not_count_against_the_time_of_the_call(make: MakeHome, era: str) -> None:
    home = make(COMETAPI_MCP_TIMEOUT="6")

    async def meanwhile() -> None:
        await anyio.sleep(6.5)

    async with served(home, mode=era, elicitation_callback=Person(meanwhile=meanwhile)) as client:
        assert data_of(await client.call_tool("delete_api_key", {"id": 1}))["deleted"] is True


async def test_other_calls_are_answered_while_a_person_reads(make: MakeHome, era: str) -> None:
    home = make()
    names: list[str] = []
    async with served(home, mode=era) as beside:

        async def meanwhile() -> None:
            names.append(data_of(await beside.call_tool("get_api_key", {"id": 1}))["name"])
            names.append(data_of(await client.call_tool("get_api_key", {"id": 1}))["name"])

        async with served(home, mode=era, elicitation_callback=Person(meanwhile=meanwhile)) as client:
            data_of(await client.call_tool("delete_api_key", {"id": 1}))
    assert names == ["old", "old"]


# Over real stdio.


@pytest.mark.long
@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_a_real_client_that_asks_and_one_that_can_not_both_work_over_stdio(make: MakeHome, era: str) -> None:
    home, person = make(), Person()
    async with home.client(mode=era, elicitation_callback=person) as client:
        key = data_of(await client.call_tool("create_api_key", CALLS["create_api_key"]))
        person.answer, person.meanwhile = ElicitResult(action="decline"), lambda: anyio.sleep(1.1)
        assert code_of(await client.call_tool("delete_api_key", {"id": key["id"]})) == "confirmation_declined"
    async with home.client(mode=era) as client:
        assert code_of(await client.call_tool("delete_api_key", {"id": key["id"]})) == "confirmation_needed"
        assert data_of(await client.call_tool("get_api_key", {"id": key["id"]}))["name"] == "new"
    assert len(person.asked) == 2
    assert len(home.sandbox.keys) == 2
    assert verified(home).fault is None


@pytest.mark.long
def test_the_end_of_input_while_a_person_reads_ends_the_server_and_changes_nothing(make: MakeHome) -> None:
    home = make()
    before = state(home)
    with started(home.environment) as server:
        capabilities: dict[str, Any] = {"elicitation": {}}
        info = {"name": "test", "version": "1"}
        server.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": info})
        server.send("notifications/initialized", notification=True)
        server.start_call("delete_api_key", {"id": 1})
        assert server.process.stdout is not None
        question = json.loads(server.process.stdout.readline())
        assert question["method"] == "elicitation/create"
        assert '"old" (id 1)' in question["params"]["message"]
        server.close()
        assert server.process.returncode == 0
    assert state(home) == before
    assert brief(home) == [("delete_api_key", "confirmation_needed", [1])]
