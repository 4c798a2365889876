"""What the simulation reads of a journal: the audit trail. The one place that knows its tables."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def audit_rows(path: Path) -> list[dict[str, Any]]:
    """The entries of the trail, oldest first."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        return [json.loads(entry) for (entry,) in db.execute("SELECT entry FROM audit ORDER BY id")]
