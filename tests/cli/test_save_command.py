"""`cometapi-mcp save`: what a person does in their own terminal, where they need nobody's leave."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.life import full_key
from tests.support import Home, in_process

OTHER = "sk-" + "anotherValueOfTheShop01234567"


@pytest.fixture
def file(home: Home) -> Path:
    return home.directory / ".env"


def save(home: Home, *arguments: str, stdin: str = "", as_: str = "OPENAI_API_KEY") -> subprocess.CompletedProcess[str]:
    return in_process("save", *arguments, "--as", as_, environment=home.environment, stdin=stdin)


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_key_goes_into_a_file_by_its_id_or_name_and_its_value_is_not_printed(home: Home, file: Path, by: str) -> None:
    row = full_key(home.sandbox, name="staging")
    done = save(home, str(row.id) if by == "id" else "staging", "--file", ".env")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f'{file.resolve()} is a new file and has the value of key {row.id} "staging" as OPENAI_API_KEY.\n'
        f"The program needs this too: OPENAI_BASE_URL={home.url}/v1\n"
    )
    assert file.read_text(encoding="utf-8") == f"OPENAI_API_KEY=sk-{row.key}\n"
    assert "has already" in save(home, "staging", "--file", ".env").stdout


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_another_value_is_replaced_only_where_the_person_agrees(
    home: Home, file: Path, answer: str, agreed: bool
) -> None:
    row = full_key(home.sandbox, name="staging")
    file.write_text(f"A=1\nOPENAI_API_KEY={OTHER} # shop\n", encoding="utf-8")
    done = save(home, "staging", "--file", str(file), stdin=answer)
    assert done.returncode == (0 if agreed else 1)
    assert "has another value for OPENAI_API_KEY. Replace it?" in done.stderr
    assert OTHER not in done.stdout + done.stderr
    value = f"sk-{row.key}" if agreed else OTHER
    assert file.read_text(encoding="utf-8") == f"A=1\nOPENAI_API_KEY={value} # shop\n"


def test_the_reveal_is_counted_and_the_place_is_noted(home: Home, file: Path) -> None:
    row = full_key(home.sandbox, name="staging")
    assert save(home, "staging", "--file", str(file)).returncode == 0
    with closing(sqlite3.connect(home.state)) as db:
        assert db.execute("SELECT key_id, path FROM place").fetchall() == [(row.id, str(file.resolve()))]
        counted: int = db.execute("SELECT count(*) FROM reveal").fetchone()[0]
    assert counted == home.sandbox.count("reveal")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nobody", "--file", ".env"], 1, 'No key is named "nobody"'),
        (["404", "--file", ".env"], 1, "No key has the id 404"),
        (["staging", "--file", "notes.txt"], 1, "is no dotenv file"),
        (["staging", "--file", "none/.env"], 1, "can't be used"),
        (["staging"], 2, "--file"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr(
    home: Home, file: Path, arguments: list[str], status: int, said: str
) -> None:
    full_key(home.sandbox, name="staging")
    done = save(home, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert not file.exists()


def test_a_file_that_git_does_not_ignore_is_refused_there_too(home: Home, file: Path) -> None:
    program = shutil.which("git")
    if program is None:
        pytest.skip("there is no git")
    full_key(home.sandbox, name="staging")
    subprocess.run([program, "init", "-q", str(home.directory)], check=True)
    done = save(home, "staging", "--file", ".env")
    assert done.returncode == 1
    assert "is not ignored by git" in done.stderr
    assert not file.exists()


@pytest.mark.long
def test_it_runs_as_a_command_and_names_what_is_not_set(home: Home, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "comet_mcp", "save", "staging", "--file", str(tmp_path / ".env")],
        env=home.environment | {"COMETAPI_ACCESS_TOKEN": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "COMETAPI_ACCESS_TOKEN is not set" in done.stderr
