"""What the simulation has to do with a journal's file: it reads the audit trail, and puts a new file in its place.

The one place that knows its tables.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from comet_mcp.journal.sqlite import SQLiteJournal


def audit_rows(path: Path) -> list[dict[str, Any]]:
    """The entries of the trail, oldest first."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        return [json.loads(entry) for (entry,) in db.execute("SELECT entry FROM audit ORDER BY id")]


@cache
def empty() -> bytes:
    """The file of a journal with nothing in it: to go through all migrations takes as long as ten steps."""
    with tempfile.TemporaryDirectory() as directory:
        journal = SQLiteJournal(Path(directory) / "journal.sqlite3")
        journal.compact()
        journal.close()
        return journal.path.read_bytes()
