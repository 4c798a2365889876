"""The handshake from a recording, by a real process. `tests/robustness/test_replay.py` holds it against none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.steps import LONG
from tests.robustness.test_replay import READY, VERSIONS, message, opening, recorded, started, written
from tests.support import Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is replayed there")

MakeHome = Callable[..., Home]

BLOCKED = """\
import os, sys, time

class Waiting:
    def find_spec(self, name, path=None, target=None):
        while name == "mcp_types._types" and not os.path.exists(os.environ["GO"]):
            time.sleep(0.01)

if "GO" in os.environ:
    sys.meta_path.insert(0, Waiting())
"""


@pytest.mark.long
def test_the_handshake_is_answered_before_the_sdk_is_loaded_and_the_rest_after(
    make_home: MakeHome, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    go = tmp_path / "go"
    home = make_home(PYTHONPATH=str(tmp_path))
    recorded(home, VERSIONS[:1])
    process = started(home, GO=str(go))
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(opening(VERSIONS[0], 5) + READY + message("tools/list", 6))
        process.stdin.flush()
        assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == [5, 6]
        process.stdin.write(message("tools/call", 7, {"name": "nothing"}))
        process.stdin.flush()
        go.touch()
        assert json.loads(process.stdout.readline())["id"] == 7
    finally:
        out, said = process.communicate(timeout=LONG)
    assert (out, said) == (b"", b"")


@pytest.mark.long
def test_a_client_that_only_lists_leaves_a_process_that_ends_without_the_sdk(
    make_home: MakeHome, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    home = make_home(PYTHONPATH=str(tmp_path))
    recorded(home, VERSIONS[:1])
    lines, said, status = written(home, [opening(VERSIONS[0], 1), message("tools/list", 2)], GO=str(tmp_path / "never"))
    assert ([json.loads(line)["id"] for line in lines], said, status) == ([1, 2], b"", 0)


@pytest.mark.long  # without a process: tests/transports/test_replay.py
@pytest.mark.parametrize(
    "change",
    [
        {"config": "1"},
        {"COMETAPI_MCP_READ_ONLY": "1"},
        {"COMETAPI_MCP_DISABLE_TOOLS": "save_api_key"},
    ],
)
def test_a_setting_that_was_changed_is_seen_by_the_next_start(make_home: MakeHome, change: dict[str, str]) -> None:
    home = make_home()
    sent = [opening(VERSIONS[0], 1), message("tools/list", 2)]
    before = written(home, sent)[0]
    assert written(home, sent)[0] == before
    if "config" in change:
        config = home.directory / ".config" / "cometapi" / "config.toml"
        config.parent.mkdir(parents=True)
        config.touch(0o600)
        config.write_text("[mcp]\nread_only = true\n")
        change = {}
    after = written(home, sent, **change)[0]
    assert (after, len(after)) == (written(home, sent, COMETAPI_MCP_REPLAY="0", **change)[0], 2)
    assert after != before
