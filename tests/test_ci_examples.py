"""`examples/ci/`: each job as its file says, on a runner that is played here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from ruamel.yaml import YAML

from release.start import SOURCE
from tests.support import Home

EXAMPLES = Path(__file__).parents[1] / "examples" / "ci"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the jobs are lines of a POSIX shell")

TESTS = """#!/bin/sh
echo "$*" > "$HOME/arguments"
env > "$HOME/environment"
echo "a test prints $COMETAPI_KEY"
touch "$HOME/ready"
[ -e "$HOME/slow" ] && exec sleep 60
exit 7
"""


@dataclass
class Job:
    """A job: its lines before the tests, the tests, and what runs after them whatever has happened."""

    before: list[str]
    tests: str
    after: str
    masks: bool


def github() -> Job:
    steps = _read("github-actions.yml")["jobs"]["live"]["steps"]
    lines = [step for step in steps if "run" in step]
    (after,) = [step for step in lines if step.get("if") == "always()"]
    secret = {"COMETAPI_ACCESS_TOKEN": "${{ secrets.COMETAPI_ACCESS_TOKEN }}"}
    assert [step.get("env") for step in lines] == [None, secret, secret], "no other step has the access token"
    return Job([lines[0]["run"]], lines[1]["run"], after["run"], masks=True)


def gitlab() -> Job:
    (job,) = _read("gitlab-ci.yml").values()
    return Job(job["before_script"], "\n".join(job["script"]), "\n".join(job["after_script"]), masks=False)


def _read(name: str) -> Any:
    return YAML(typ="safe").load((EXAMPLES / name).read_text(encoding="utf-8"))


class Runner:
    """What runs the lines of a job, with the files that GitHub's has for its steps."""

    def __init__(self, home: Home) -> None:
        self.home = home
        tools = home.directory / "bin"
        tools.mkdir()
        self._tool(tools, "cometapi-mcp", f'#!/bin/sh\nexec "{sys.executable}" -m comet_mcp "$@"\n')
        self._tool(tools, "python", TESTS)
        for installer in ("pip", "pipx"):
            self._tool(tools, installer, f'#!/bin/sh\n[ "$*" = "install {SOURCE}" ]\n')
        self.files = [home.directory / f"GITHUB_{name}" for name in ("ENV", "OUTPUT", "STEP_SUMMARY", "PATH")]
        for file in self.files:
            file.touch()
        self.environment = {
            **home.environment,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "CI": "true",
            **{file.name: str(file) for file in self.files},
        }

    @staticmethod
    def _tool(folder: Path, name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)

    @contextmanager
    def running(self, lines: str) -> Iterator[subprocess.Popen[str]]:
        """A step, in a group of processes of its own."""
        with subprocess.Popen(
            ["/bin/sh", "-e", "-c", lines],
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as step:
            yield step

    def run(self, lines: str) -> tuple[int, str]:
        """A step to its end: its status and its log."""
        with self.running(lines) as step:
            log, _ = step.communicate(timeout=60)
            return step.returncode, log

    def read(self, name: str) -> str:
        return (self.home.directory / name).read_text(encoding="utf-8")


def shown(log: str) -> str:
    """A log as GitHub's runner shows it."""
    masks = [line.removeprefix("::add-mask::") for line in log.splitlines() if line.startswith("::add-mask::")]
    lines = [line for line in log.splitlines() if not line.startswith("::add-mask::")]
    for mask in masks:
        lines = [line.replace(mask, "***") for line in lines]
    return "\n".join(lines)


@pytest.fixture
def runner(make_home: Callable[..., Home]) -> Runner:
    return Runner(make_home())


JOBS = pytest.mark.parametrize("job", [github, gitlab])


@pytest.mark.long
@JOBS
def test_the_tests_have_a_key_of_their_own_and_the_job_their_status(job: Callable[[], Job], runner: Runner) -> None:
    lines = job()
    for line in lines.before:
        assert runner.run(line)[0] == 0
    status, log = runner.run(lines.tests)
    assert (status, runner.read("arguments")) == (7, "-m pytest tests/live\n")
    environment = dict(line.partition("=")[::2] for line in runner.read("environment").splitlines())
    assert environment["COMETAPI_KEY"].startswith("sk-")
    assert "COMETAPI_ACCESS_TOKEN" not in environment
    assert runner.home.sandbox.count("create") == 1
    assert runner.home.sandbox.keys == []
    if lines.masks:
        assert environment["COMETAPI_KEY"] not in shown(log)
        assert "a test prints ***" in shown(log)
    assert "This run spent $0.00 of $0.50" in log
    assert {file.read_text(encoding="utf-8") for file in runner.files} == {""}, "no later step gets the value"
    assert runner.run(lines.after)[0] == 0


@pytest.mark.long
@JOBS
def test_after_a_job_that_was_killed_no_key_is_left(job: Callable[[], Job], runner: Runner) -> None:
    lines = job()
    (runner.home.directory / "slow").touch()
    somebodys = runner.home.sandbox.add_key("somebody's", expired_time=1)
    with runner.running(lines.tests) as step:
        end = monotonic() + 60
        while not (runner.home.directory / "ready").exists():
            assert monotonic() < end, "the tests have not begun"
            sleep(0.05)
        assert len(runner.home.sandbox.keys) == 2
        os.killpg(step.pid, signal.SIGKILL)
        step.communicate(timeout=60)
        assert step.returncode
    assert len(runner.home.sandbox.keys) == 2
    status, log = runner.run(lines.after)
    assert status == 0, log
    assert runner.home.sandbox.keys == [somebodys]
