"""The wire of a real process: more calls than may wait, input that is there before the server is, files, the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.confirmation.asking import MOST_QUESTIONS
from comet_mcp.transports.stdio import MAX_UNANSWERED
from tests.e2e.steps import LONG, blocking_until
from tests.robustness.test_stdio_fuzz import ASK, GONE_AFTER, HELLO, Pipes, piped
from tests.support import Home

MakeHome = Callable[..., Home]
YES: dict[str, Any] = {"action": "accept", "content": {"confirm": True}}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def say(server: Pipes, question: dict[str, Any], answer: dict[str, Any]) -> None:
    server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": answer}).encode() + b"\n")


def call(number: int, tool: str, **arguments: Any) -> bytes:
    params = {"name": tool, "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode() + b"\n"


def answers_in(output: bytes) -> dict[Any, dict[str, Any]]:
    return {message["id"]: message for message in map(json.loads, output.splitlines())}


@pytest.mark.long
def test_three_hundred_calls_that_wait_for_a_person_all_get_their_answers(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="writes")
    count = 300
    assert MAX_UNANSWERED < count < MOST_QUESTIONS
    home.sandbox.add_key("shared")
    with piped(home, elicitation={}) as server:
        calls = [server.call("delete_api_key", {"id": 1_000 + number}) for number in range(5)]
        blocking_until(lambda: all(name in server.results for name in calls))  # no such key: nobody is asked
        asked = [server.call("update_api_key", {"id": 1, "name": f"renamed {number}"}) for number in range(count)]
        blocking_until(lambda: len(server.questions) == count)
        for question in server.questions[1:]:
            say(server, question, {"action": "decline"})
        say(server, server.questions[0], YES)
        blocking_until(lambda: all(name in server.results for name in asked))
        assert sum(not server.results[name]["result"].get("isError", False) for name in asked) == 1
        assert "result" in server.answer(server.send("ping"))
    assert home.sandbox.keys[0].name.startswith("renamed ")


@pytest.mark.long
def test_one_question_too_many_is_refused_and_the_others_still_wait(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="writes")
    home.sandbox.add_key("shared")
    code = (
        "import sys\nfrom comet_mcp.confirmation import asking as confirmation\nconfirmation.MOST_QUESTIONS = 3\n"
        "from comet_mcp.__main__ import main\nsys.exit(main([]))"
    )
    with piped(home, code, elicitation={}) as server:
        asked = [server.call("update_api_key", {"id": 1, "name": f"renamed {number}"}) for number in range(3)]
        blocking_until(lambda: len(server.questions) == 3)
        refused = server.answer(server.call("update_api_key", {"id": 1, "name": "one more"}))
        assert refused["result"]["content"][0]["text"].startswith("[confirmation_too_many]")
        server.write(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"%s"}}\n' % asked[0].encode()
        )
        say(server, server.questions[1], {"action": "decline"})
        blocking_until(lambda: asked[1] in server.results)
        blocking_until(lambda: server.call("update_api_key", {"id": 1, "name": "again"}) and len(server.questions) > 3)
        server.close()
        assert server.ended(GONE_AFTER) == 0
    assert home.sandbox.keys[0].name == "shared"


@pytest.mark.skipif(sys.platform == "win32", reason="there the threads read, which have a reader at once")
def test_lines_that_were_in_the_pipe_before_the_server_was_up_are_all_answered(make_home: MakeHome) -> None:
    count = 2 * MAX_UNANSWERED
    ours, theirs = os.pipe()
    ping = b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n'
    os.write(theirs, BYTE_ORDER_MARK + HELLO + b"".join(ping % (100 + number) for number in range(count)))
    process = subprocess.Popen(
        [sys.executable, "-m", "comet_mcp"], env=make_home().environment, stdin=ours, stdout=subprocess.PIPE
    )
    os.close(ours)
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline())["id"] for _ in range(1 + count)]
    os.write(theirs, ping % 5)
    assert json.loads(process.stdout.readline())["id"] == 5
    os.close(theirs)
    assert process.wait(LONG) == 0
    process.stdout.close()
    assert sorted(first) == [1, *range(100, 100 + count)]


@pytest.mark.long
@pytest.mark.parametrize("output_is_a_file", [True, False], ids=["to a file", "to a pipe"])
def test_every_call_in_a_file_is_answered_before_the_server_leaves(
    make_home: MakeHome, tmp_path: Path, *, output_is_a_file: bool
) -> None:
    home = make_home()
    home.sandbox.add_key("here")
    home.sandbox.faults.add("get", "latency", times=3, value="2.5")  # longer than a client that has gone is waited for
    count = 2 * MAX_UNANSWERED
    given, got = tmp_path / "input", tmp_path / "output"
    given.write_bytes(
        BYTE_ORDER_MARK + HELLO + b"".join(call(100 + number, "get_api_key", id=1) for number in range(count)) + b"{x\n"
    )
    with given.open("rb") as source, got.open("wb") as target:
        done = subprocess.run(
            [sys.executable, "-m", "comet_mcp"],
            env=home.environment,
            stdin=source,
            stdout=target if output_is_a_file else subprocess.PIPE,
            timeout=LONG,
            check=True,
        )
    answers = answers_in(got.read_bytes() if output_is_a_file else done.stdout)
    assert answers.keys() == {1, None, *range(100, 100 + count)}
    names = [answers[100 + number]["result"]["structuredContent"]["name"] for number in range(count)]
    assert set(names) == {"here"}


@pytest.mark.long
def test_a_key_that_a_call_in_a_file_made_counts_as_told(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home()
    given = tmp_path / "input"
    given.write_bytes(HELLO + call(2, "create_api_key", name="from a file") + call(3, "create_api_key", name="another"))
    with given.open("rb") as source:
        done = subprocess.run(
            [sys.executable, "-m", "comet_mcp"],
            env=home.environment,
            stdin=source,
            stdout=subprocess.PIPE,
            timeout=LONG,
            check=True,
        )
    answers = answers_in(done.stdout)
    assert {answers[number]["result"]["structuredContent"]["id"] for number in (2, 3)} == {1, 2}
    with piped(home) as server:
        again = server.answer(server.call("create_api_key", {"name": "from a file"}))
    assert again["result"]["structuredContent"]["id"] == 3


@pytest.mark.long  # by default with the lines that were in the pipe
def test_a_byte_order_mark_before_the_first_message_is_no_part_of_it(make_home: MakeHome) -> None:
    home = make_home()
    home.sandbox.add_key("here")
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp"],
        env=home.environment,
        input=BYTE_ORDER_MARK + HELLO + ASK,
        stdout=subprocess.PIPE,
        timeout=LONG,
        check=True,
    )
    answers = answers_in(done.stdout)
    assert answers[1]["result"]["serverInfo"]["name"] == "cometapi-mcp"
    assert answers[2]["result"]["structuredContent"]["name"] == "here"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no pipe there can be written without waiting")
def test_a_client_that_reads_nothing_is_read_no_further_and_its_end_ends_the_server(make_home: MakeHome) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "comet_mcp"],
        env=make_home().environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    descriptor = process.stdin.fileno()
    os.set_blocking(descriptor, False)
    text = HELLO + b'{"jsonrpc":"2.0","id":7,"method":"tools/list"}\n' * 200_000
    written = 0

    def is_full() -> bool:
        nonlocal written
        try:
            written += os.write(descriptor, text[written : written + 65_536])
        except BlockingIOError:
            return True
        return False

    blocking_until(lambda: is_full() and is_full())
    assert written < len(text)
    process.stdout.close()
    assert process.wait(LONG) == 0
    process.stdin.close()
