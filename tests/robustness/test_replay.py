"""With a recording and without one, a real process writes the same lines, whatever it is sent."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any
from unittest import mock

import pytest

from tests.e2e.steps import LONG, blocking_until
from tests.support import Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is replayed there")

MakeHome = Callable[..., Home]
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping")
FORMS: tuple[dict[str, Any] | None, ...] = (None, {})
VERSIONS = ("2025-06-18", "2025-11-25", "2026-07-28", "1999-01-01")
READY = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
ROOT = Path(__file__).parents[2]
SESSIONS = 300
IN_A_BLOCK = 30


def message(method: str, number: Any, params: Any = None) -> bytes:
    body = {"jsonrpc": "2.0", "id": number, "method": method}
    return json.dumps(body if params is None else {**body, "params": params}, ensure_ascii=False).encode() + b"\n"


def opening(version: str, number: Any) -> bytes:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return message("initialize", number, params)


def drawn(seed: int) -> list[bytes]:
    """What one client sends, in the pieces in which it comes."""
    rng = random.Random(seed)  # noqa: S311 - no secret

    def number() -> Any:
        return rng.choice([rng.randrange(9), rng.randrange(9), f"n{rng.randrange(9)}", "é", 2**60, 1.5, None, True])

    def later() -> bytes:
        odd = [
            message("tools/list", number(), {"cursor": "x"}),
            message("tools/list", number(), {"_meta": {"progressToken": 1}}),
            message("tools/call", number(), {"name": "create_api_key", "arguments": {"colour": "red"}}),
            message("tools/call", number(), {"name": "no_such_tool"}),
            message("prompts/get", number(), {"name": "nothing"}),
            message("server/discover", number(), {}),
            message("no/such/method", number()),
            opening(rng.choice(VERSIONS), number()),
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}\n',
            b"no JSON\n",
            b"\n",
            READY,
        ]
        if rng.random() < 0.6:
            return message(rng.choice(LISTS), number(), rng.choice([None, {}]))
        return rng.choice(odd)

    begin = [opening(rng.choice(VERSIONS), rng.choice([0, 1, "first"]))] if rng.random() < 0.9 else []
    ready = [READY] if rng.random() < 0.8 else []
    text = b"".join([*begin, *ready, *(later() for _ in range(rng.randrange(8)))])
    text += rng.choice([b"", b"", message("ping", "last")[:-1], b'{"jsonrpc"'])
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(4)))
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def started(home: Home, **extra: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "comet_mcp"],
        env={**home.environment, **extra},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def written(home: Home, pieces: list[bytes], **extra: str) -> tuple[list[bytes], bytes, int]:
    """The lines that a process writes for these pieces, what it says on stderr, and its exit status."""
    process = started(home, **extra)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        for piece in pieces:
            process.stdin.write(piece)
            process.stdin.flush()
            sleep(0.001)
    out, said = process.communicate(timeout=LONG)
    return out.splitlines(keepends=True), said, process.returncode


def recorded(home: Home, versions: tuple[str, ...] = VERSIONS) -> None:
    """Have the handshake of clients of these versions recorded."""
    for version in versions:
        lists = [message(name, f"of {name} {form}", form) for name in LISTS for form in FORMS]
        written(home, [opening(version, 0), READY, *lists])
    # one that no server of today speaks to is answered with another version, so it is recorded too
    assert len(list((home.directory / ".cache" / "cometapi-mcp").iterdir())) == len(versions)


OF_PYTHON = (b"Could not import runpy module", b"Failed to import the site module")
BLOCKS = [pytest.param(block, id=f"{block * IN_A_BLOCK}") for block in range(SESSIONS // IN_A_BLOCK)]


@pytest.mark.parametrize("block", BLOCKS)
def test_with_a_recording_the_same_lines_come(make_home: MakeHome, block: int) -> None:
    home = make_home()
    recorded(home)
    for seed in range(block * IN_A_BLOCK, (block + 1) * IN_A_BLOCK):
        pieces = drawn(seed)
        alone = written(home, pieces, COMETAPI_MCP_REPLAY="0")
        replayed = written(home, pieces)
        # answers that do not depend on each other may come in any order
        assert (sorted(replayed[0]), *replayed[1:]) == (sorted(alone[0]), *alone[1:]), (seed, b"".join(pieces))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_at_any_moment_ends_it_and_no_line_is_wrong_or_there_twice(
    make_home: MakeHome, number: signal.Signals
) -> None:
    home = make_home()
    recorded(home)
    rng = random.Random(number)  # noqa: S311 - no secret
    pieces = [opening(VERSIONS[0], 0), READY, *(message(name, name) for name in LISTS)]
    whole = written(home, pieces)[0]
    for _ in range(20):
        process = started(home)
        assert process.stdin is not None
        process.stdin.write(b"".join(pieces))
        process.stdin.flush()
        sleep(rng.random() * 0.6)
        process.send_signal(number)
        out, said = process.communicate(timeout=LONG)
        complete = [line for line in out.splitlines(keepends=True) if line.endswith(b"\n")]
        assert len(complete) == len(set(complete))
        assert set(complete) <= set(whole)
        # Python itself ends with 1 where it has not come to any program yet
        assert process.returncode in (-number, 130) or any(words in said for words in OF_PYTHON), said


def test_two_that_start_at_once_leave_a_recording_that_holds(make_home: MakeHome) -> None:
    home = make_home()
    processes = [started(home) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(opening(VERSIONS[0], 1) + message("tools/list", 2))
        process.stdin.close()
        process.stdin = None
    lines = {process.communicate(timeout=LONG)[0] for process in processes}
    assert len(lines) == 1
    assert written(home, [opening(VERSIONS[0], 1), message("tools/list", 2)]) == (
        lines.pop().splitlines(keepends=True),
        b"",
        0,
    )


def test_a_start_that_has_something_to_say_leaves_no_recording(make_home: MakeHome) -> None:
    home = make_home(COMETAPI_MCP_TIMEOUT="soon")
    _, said, _ = written(home, [opening(VERSIONS[0], 1), message("tools/list", 2)])
    assert b"COMETAPI_MCP_TIMEOUT" in said
    assert not (home.directory / ".cache").exists()


def test_a_cache_that_cannot_be_written_changes_nothing(make_home: MakeHome) -> None:
    home = make_home()
    (home.directory / ".cache").touch()
    sent = [opening(VERSIONS[0], 1), message("tools/list", 2)]
    assert written(home, sent) == written(home, sent, COMETAPI_MCP_REPLAY="0")


def test_a_call_after_a_replayed_handshake_makes_a_key(make_home: MakeHome) -> None:
    home = make_home()
    sent = [opening(VERSIONS[0], 1), READY, message("tools/list", 2)]
    written(home, sent)
    body = {"name": "after", "remain_quota": 5000, "expired_time": -1}
    process = started(home)
    try:
        assert process.stdin is not None
        process.stdin.write(b"".join([*sent, message("tools/call", 3, {"name": "create_api_key", "arguments": body})]))
        process.stdin.flush()
        blocking_until(lambda: home.key_files)
    finally:
        out, _ = process.communicate(timeout=LONG)
    assert [json.loads(line)["id"] for line in out.splitlines()] == [1, 2, 3]
    assert len(home.sandbox.keys) == 1


def test_a_config_that_comes_through_a_pipe_is_read_once_and_nothing_is_recorded(make_home: MakeHome) -> None:
    sent = [opening(VERSIONS[0], 1), message("tools/list", 2)]
    home = make_home()
    pipe = home.directory / "config"
    home.extra["COMETAPI_MCP_CONFIG"] = str(pipe)
    text = "[mcp]\nread_only = true\n"
    pipe.write_text(text)
    pipe.chmod(0o600)
    expected = written(home, sent)
    pipe.unlink()
    os.mkfifo(pipe, 0o600)
    for _ in range(2):
        process = started(home)
        with pipe.open("w") as config:  # waits for the one who reads
            config.write(text)
        assert process.communicate(b"".join(sent), timeout=LONG)[0].splitlines(keepends=True) == expected[0]


def test_a_client_that_reads_nothing_and_closes_its_end_is_left(make_home: MakeHome) -> None:
    home = make_home()
    sent = [opening(VERSIONS[0], 1), *(message("tools/list", number) for number in range(2, 30))]
    written(home, sent[:2])
    process = started(home)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(sent))
    process.stdin.close()
    process.wait(LONG)
    whole = written(home, sent, COMETAPI_MCP_REPLAY="0")[0]
    read = process.stdout.read()
    assert read
    assert b"".join(whole).startswith(read)
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


@pytest.mark.parametrize("replay", ["0", "1"])
def test_a_client_that_reads_late_gets_every_answer_once(make_home: MakeHome, replay: str) -> None:
    home = make_home()
    sent = [opening(VERSIONS[0], 1), *(message("tools/list", number) for number in range(2, 100))]
    written(home, sent[:2], COMETAPI_MCP_REPLAY="1")
    process = started(home, COMETAPI_MCP_REPLAY=replay)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(sent))
    process.stdin.flush()
    sleep(1.5)
    lines = [process.stdout.readline() for _ in sent]
    assert sorted(json.loads(line)["id"] for line in lines) == list(range(1, 100))
    out, said = process.communicate(timeout=LONG)
    assert (out, said) == (b"", b"")


def test_a_client_that_leaves_many_files_open_is_answered(make_home: MakeHome) -> None:
    import resource  # noqa: PLC0415 - Windows has none

    home = make_home()
    sent = [opening(VERSIONS[0], 1), message("tools/list", 2)]
    expected = written(home, sent)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    first, second = os.pipe()
    os.set_inheritable(second, True)
    many = [os.dup(second) for _ in range(1100)]
    for descriptor in many:
        os.set_inheritable(descriptor, True)
    try:
        with mock.patch.object(subprocess, "Popen", partial(subprocess.Popen, close_fds=False)):
            process = started(home)
        out, said = process.communicate(b"".join(sent), timeout=LONG)
    finally:
        for descriptor in (first, second, *many):
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (out.splitlines(keepends=True), said, process.returncode) == expected


def test_a_byte_order_mark_in_the_middle_is_no_more_one_after_a_recording(make_home: MakeHome) -> None:
    home = make_home()
    sent = [opening(VERSIONS[0], 1), b"\xef\xbb\xbf" + message("ping", 2)]
    written(home, [*sent[:1], message("ping", 2)])
    assert sorted(written(home, sent)[0]) == sorted(written(home, sent, COMETAPI_MCP_REPLAY="0")[0])
