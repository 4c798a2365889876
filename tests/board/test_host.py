"""The board inside the reference host of MCP Apps, in Chromium.

It takes these in npm's global folder, the host's earlier generation as `ext-apps-1`:
`npm install -g esbuild zod @modelcontextprotocol/sdk @modelcontextprotocol/ext-apps` and
`npm install -g ext-apps-1@npm:@modelcontextprotocol/ext-apps@1`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp.client.session import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from comet_mcp.clock import SYSTEM
from comet_mcp.confirmation import asking
from release.browser import Page, browser, chromium
from tests.board.hosted import Hosted, built
from tests.services.spend import DAY
from tests.support import Home

pytestmark = [pytest.mark.long, pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")]
USD = 500_000
HOSTILE = "<img src=x onerror=\"parent.postMessage('taken', '*')\">"
GENERATIONS = ["@modelcontextprotocol/ext-apps", "ext-apps-1"]
MakeHome = Callable[..., Home]


def called(tool: str, **arguments: Any) -> dict[str, Any]:
    """The call of a tool for the first key."""
    return {"name": tool, "arguments": {"id": 1, **arguments}}


class Change(NamedTuple):
    """What a person chooses, what they are asked, which call is made, and what is said then."""

    action: str
    fields: dict[str, str]
    question: str
    call: dict[str, Any]
    said: str


CHANGES = [
    Change("disable", {}, 'Disable key 1 "blog"?', called("update_api_key", status="disabled"), "works -> disabled"),
    Change(
        "top_up",
        {"amount": "0.50"},
        "spend $0.50 more",
        called("update_api_key", add_budget_usd=0.5),
        "budget: $4.00 left -> $4.50 left",
    ),
    Change(
        "end",
        {"day": "2030-01-31"},
        "day 2030-01-31",
        called("update_api_key", lifetime="2030-01-31"),
        "-> 2030-02-01 00:00",
    ),
    Change("rotate", {}, "by a new key", called("rotate_api_key"), "Key 3 was made with the same scope."),
    Change("delete", {}, "for good", called("delete_api_key"), 'Key 1 "blog" was deleted.'),
]


class No(NamedTuple):
    """An answer that is no yes, how long a person takes to read at least, and what is said then."""

    answer: ElicitResult | None
    slowest: float
    said: str


NOES = {
    "no": No(ElicitResult(action="decline"), 0, "You said no. Nothing was done."),
    "closed": No(ElicitResult(action="cancel"), 0, "You closed the question. Nothing was done."),
    "nobody asked": No(ElicitResult(action="decline"), 600, "No person has said no. Nothing was done"),
    "not ticked": No(ElicitResult(action="accept", content={"confirm": False}), 0, "its box was not ticked"),
    "a client that can't ask": No(None, 0, "You have to confirm such a call in a question that your MCP client shows"),
}


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module", params=GENERATIONS)
def each_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(request.param, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(GENERATIONS[0], tmp_path_factory.mktemp("host"))


@pytest.fixture
def board(page: Page, make_home: MakeHome) -> Iterator[Hosted]:
    """A board of two keys. Nothing in it may fail, or reach the host's own page."""
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    home.sandbox.add_key("blog", expired_time=int(SYSTEM.now()) + 30 * DAY, remain_quota=4 * USD)
    home.sandbox.add_key(HOSTILE, unlimited_quota=True, expired_time=-1)
    yield Hosted(page, home)
    assert page.run("window.taken === undefined")
    assert not [told for told in page.events if told["method"] == "Runtime.exceptionThrown"]


def asks(answer: ElicitResult) -> dict[str, Any]:
    """A client whose person answers so."""

    async def asked(_context: ClientRequestContext, _params: ElicitRequestParams) -> ElicitResult:
        return answer

    return {"elicitation_callback": asked}


def rows(board: Hosted) -> list[Any]:
    """The keys as the API has them."""
    return [replace(key) for key in board.home.sandbox.keys]


def test_the_board_asks_the_host_for_what_it_shows(board: Hosted, each_host: str) -> None:
    board.start(each_host)
    for text in ("<p>first</p><img src=x onerror=\"parent.postMessage('taken', '*')\">", "<p>second</p>"):
        uri = board.next("resources/read")["uri"]
        assert uri == "ui://cometapi/board/content"
        board.page.run(f"window.answer({json.dumps({'contents': [{'uri': uri, 'text': text}]})})")
        board.until(f"document.querySelector('main').innerHTML.includes({json.dumps(text[:8])})")
        board.page.until("window.size > 0")
        board.page.run("window.call()")
    board.next("resources/read")


@pytest.mark.parametrize("change", CHANGES, ids=[change.action for change in CHANGES])
def test_a_change_is_asked_about_and_made_by_its_tool(board: Hosted, each_host: str, change: Change) -> None:
    board.open(each_host)
    before = rows(board)
    board.choose(change.action, **change.fields)
    board.until("!document.querySelector('#ask').hidden")
    assert change.question in board.text("#question")
    assert board.run("document.activeElement.id") == "no"
    assert board.is_quiet()
    assert rows(board) == before
    board.say("yes")
    assert board.answer("tools/call") == change.call
    board.answer("resources/read")
    assert change.said in board.said()
    assert rows(board) != before


def test_nothing_is_asked_of_the_host_before_the_second_click(board: Hosted, host: str) -> None:
    board.open(host)
    before = rows(board)
    board.choose("delete")
    board.say("no")
    assert board.said() == "Nothing was done."
    board.run("document.querySelector('[data-action=rotate]').click()")
    board.until("!document.querySelector('#ask').hidden")
    board.run("document.querySelector('#change').close()")
    board.choose("top_up", amount="")
    assert "US dollars to add" in board.said()
    board.run("document.querySelector('[data-action=end]').click()")
    assert "the day with which" in board.said()
    assert board.is_quiet()
    assert rows(board) == before


def test_a_key_that_is_off_is_enabled(board: Hosted, host: str) -> None:
    board.home.sandbox.keys[0].status = 2
    board.open(host)
    board.run("document.querySelector('tr[data-id=\"1\"] .change').click()")
    assert board.text("#toggle") == "Enable"
    board.choose("enable")
    board.say("yes")
    board.answer("tools/call")
    board.answer("resources/read")
    assert "disabled -> works" in board.said()


def test_what_the_policy_refuses_is_said_as_to_a_person(board: Hosted, host: str) -> None:
    board.home.extra["COMETAPI_MCP_POLICY_MAX_BUDGET_USD"] = "5"
    board.open(host)
    board.choose("top_up", amount="100")
    board.say("yes")
    board.answer("tools/call")
    said = board.said()
    assert said.startswith("The policy of this server does not allow that.")
    assert "at most $5.00" in said
    for word in ("remain_quota", "[policy", "argument", "Tell the user"):
        assert word not in said
    assert board.is_quiet()
    assert board.home.sandbox.keys[0].remain_quota == 4 * USD


@pytest.mark.parametrize("no", NOES.values(), ids=NOES)
def test_a_no_to_the_tools_own_question_is_said(
    board: Hosted, host: str, monkeypatch: pytest.MonkeyPatch, no: No
) -> None:
    monkeypatch.setattr(asking, "QUICKEST_PERSON", no.slowest)
    board.home.extra["COMETAPI_MCP_CONFIRM"] = "destructive"
    board.client = asks(no.answer) if no.answer else {}
    board.open(host)
    board.choose("delete")
    board.say("yes")
    board.answer("tools/call")
    said = board.said()
    assert no.said in said
    for word in ("[confirmation", "Call again", "call again", "Tell the user", "The user", "their"):
        assert word not in said
    assert len(board.home.sandbox.keys) == 2


def test_a_yes_to_the_tools_own_question_has_it_done(board: Hosted, host: str) -> None:
    board.home.extra["COMETAPI_MCP_CONFIRM"] = "destructive"
    board.client = asks(ElicitResult(action="accept", content={"confirm": True}))
    board.open(host)
    board.choose("delete")
    board.say("yes")
    board.answer("tools/call")
    board.answer("resources/read")
    assert "was deleted" in board.said()
    assert [key.id for key in board.home.sandbox.keys] == [2]


def test_a_name_is_text_wherever_it_stands(board: Hosted, host: str) -> None:
    board.open(host)
    board.choose("delete", 2)
    board.until("!document.querySelector('#ask').hidden")
    for place in ("#keys", "#change-title"):
        assert HOSTILE in board.text(place)
    assert json.dumps(HOSTILE) in board.text("#question")
    board.say("yes")
    board.answer("tools/call")
    board.answer("resources/read")
    assert json.dumps(HOSTILE) in board.said()
    assert board.run("document.querySelectorAll('img').length") == 0


def test_what_is_without_a_budget_is_not_topped_up(board: Hosted, host: str) -> None:
    board.open(host)
    for key, is_hidden in ((2, True), (1, False)):
        board.run(f"document.querySelector('tr[data-id=\"{key}\"] .change').click()")
        assert board.run("document.querySelector('#topping').hidden") is is_hidden
        board.run("document.querySelector('#change').close()")


def test_the_page_has_no_value_of_a_key_and_says_where_a_new_one_is(board: Hosted, host: str) -> None:
    board.open(host)
    board.choose("rotate")
    board.say("yes")
    board.answer("tools/call")
    board.answer("resources/read")
    (file,) = board.home.key_files
    assert str(file) in board.said()
    html = board.run("document.documentElement.outerHTML")
    assert not [key.key for key in board.home.sandbox.keys if key.key in html]


def test_a_value_that_a_tool_returns_all_the_same_is_not_shown(board: Hosted, host: str) -> None:
    board.open(host)
    board.home.extra["COMETAPI_MCP_SECRETS"] = "result"  # such a server would not have offered it
    board.choose("rotate")
    board.say("yes")
    board.answer("tools/call")
    board.answer("resources/read")
    assert board.home.sandbox.keys[-1].key in json.dumps(board.answers)
    assert "Key 3 was made" in board.said()
    assert board.home.sandbox.keys[-1].key not in board.run("document.documentElement.outerHTML")


def test_a_tool_that_is_left_out_is_not_offered(board: Hosted, host: str) -> None:
    board.home.extra["COMETAPI_MCP_DISABLE_TOOLS"] = "delete_api_key"
    board.open(host)
    board.run("document.querySelector('tr[data-id=\"1\"] .change').click()")
    shown = "[...document.querySelectorAll('[data-action]')].filter((one) => one.offsetParent).map((one) => one.id)"
    assert len(board.run(shown)) == 4
    assert board.run("document.querySelector('[data-action=delete]').offsetParent === null")


@pytest.mark.parametrize("is_reader", [False, True], ids=["a host that lets pages call nothing", "a server to read"])
def test_without_a_way_to_change_there_are_no_buttons(board: Hosted, each_host: str, is_reader: bool) -> None:
    if is_reader:
        board.home.extra["COMETAPI_MCP_READ_ONLY"] = "1"
        board.open(each_host)
    else:
        board.open(each_host, {"serverResources": {}})
    assert board.run("document.querySelectorAll('.change, .changes').length") == 0
    assert board.run("document.querySelector('#elsewhere').hidden") is is_reader


def test_what_the_host_does_not_answer_is_not_said_to_be_undone(board: Hosted, host: str) -> None:
    board.open(host)
    board.choose("disable")
    board.say("yes")
    board.next("tools/call")
    board.page.run("window.refuse('made-up failure')")
    assert "made-up failure" in board.said()
    assert "Reload this page to see whether it was done" in board.said()
    board.run("document.querySelector('[data-action=disable]').click()")
    board.say("yes")
    board.next("tools/call")
    board.page.run("window.answer({ content: [] })")
    board.until("document.querySelector('#said').textContent.includes('passed no answer')")


@pytest.mark.parametrize("content", [{}, {"changed": None}, {"new_key": {}}], ids=json.dumps)
def test_an_answer_that_is_not_known_ends_the_question_and_is_not_told_as_undone(
    board: Hosted, host: str, content: dict[str, Any]
) -> None:
    board.open(host)
    board.choose("top_up", amount="1")
    board.say("yes")
    board.next("tools/call")
    board.page.run(f"window.answer({json.dumps({'content': [], 'structuredContent': content})})")
    board.answer("resources/read")
    board.until("document.querySelector('#ask').hidden")
    assert "Reload this page to see what was done" in board.said()


@pytest.mark.parametrize(("amount", "shown"), [("1e3", "$1,000.00"), ("00005", "$5.00"), ("0.125", "$0.125")])
def test_a_sum_is_asked_about_as_dollars_however_it_was_written(
    board: Hosted, host: str, amount: str, shown: str
) -> None:
    board.open(host)
    board.choose("top_up", amount=amount)
    board.until("!document.querySelector('#ask').hidden")
    assert f"spend {shown} more?" in board.text("#question")


def test_a_reading_that_was_asked_for_before_another_does_not_take_its_place(board: Hosted, host: str) -> None:
    board.open(host)
    for _ in range(2):
        board.page.run("window.call()")
        uri = board.next("resources/read")["uri"]
    for text, at in (("asked for later", 1), ("asked for before", 0)):
        content = {"contents": [{"uri": uri, "text": f"<p>{text}</p>"}]}
        board.page.run(f"window.answer({json.dumps(content)}, {at})")
    board.page.run("window.call()")
    board.next("resources/read")  # what came before this is through
    assert board.text("main") == "asked for later"
    assert board.run("document.querySelector('#reload').disabled"), "it waits for the third"


def test_what_ends_after_the_dialog_was_closed_is_said_on_the_page(board: Hosted, host: str) -> None:
    board.open(host)
    board.choose("disable")
    board.say("yes")
    board.run("document.querySelector('#change').close()")
    board.answer("tools/call")
    board.answer("resources/read")
    board.until("document.querySelector('#message').textContent.includes('works -> disabled')")


@pytest.mark.parametrize("height", [200, 6000], ids=["a low frame", "a frame taller than what is seen"])
def test_the_dialog_stands_by_its_key_and_in_the_frame(board: Hosted, tmp_path: Path, height: int) -> None:
    for number in range(60):
        board.home.sandbox.add_key(f"job {number}")
    board.open(built(GENERATIONS[0], tmp_path, width=360, height=height), width=400)
    board.run("document.querySelector('tr[data-id=\"30\"] .change').scrollIntoView({ block: 'center' })")
    board.run("document.querySelector('tr[data-id=\"30\"] .change').click()")
    below, top, bottom = board.run(
        "[document.querySelector('tr[data-id=\"30\"]').getBoundingClientRect().bottom,"
        "...(({ top, bottom }) => [top, bottom])(document.querySelector('#change').getBoundingClientRect())]"
    )
    assert top >= 0
    assert bottom <= height
    assert height < 1000 or abs(below - top) < 20
