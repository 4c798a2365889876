"""A part of the tests of the wire, the end and kills once more, with servers that begin from a recording."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.steps import LONG, started
from tests.support import Home
from tests.warm import VARIABLE, running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is replayed there")

MakeHome = Callable[..., Home]
ROOT = Path(__file__).parents[2]
PARTS = [
    ["tests/e2e/test_stdio.py"],
    ["tests/robustness/test_stdio_fuzz.py", "-k", "signal or ends or leaves or cancel"],
    ["tests/robustness/test_kill.py", "-k", "an_equal_one_makes_no_second_key"],
]


def test_a_server_that_is_started_so_begins_from_a_recording(make_home: MakeHome) -> None:
    home = make_home()
    with running(), started(home.environment) as server:
        server.initialize()
        recordings = list((home.directory / ".cache" / "cometapi-mcp").iterdir())
    assert len(recordings) == 3


@pytest.mark.parametrize("part", PARTS, ids=lambda part: Path(part[0]).stem)
def test_with_a_recording_it_is_as_without(part: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "", "-n0", "-q", "-p", "no:cacheprovider", *part],
        env={**os.environ, VARIABLE: "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG * 20,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
