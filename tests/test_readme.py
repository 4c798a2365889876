"""README's lines and configurations, as a person would take them from the page."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_one_line_installs_and_shows_the_main_job_and_one_installs_and_runs_the_tests() -> None:
    assert blocks("sh") == [
        "python3 install.py && .venv/bin/cometapi-mcp demo\n",
        "python3 install.py --dev && .venv/bin/python -m pytest\n",
    ]


@pytest.mark.long
def test_the_first_line_works_in_a_fresh_copy_over_a_stale_environment(tmp_path: Path) -> None:
    """The packages are fetched, so this takes a network."""
    clone = tmp_path / "a clone"
    for name in ("install.py", "pyproject.toml", "README.md", "LICENSE"):
        clone.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, clone)
    shutil.copytree(ROOT / "comet_mcp", clone / "comet_mcp", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").touch()
    said = ""
    for step in blocks("sh")[0].split(" && "):
        program, *arguments = shlex.split(step)
        if program == "python3":
            # not ours, which has no pip
            program = str(Path(sys.base_prefix, "python.exe" if sys.platform == "win32" else "bin/python3"))
        elif sys.platform == "win32":
            program = program.replace("/bin/", "/Scripts/") + ".exe"
        done = subprocess.run([clone / program, *arguments], cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    assert "Everything worked" in said


def test_ci_takes_the_line_of_the_tests_from_the_page() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "block == 2' README.md" in script
    assert "pytest" in blocks("sh")[1]


def test_from_landing_to_a_key_it_takes_two_lines_and_a_word_to_the_assistant() -> None:
    fetched, installed = blocks("bash")[0].splitlines()
    assert fetched == "git clone https://github.com/cometapi-mcp/cometapi-mcp && cd cometapi-mcp"
    assert installed == "python3 install.py && .venv/bin/cometapi-mcp setup"


def test_the_config_file_example_is_toml_with_the_clis_name_for_the_token() -> None:
    (text,) = [text for text in blocks("toml") if "access_token" in text]
    assert list(tomllib.loads(text)) == ["access_token"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_the_configurations_in_the_docs_are_toml(page: Path) -> None:
    for text in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        assert tomllib.loads(text)
