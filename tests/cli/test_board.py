"""`cometapi-mcp board`: a file to read, and a page that this machine's person alone may ask."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.clock import SYSTEM
from comet_mcp.sandbox.faults import Fault
from tests.board.live import Live, live, live_here, posix
from tests.e2e.steps import blocking_until
from tests.services.spend import DAY, spent
from tests.support import Home, in_process

MakeHome = Callable[..., Home]
USD = 500_000
HOSTILE = '"><img src=x onerror=alert(1)>'

STRANGERS: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "localhost:1"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"X_Board_Session": "made-up"},
    {"X_Board_Session": ""},
]
IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"add_budget_usd": "lots"}, "must be a number"),
    ({"lifetime": "2020-01-31"}, "ends in the past"),
    ({"status": "stolen"}, "must be one of"),
    ({"id": 999, "status": "disabled"}, "No API key has id 999"),
]


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    now = int(SYSTEM.now())
    blog = home.sandbox.add_key("blog", expired_time=now + 30 * DAY, remain_quota=4 * USD, used_quota=USD)
    home.sandbox.add_key(HOSTILE, unlimited_quota=True, expired_time=-1)
    for ago, model, usd in ((60, "gpt-4.1", 1), (2 * DAY, "o3", 3), (40 * DAY, "o3", 2)):
        spent(home.sandbox, blog.id, model, usd * USD, ago, token_name="blog")
    return home


@pytest.fixture
def board(home: Home) -> Iterator[Live]:
    with live_here(home) as board:
        board.begin()
        yield board


def saved(home: Home, **options: Any) -> str:
    path = home.directory / "report.html"
    done = in_process("board", "--save", str(path), environment=home.environment, **options)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return path.read_text(encoding="utf-8")


def test_a_saved_page_tells_keys_and_spending_without_a_script(home: Home) -> None:
    text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", saved(home), flags=re.DOTALL)
    for said in ("blog", "$4.00 of $5.00 left", "$1.00 spent in all", "no budget", "no end", "any address", "o3"):
        assert said in text, said
    assert "$4.00 in all, most on" in text
    assert text.count("<svg") >= 5


def test_what_a_key_spent_in_a_span_is_never_told_as_more_than_it_spent_in_all(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_TIMEZONE="UTC")
    key = home.sandbox.add_key("blog", remain_quota=USD, used_quota=4 * USD - 1)
    spent(home.sandbox, key.id, "o3", 4 * USD - 1, 60, token_name="blog")
    page = saved(home)
    assert "<span>$4.00</span>" in page
    assert "$4.00 spent in all" in page


def test_a_name_is_text(home: Home) -> None:
    page = saved(home)
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


def test_a_saved_page_holds_no_value_and_is_its_owners_alone(home: Home) -> None:
    page = saved(home)
    for key in home.sandbox.keys:
        assert key.key not in page
    assert home.sandbox.access_token not in page
    if sys.platform != "win32":
        assert (home.directory / "report.html").stat().st_mode & 0o777 == 0o600


def test_a_saved_page_may_load_and_send_nothing(home: Home) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', saved(home))
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "connect-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


def test_what_could_not_be_read_of_spending_is_told_on_the_page(home: Home) -> None:
    home.sandbox.faults.order(Fault.parse("log:status=500*50"))
    page = saved(home)
    assert "What was spent could not be read" in page
    assert "$4.00 of $5.00 left" in page


def test_many_keys_take_few_calls(home: Home) -> None:
    for number in range(250):
        home.sandbox.add_key(f"job {number}")
    assert saved(home).count('class="name"') == 252
    assert home.sandbox.count("list") <= 4


def test_a_file_that_can_not_be_written_is_told(home: Home) -> None:
    (home.directory / "folder").mkdir()
    done = in_process("board", "--save", str(Path("folder")), environment=home.environment)
    assert done.returncode == 1
    assert "is a folder" in done.stderr


def begin(board: Live, tool: str, **arguments: Any) -> dict[str, Any]:
    """What the page is told when it asks for a change."""
    return board.ask("/action", tool=tool, arguments=arguments)


def wait_for(path: Path) -> bool:
    """Whether a file comes to be, and has something in it, within ten seconds."""
    for _ in range(200):
        if path.exists() and path.read_text().count("\n") > 4:
            return True
        threading.Event().wait(0.05)
    return False


def test_the_page_is_served_empty_and_its_content_only_to_who_has_the_token(board: Live) -> None:
    status, page, headers = board.send("GET", "/")
    assert status == 200
    assert "blog" not in page
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "connect-src 'self'" in headers["content-security-policy"]
    html = board.ask("/board")["html"]
    assert "blog" in html
    assert HOSTILE not in html
    again = board.send("POST", "/session", {"token": board.token})
    assert again[0] == 403
    assert "served once" in again[1]


def test_a_request_of_somebody_else_is_refused_and_a_wrong_one_does_nothing(board: Live, home: Home) -> None:
    wish = {"tool": "update_api_key", "arguments": {"id": 1, "status": "disabled"}}
    for headers in STRANGERS:
        for path in ("/board", "/action", "/answer"):
            assert board.send("POST", path, wish, **headers)[0] == 403, headers
    others: list[dict[str, Any]] = [{"tool": "create_api_key"}, {"arguments": {"id": [1]}}, {"x": 2}]
    wrong: list[Any] = [[], {"tool": "delete_api_key"}, *({**wish, **other} for other in others), "x" * 5000]
    for body in wrong:
        assert board.send("POST", "/action", body)[0] in (400, 403), body
    assert "No question is open" in board.answer(agrees=True)["error"]
    for fields, said in IMPOSSIBLE:
        assert said in begin(board, "update_api_key", **{"id": 1} | fields)["error"]
    assert [key.status for key in home.sandbox.keys] == [1, 1]


def test_who_sends_a_request_slowly_keeps_nobody_waiting(board: Live) -> None:
    head = f"POST /session HTTP/1.1\r\nHost: {board.host}\r\nOrigin: http://{board.host}\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", board.port)) as slow:
        slow.sendall(head.encode() + b"{")
        assert "blog" in board.ask("/board")["html"]


def test_a_page_that_goes_in_the_middle_of_a_request_is_no_fault(board: Live, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", board.port)) as page:
        head = f"POST /board HTTP/1.1\r\nHost: {board.host}\r\nOrigin: http://{board.host}\r\nContent-Length: 9\r\n\r\n"
        page.sendall(head.encode() + b"{")
    assert "blog" in board.ask("/board")["html"]
    assert not caplog.records


@pytest.mark.long
@posix
def test_a_wrong_token_gives_no_session(home: Home) -> None:
    with live(home) as board:
        assert board.send("POST", "/session", {"token": "made-up"})[0] == 403
        assert board.send("POST", "/session", {"token": ""})[0] == 403
        assert board.send("GET", "/", Host="evil.example")[0] == 403
        board.begin()
    assert board.ended["status"] == 0
    assert "Traceback" not in board.ended["errors"]


def test_a_change_is_asked_about_and_made_after_the_second_step(board: Live, home: Home) -> None:
    asked = begin(board, "update_api_key", id=1, add_budget_usd=2)
    assert "$4.00" in asked["question"]
    assert home.sandbox.keys[0].remain_quota == 4 * USD
    done = board.answer(agrees=True)
    assert done["result"]["changed"]["budget"] == "$4.00 left -> $6.00 left"
    assert home.sandbox.keys[0].remain_quota == 6 * USD
    assert "$6.00 of $7.00 left" in board.ask("/board")["html"]
    trail = in_process("audit", environment=home.environment).stdout
    assert "update_api_key" in trail


def test_each_tool_does_what_it_says(board: Live, home: Home) -> None:
    def do(tool: str, key: int = 1, **fields: str) -> dict[str, Any]:
        asked = begin(board, tool, id=key, **fields)
        assert "question" in asked, asked
        result: dict[str, Any] = board.answer(agrees=True)["result"]
        return result

    assert do("update_api_key", status="disabled")["state"] == "disabled"
    assert home.sandbox.keys[0].status == 2
    do("update_api_key", status="enabled")
    before = home.sandbox.keys[0].expired_time
    do("update_api_key", lifetime="2030-01-31")
    assert home.sandbox.keys[0].expired_time > before
    assert do("rotate_api_key")["new_key"]["id"] == 3
    assert len(home.sandbox.keys) == 3
    assert do("delete_api_key", 2)["deleted"]
    assert [key.id for key in home.sandbox.keys] == [1, 3]


def test_a_no_another_change_or_a_reload_does_nothing(board: Live, home: Home) -> None:
    begin(board, "delete_api_key", id=1)
    assert "Nothing was done" in board.answer(agrees=False)["error"]
    begin(board, "delete_api_key", id=1)
    assert "question" in begin(board, "delete_api_key", id=2)
    board.ask("/board")
    assert "No question is open" in board.answer(agrees=True)["error"]
    assert len(home.sandbox.keys) == 2


def test_an_answer_to_a_question_of_a_copied_tab_is_no_answer_to_that_of_the_other(board: Live, home: Home) -> None:
    copied = Live(board.port, "", board.session)
    begin(copied, "delete_api_key", id=1)
    begin(board, "delete_api_key", id=2)
    assert "No question is open" in copied.answer(agrees=True)["error"]
    assert len(home.sandbox.keys) == 2
    assert board.answer(agrees=True)["result"]["id"] == 2
    assert [key.id for key in home.sandbox.keys] == [1]


@pytest.mark.long
@posix
def test_ctrl_c_waits_for_a_change_that_is_under_way_and_tells_how_it_ended(home: Home) -> None:
    with ThreadPoolExecutor(1) as threads, live(home) as board:
        board.begin()
        begin(board, "update_api_key", id=1, status="disabled")
        home.sandbox.faults.add("update", "latency", value="2")
        answer = threads.submit(board.answer, agrees=True)
        blocking_until(lambda: home.sandbox.count("update"))
    assert answer.result()["result"]["state"] == "disabled"
    assert board.ended["status"] == 0
    assert board.ended["errors"].splitlines()[-2:] == [
        "A change is under way, and waited for.",
        "The change was made.",
    ]


@pytest.mark.long
@posix
def test_a_second_ctrl_c_does_not_wait_for_a_page_that_is_being_read(home: Home) -> None:
    with ThreadPoolExecutor(1) as threads, live(home, impatient=True) as board:
        board.begin()
        home.sandbox.faults.add("list", "hang", times=9)
        page = threads.submit(board.ask, "/board")
        blocking_until(lambda: home.sandbox.count("list"))
    assert page.exception() is not None  # it was cut off, and not told that the API is late
    assert (board.ended["status"], board.ended["errors"]) == (0, "")


def test_the_policy_holds_for_the_page(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_POLICY_MAX_BUDGET_USD="5")
    home.sandbox.add_key("blog", expired_time=int(SYSTEM.now()) + DAY, remain_quota=4 * USD)
    with live_here(home) as board:
        board.begin()
        assert "at most $5.00" in begin(board, "update_api_key", id=1, add_budget_usd=100)["error"]
    assert home.sandbox.keys[0].remain_quota == 4 * USD


def test_a_reader_is_offered_no_change(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway", COMETAPI_MCP_READ_ONLY="1")
    home.sandbox.add_key("blog")
    with live_here(home) as board:
        board.begin()
        assert 'class="change"' not in board.ask("/board")["html"]
        assert "error" in begin(board, "delete_api_key", id=1)
    assert len(home.sandbox.keys) == 1


@pytest.mark.long
@posix
def test_the_browser_is_opened_without_the_token_in_a_command_line(home: Home) -> None:
    seen = home.directory / "seen"
    browser = home.directory / "browser"
    code = "import sys, urllib.parse as u; page = open(u.unquote(u.urlsplit(sys.argv[1]).path)).read()"
    browser.write_text(f"#!{sys.executable}\n{code}\nopen({str(seen)!r}, 'w').write(sys.argv[1] + '\\n' + page)\n")
    browser.chmod(0o700)
    home.extra["BROWSER"] = f"{browser} %s"
    with live(home, opens=True) as board:
        assert wait_for(seen)
        address, page = seen.read_text().split("\n", 1)
        (file,) = home.directory.glob("cometapi-board-*.html")
        assert address == file.as_uri()
        assert file.stat().st_mode & 0o777 == 0o600
        assert f"url={board.address}" in page
        board.begin()
        assert not file.exists()
