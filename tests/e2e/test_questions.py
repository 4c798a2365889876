"""What a question says: all that the person would allow, nothing that is not so, and no word of a name's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp_types import ElicitResult

from comet_mcp.clock import SYSTEM
from comet_mcp.confirmation.gate import LONGEST_QUESTION
from comet_mcp.domain.change import KeyChange
from comet_mcp.domain.key import Key, Status
from comet_mcp.domain.money import Units
from comet_mcp.sandbox.catalog import CATALOG
from comet_mcp.secret_store.keychain import KeychainStore
from comet_mcp.tools import update_question
from comet_mcp.tools.update_request import UpdateRequest
from tests.e2e.steps import code_of, served
from tests.e2e.test_confirmation import ERAS, Person, quick_person, state
from tests.support import Home, data_of, error_of

MakeHome = Callable[..., Home]

__all__ = ["quick_person"]

NO = ElicitResult(action="decline")
ADDRESSES = [f"192.0.2.{number}" for number in range(1, 40)]
MODELS = [model.id for model in CATALOG]
LISTED = {"model_limits_enabled": True, "remain_quota": 500_000}
DAY = 86_400


@pytest.fixture
def make(make_home: MakeHome) -> MakeHome:
    """Makes homes whose server asks about every writing call, with the key "old" of these fields."""

    def make(fields: dict[str, Any] | None = None, **extra: str) -> Home:
        home = make_home(COMETAPI_MCP_CONFIRM="writes", **extra)
        home.sandbox.add_key("old", **({"remain_quota": 1_000_000} | (fields or {})))
        return home

    return make


async def asked(home: Home, tool: str, arguments: dict[str, Any]) -> str:
    """The question that a call leads to; the person says no."""
    person = Person(NO)
    async with served(home, elicitation_callback=person) as client:
        assert code_of(await client.call_tool(tool, arguments)) == "confirmation_declined"
    (question,) = person.asked
    return question


def outside_quotes(question: str) -> str:
    """The server's own words, as a person reads them who takes quotation marks for what they are."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "…", question)


async def test_a_question_says_that_the_balance_does_not_cover_the_budget(make: MakeHome) -> None:
    question = await asked(make(), "create_api_key", {"name": "large", "remain_quota": 10**9})
    assert "The budget is more than the account's balance, $100.00: it limits nothing." in question


# All that is allowed.


@pytest.mark.parametrize(
    ("tool", "named"), [("create_api_key", {"name": "new", **LISTED}), ("update_api_key", {"id": 1})]
)
async def test_every_model_and_every_address_that_is_newly_allowed_is_shown(
    make: MakeHome, tool: str, named: dict[str, Any]
) -> None:
    models, addresses = MODELS, [*ADDRESSES, "203.0.113.0/24"]
    home = make({"model_limits_enabled": True, "model_limits": "another", "allow_ips": "198.51.100.1"})
    question = await asked(home, tool, {**named, "model_limits": ",".join(models), "allow_ips": "\n".join(addresses)})
    words = re.split(r"[ ,;]+|\.(?: |$)", question)
    assert {*models, *addresses} <= set(words)
    assert f"({len(models)})" in question or f"-> {len(models)} entries" in question
    assert "40 entries" in question
    assert question.index("203.0.113.0/24") < question.index("192.0.2.1")  # the widest range first


@pytest.mark.parametrize("everything", [["0.0.0.0/0"], ["::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::ffff:0:0/96"]])
@pytest.mark.parametrize(("tool", "named"), [("create_api_key", {"name": "new"}), ("update_api_key", {"id": 1})])
async def test_a_list_that_lets_every_address_through_is_not_said_to_restrict(
    make: MakeHome, tool: str, named: dict[str, Any], everything: list[str]
) -> None:
    home = make({"allow_ips": "192.0.2.1"})
    question = await asked(home, tool, {**named, "allow_ips": "\n".join([*ADDRESSES, *everything])})
    said = f"From every address or nearly every one, by a list of {39 + len(everything)}: {', '.join(everything)}, "
    assert said in question
    assert "Only from" not in question


async def test_a_key_without_a_list_of_addresses_is_said_to_work_from_every_one(make: MakeHome) -> None:
    home = make({"allow_ips": "192.0.2.1"})
    assert "From every address." in await asked(home, "create_api_key", {"name": "new"})
    question = await asked(home, "update_api_key", {"id": 1, "allow_ips": ""})
    assert "allow_ips: 1 entry -> every address, removed 192.0.2.1." in question
    assert "do what it could not before: be used from every address." in question
    assert question.endswith(
        "It may then spend up to $2.00, and never expires. Models: every model. From every address."
    )


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_api_key", {"name": "new", **LISTED, "model_limits": ",".join(f"model-{n}" for n in range(400))}),
        ("update_api_key", {"id": 1, "allow_ips": "\n".join(f"10.0.{n}.1" for n in range(250))}),
        ("update_api_key", {"id": 1, "group": "g" * LONGEST_QUESTION}),
    ],
)
async def test_what_does_not_fit_into_a_question_is_refused_instead_of_cut(
    make: MakeHome, era: str, tool: str, arguments: dict[str, Any]
) -> None:
    home, person = make(), Person()
    before = state(home)
    async with served(home, mode=era, elicitation_callback=person) as client:
        result = await client.call_tool(tool, arguments)
        assert code_of(result) == "confirmation_too_long"
        assert "Nothing was done" in error_of(result)
    assert (person.asked, state(home)) == ([], before)
    home.extra["COMETAPI_MCP_CONFIRM"] = "never"  # where nobody is asked there is nothing to read
    async with served(home, mode=era) as client:
        assert code_of(await client.call_tool(tool, arguments)) in ("", "group_refused")


async def test_a_change_of_a_long_list_shows_what_is_added_and_removed(make: MakeHome) -> None:
    models = [f"model-{number}" for number in range(400)]
    home = make({"model_limits_enabled": True, "model_limits": ",".join(models)})
    question = await asked(home, "update_api_key", {"id": 1, "model_limits": ",".join([*models[1:], "o1-pro"])})
    assert "model_limits: 400 entries -> 400 entries, added o1-pro, removed model-0." in question
    question = await asked(home, "update_api_key", {"id": 1, "model_limits": "model-7"})
    assert "400 entries -> 1 entry, removed model-0, model-1" in question
    assert " and 389 more." in question


async def test_a_long_list_of_a_key_that_is_replaced_is_shortened_with_its_count(make: MakeHome) -> None:
    models = ",".join(f"model-{number}" for number in range(400))
    addresses = "\n".join(f"10.0.{number}.1" for number in range(250))
    home = make({"model_limits_enabled": True, "model_limits": models, "allow_ips": f"{addresses}\n10.9.0.0/16"})
    question = await asked(home, "rotate_api_key", {"id": 1})
    assert "has the same scope" in question
    assert "Models (400): model-0, " in question
    assert "model-9 and 390 more." in question
    assert "Only from 251 entries: 10.9.0.0/16, 10.0.0.1, " in question
    assert " and 241 more." in question


@pytest.mark.fast_time
async def test_a_rotation_that_goes_on_shows_the_whole_scope_it_was_begun_with(make: MakeHome) -> None:
    home = make({"allow_ips": "\n".join(ADDRESSES)})
    home.sandbox.faults.add("list", "status", times=100, after=1, value="503")
    home.sandbox.faults.add("create", "reset_after")
    home.extra["COMETAPI_MCP_TIMEOUT"] = "2"
    async with served(home, elicitation_callback=Person()) as client:
        assert code_of(await client.call_tool("rotate_api_key", {"id": 1})) == "create_outcome_unknown"
    home.sandbox.faults.clear()
    home.sandbox.keys[0].allow_ips = "192.0.2.1"  # narrowed since
    question = await asked(home, "rotate_api_key", {"id": 1})
    assert "has the scope of that time" in question
    assert all(address in question for address in ADDRESSES)


# Nothing that is not so.


@pytest.mark.fast_time
@pytest.mark.parametrize("era", ERAS)
async def test_a_grace_period_counts_from_the_answer_as_the_question_says(make: MakeHome, era: str) -> None:
    home, answered = make(), 0.0

    async def meanwhile() -> None:
        nonlocal answered
        await anyio.sleep(1.5)
        answered = SYSTEM.of_machine()

    person = Person(meanwhile=meanwhile)
    async with served(home, mode=era, elicitation_callback=person) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": 1, "grace": "3 days"}))
    assert "works for 3 days from your answer; meanwhile both can spend" in person.asked[0]
    assert home.sandbox.keys[0].expired_time >= int(answered) + 3 * DAY


async def test_an_old_key_that_is_disabled_is_not_said_to_work_for_a_grace_period(make: MakeHome) -> None:
    question = await asked(make({"status": Status.DISABLED}), "rotate_api_key", {"id": 1})
    assert "The old key does not work any more." in question
    assert "both can spend" not in question


async def test_a_rotation_that_is_over_is_asked_about_without_a_scope_that_it_does_not_give(make: MakeHome) -> None:
    home, person = make(), Person()
    async with served(home, elicitation_callback=person) as client:
        data_of(await client.call_tool("rotate_api_key", {"id": 1, "old_key": "disable"}))
        data_of(await client.call_tool("rotate_api_key", {"id": 1, "old_key": "disable"}))
    over = 'Store the value of key 2 again, which has replaced the API key "old" (id 1) already?'
    assert person.asked[1] == f"{over} The old key does not work any more."


@pytest.mark.parametrize(
    ("grace", "words"),
    [
        ("1 day", "24 hours"),
        ("48h", "2 days"),
        ("1h", "60 minutes"),
        ("90 min", "90 minutes"),
        ("1 minute", "1 minute"),
    ],
)
async def test_a_grace_period_is_said_in_words_and_with_the_old_keys_own_end(
    make: MakeHome, grace: str, words: str
) -> None:
    home = make({"expired_time": 1_900_000_000})
    question = await asked(home, "rotate_api_key", {"id": 1, "grace": grace})
    assert f"works for {words} from your answer, at most until its own end at 2030-03-17T17:46:40Z;" in question


async def test_a_save_into_a_file_of_its_own_changes_no_other_file_as_the_question_says(make: MakeHome) -> None:
    home, person = make(), Person()
    async with served(home, elicitation_callback=person) as client:
        data_of(await client.call_tool("save_api_key", {"id": 1}))
        (path,) = home.key_files
        path.write_text("# a person's own words\n", encoding="utf-8")
        data_of(await client.call_tool("save_api_key", {"id": 1}))
    assert "in a file of its own" in person.asked[1]
    assert "No other file is changed." in person.asked[1]
    assert path.read_text(encoding="utf-8") == "# a person's own words\n"
    assert len(home.key_files) == 2


async def test_a_save_into_a_named_file_keeps_another_keys_value_as_the_question_says(make: MakeHome) -> None:
    home, person = make(), Person()
    home.sandbox.add_key("other")
    async with served(home, elicitation_callback=person) as client:
        data_of(await client.call_tool("save_api_key", {"id": 1, "file": "team.env"}))
        (path,) = home.key_files
        before = path.read_bytes()
        result = await client.call_tool("save_api_key", {"id": 2, "file": "team.env"})
    assert 'another value for "COMETAPI_KEY", that is kept too, and nothing is stored' in person.asked[1]
    assert "replaced" not in person.asked[1]
    assert code_of(result) == "variable_taken"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ("result", "to the language model? It is then in the history of the conversation"),
        ("none", "nothing is stored"),
        ("keyring", "in the system's keychain"),
    ],
)
async def test_the_question_about_a_value_names_the_place_where_it_goes(
    make: MakeHome, secrets: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeychainStore, "check", lambda *_: None)  # this machine may have no keychain
    question = await asked(make(COMETAPI_MCP_SECRETS=secrets), "save_api_key", {"id": 1})
    assert said in question
    assert "file" not in question


async def test_a_model_list_that_is_switched_off_is_not_asked_about_as_a_restriction(make: MakeHome) -> None:
    home = make({"model_limits": "gpt-4o"})
    question = await asked(home, "update_api_key", {"id": 1, "group": "default"})
    assert "model_limits_enabled is false: the API ignores model_limits and allows every model." in question
    row = Key(id=1, name="old", status=Status.ENABLED)
    change = KeyChange(row, row.spec.model_copy(update={"model_limits": "gpt-4o"}))
    shown = update_question.question(change, UpdateRequest({}), [], Units()).text
    assert shown.endswith("model_limits: none -> 1 entry, added gpt-4o. Models: every model.")


async def test_switching_a_model_list_on_or_off_shows_what_the_key_may_then_call(make: MakeHome) -> None:
    home = make({"model_limits": "gpt-4o,gpt-4.1"})
    question = await asked(home, "update_api_key", {"id": 1, "model_limits_enabled": True})
    assert "model_limits_enabled: no -> yes. Models (2): gpt-4o, gpt-4.1." in question
    home.sandbox.keys[0].model_limits_enabled = True
    question = await asked(home, "update_api_key", {"id": 1, "model_limits_enabled": False})
    assert "model_limits_enabled: yes -> no." in question
    assert "Models: every model." in question


async def test_a_change_that_names_an_unknown_model_is_asked_about_with_the_warning(make: MakeHome) -> None:
    home = make({"model_limits_enabled": True, "model_limits": "gpt-4o"})
    question = await asked(home, "update_api_key", {"id": 1, "model_limits": "gpt-9"})
    assert "added gpt-9, removed gpt-4o. This change lets the key do what it could not before: call other" in question
    assert 'models. The account has no model "gpt-9"' in question


async def test_an_end_that_is_given_as_a_span_counts_from_the_answer_as_the_question_says(make: MakeHome) -> None:
    span = await asked(make(), "update_api_key", {"id": 1, "lifetime": "30 days"})
    assert "expired_time: never -> 20" in span
    assert "The end counts from your answer." in span
    day = await asked(make(), "update_api_key", {"id": 1, "lifetime": "2030-01-01", "budget_usd": 5})
    assert "counts from your answer" not in day
    assert "-> $5.00" in day


async def test_many_warnings_are_counted_instead_of_filling_the_question(make: MakeHome) -> None:
    home = make({"model_limits_enabled": True, "model_limits": "gpt-4o"})
    question = await asked(home, "update_api_key", {"id": 1, "model_limits": ",".join(f"m-{n}" for n in range(25))})
    assert question.count("The account has no model") == 4  # the fifth says that the key may do more than before
    assert "There are 2 more warnings." in question


WIDE = {
    "remain_quota": 1_000_000,
    "expired_time": 1_900_000_000,
    "model_limits_enabled": True,
    "model_limits": ",".join(MODELS[:12]),
    "allow_ips": "\n".join(ADDRESSES[:12]),
    "group": "vip",
}


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({"status": Status.DISABLED}, {"status": "enabled"}),
        ({"status": Status.DISABLED, "unlimited_quota": True}, {"status": "enabled"}),
        ({"status": Status.EXHAUSTED, "remain_quota": 0}, {"status": "enabled", "add_budget_usd": 2}),
    ],
)
async def test_a_change_that_makes_a_key_usable_shows_the_whole_key_as_it_will_be(
    make: MakeHome, fields: dict[str, Any], change: dict[str, Any]
) -> None:
    question = await asked(make({**WIDE, **fields}), "update_api_key", {"id": 1, **change})
    spend = "the account's whole balance (no budget)" if "unlimited_quota" in fields else "up to $2.00"
    assert f"It may then spend {spend}, and expires at 2030-03-17T17:46:40Z. Models (12): " in question
    assert all(entry in question for entry in [*MODELS[:12], *ADDRESSES[:12]])
    assert question.endswith('Group "vip".')


@pytest.mark.parametrize(
    "change",
    [{"expired_time": -1}, {"add_budget_usd": 1}, {"group": ""}, {"allow_ips": ""}, {"model_limits_enabled": False}],
)
async def test_a_change_that_lets_a_key_do_more_shows_what_it_may_then_do_in_all(
    make: MakeHome, change: dict[str, Any]
) -> None:
    question = await asked(make(WIDE), "update_api_key", {"id": 1, **change})
    assert "This change lets the key do what it could not before: " in question
    for part in ("It may then spend up to $", "Models", "rom "):
        assert part in question.partition("before: ")[2], part


# No word of a name's own.


async def test_a_name_can_not_end_its_quotation_marks(make: MakeHome) -> None:
    forged = 'ci"? It may spend $0.10, ends today. Ignore: "'
    home = make()
    question = await asked(home, "create_api_key", {"name": forged, "unlimited_quota": True})
    assert 'the API key "ci\\"? It may spend $0.10, ends today. Ignore: \\""?' in question
    assert "$0.10" not in outside_quotes(question)
    question = await asked(home, "update_api_key", {"id": 1, "name": "\\", "group": 'x" -> "x'})
    assert 'group: none -> "x\\" -> \\"x"' in question
    assert 'name: "old" -> "\\\\"' in question
    home.sandbox.add_key(forged)
    for tool in ("delete_api_key", "rotate_api_key", "save_api_key"):
        home.sandbox.keys[1].remain_quota = 500_000
        assert "$0.10" not in outside_quotes(await asked(home, tool, {"id": 2}))


@pytest.mark.parametrize("tool", ["rotate_api_key", "update_api_key"])
async def test_what_the_account_holds_for_a_model_or_an_address_is_no_sentence_of_the_question(
    make: MakeHome, tool: str
) -> None:
    forged = "gpt-4o. It may spend $0.10"
    fields = {"model_limits_enabled": True, "model_limits": forged, "allow_ips": f"192.0.2.1. {forged}"}
    arguments = {"id": 1} if tool == "rotate_api_key" else {"id": 1, "model_limits": "o1", "allow_ips": "192.0.2.7"}
    question = await asked(make(fields), tool, arguments)
    assert "$0.10" in question
    assert "$0.10" not in outside_quotes(question)


@pytest.mark.parametrize(("tool", "named"), [("create_api_key", {"name": "new"}), ("update_api_key", {"id": 1})])
async def test_a_model_that_the_account_does_not_have_is_told_before_the_answer(
    make: MakeHome, tool: str, named: dict[str, Any]
) -> None:
    question = await asked(make(), tool, {**named, "model_limits_enabled": True, "model_limits": "gpt-4.1-mni"})
    assert 'no model "gpt-4.1-mni"' in question
