"""A journal that is looked at: nothing is written, whoever has it open."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from comet_mcp.audit import chain
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.examination import Examined, Unusable, examine
from comet_mcp.journal.rows import AuditRow
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.journal.writes import AppendAudit

ROOT = Path(__file__).parent.parent.parent
ROW = AuditRow(1, "{}", chain.hashed(chain.NO_HASH, 1, "{}"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite3"


def tree(path: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in [path.parent, *path.parent.iterdir()]}


def seen(path: Path) -> Examined:
    before = tree(path)
    found = examine(path)
    assert tree(path) == before
    assert isinstance(found, Examined), found
    return found


async def test_what_an_open_journal_has_written_last_is_seen(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.run(Step(Reads(), lambda _: Decision(None, [AppendAudit(ROW)])))
    assert seen(path).trail.audit == [ROW]
    journal.close()
    assert seen(path).trail.audit == [ROW]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_a_server_had_written_that_was_killed_is_seen(path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from comet_mcp.journal.sqlite import _open\n"
        "db = _open(pathlib.Path(sys.argv[1]))\n"
        "db.execute('INSERT INTO audit VALUES (?, ?, ?)', (1, '{}', sys.argv[2]))\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), ROW.hash], check=True, cwd=ROOT)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0
    assert seen(path).trail.audit == [ROW]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_journal_of_an_older_version_is_read_and_stays_one(path: Path, version: int) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript((ROOT / "tests" / "data" / f"journal-v{version}.sql").read_text(encoding="utf-8"))
    db.close()
    found = seen(path)
    assert found.older == 4 - version
    assert bool(found.in_doubt) is (version > 1), "what the first has becomes an operation when a server opens it"


def test_a_journal_that_another_program_writes_to_for_long_is_told_so(path: Path) -> None:
    path.parent.mkdir()
    code = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA journal_mode = DELETE')\n"
        "db.execute('CREATE TABLE x (y)')\n"
        "db.execute('BEGIN EXCLUSIVE')\n"
        "db.execute('INSERT INTO x VALUES (1)')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        found = examine(path)
        holder.communicate()
    assert isinstance(found, Unusable)
    assert "locked by another program" in found.reason
