"""`install.py`, which README's first line runs: in a folder of its own, with a pip that only notes what it was told."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import install

SCRIPT = Path(install.__file__)
PIP = """\
import json, sys, pathlib
if sys.argv[1:] == ["--version"]:
    print("{version}")
    sys.exit({status})
pathlib.Path({notes!r}).write_text(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the script in it."""
    directory = tmp_path / "a clone"
    directory.mkdir()
    shutil.copy(SCRIPT, directory)
    return directory


def run(clone: Path, *arguments: str, pip: str = "pip 22.3 from here", status: int = 0) -> tuple[int, str, list[str]]:
    """Its exit status, what it printed, and what it told pip to do."""
    notes = clone.parent / "told.json"
    package = clone.parent / "modules" / "pip"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PIP.format(version=pip, status=status, notes=str(notes)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, clone / "install.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=clone.parent,  # it is not started in its folder
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else []
    return done.returncode, done.stdout + done.stderr, told


def test_it_makes_the_environment_anew_whatever_was_there(clone: Path) -> None:
    stale = clone / ".venv" / "lib" / "of another Python"
    stale.parent.mkdir(parents=True)
    stale.touch()
    status, said, told = run(clone)
    assert (status, stale.exists(), (clone / ".venv" / "pyvenv.cfg").exists()) == (0, False, True), said
    assert told[:3] == ["--python", str(clone / ".venv"), "install"]
    assert told[-1] == str(clone)
    assert "cometapi-mcp demo" in said


def test_for_development_it_installs_the_clone_itself_with_what_its_tests_need(clone: Path) -> None:
    status, said, told = run(clone, "--dev")
    assert (status, told[-2:]) == (0, ["-e", f"{clone}[dev]"]), said


@pytest.mark.parametrize(
    ("pip", "status", "hint"),
    [("pip 22.2.2 from /usr", 0, "This is pip 22.2;"), ("", 1, "This Python has no pip;")],
    ids=["old", "missing"],
)
def test_a_pip_that_will_not_do_is_named_and_nothing_is_touched(clone: Path, pip: str, status: int, hint: str) -> None:
    kept = clone / ".venv" / "kept"
    kept.parent.mkdir()
    kept.touch()
    result, said, told = run(clone, pip=pip, status=status)
    assert (result, told, kept.exists()) == (1, [], True)
    assert said.startswith(f"{install.NEEDS} {hint}")


def test_an_old_python_understands_it_and_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert "run this file with a newer one" in install.missing()
    assert "Python 3.11" in install.NEEDS
    assert "pip 22.3" in install.NEEDS


def test_what_fails_is_shown(clone: Path) -> None:
    (clone / ".venv").touch()  # a file, where a folder is to be
    status, said, _ = run(clone)
    assert status == 1
    assert "This failed: " in said


def test_an_unknown_argument_is_told_how_it_is_used(clone: Path) -> None:
    assert run(clone, "--fast")[0] == 2
    assert run(clone, "--help")[0] == 0
