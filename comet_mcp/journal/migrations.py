"""Every schema of the journal since the first release, and the way from each to the next.

A migration is applied once, inside one transaction, to a file of the version before it; a new file goes through all of
them. `tests/journal/` has a file of each version.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable

# no STRICT tables: SQLite has them since 3.37, and systems that live have older ones
_FIRST = """
CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    body TEXT NOT NULL,
    newest_before INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    begun REAL NOT NULL,
    phase TEXT NOT NULL,
    key_id INTEGER,
    key_created INTEGER,
    rotation INTEGER,
    given_up INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL
);
CREATE TABLE rotation (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    old_id INTEGER NOT NULL,
    old_created INTEGER NOT NULL,
    body TEXT NOT NULL,
    old_key TEXT NOT NULL,
    old_until INTEGER NOT NULL,
    begun REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE reveal (account TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE answered (nonce TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    intent INTEGER
);
"""

_SECOND = """
CREATE TABLE account (id TEXT PRIMARY KEY, base_url TEXT, user_id INTEGER);
CREATE UNIQUE INDEX one_account ON account (base_url, user_id) WHERE user_id IS NOT NULL;
CREATE TABLE alias (digest TEXT PRIMARY KEY, account TEXT NOT NULL);
CREATE TABLE operation (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    extra TEXT,
    begun REAL NOT NULL,
    watermark TEXT NOT NULL,
    holder TEXT NOT NULL,
    lease_until REAL NOT NULL,
    accepted INTEGER NOT NULL,
    disconnected INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    key_id INTEGER,
    key_created INTEGER,
    old TEXT,
    old_id INTEGER,
    target TEXT
);
CREATE UNIQUE INDEX claimed ON operation (account, key_id, key_created)
    WHERE key_id IS NOT NULL AND kind != 'change' AND state != 'released';
CREATE INDEX open_operation ON operation (account, state)
    WHERE kind != 'change' AND state NOT IN ('not_done', 'released')
    AND (NOT acknowledged OR state IN ('abandoned', 'unstored'));
CREATE INDEX operation_of_key ON operation (account, key_id) WHERE kind = 'change';
CREATE INDEX rotation_of ON operation (account, old_id) WHERE old_id IS NOT NULL;
CREATE TABLE granted (
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    operation TEXT NOT NULL
);
CREATE INDEX granted_of ON granted (account, at);
CREATE INDEX granted_for ON granted (operation);
CREATE TABLE key_lease (
    account TEXT NOT NULL, key_id INTEGER NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (account, key_id)
);
CREATE TABLE share (
    origin TEXT NOT NULL, server TEXT NOT NULL, calls INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (origin, server)
);
"""

_THIRD = """
ALTER TABLE share RENAME TO old_share;
CREATE TABLE share (
    origin TEXT NOT NULL, server TEXT NOT NULL, calls INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (origin, server, until)
);
INSERT INTO share SELECT origin, server, calls, until FROM old_share;
DROP TABLE old_share;
DROP INDEX claimed;
CREATE UNIQUE INDEX claimed ON operation (account, key_id, key_created)
    WHERE key_id IS NOT NULL AND kind IN ('create', 'rotate') AND state != 'released';
DROP INDEX open_operation;
CREATE INDEX open_operation ON operation (account, state)
    WHERE kind IN ('create', 'rotate') AND state NOT IN ('not_done', 'released')
    AND (NOT acknowledged OR state IN ('abandoned', 'unstored'));
DROP INDEX operation_of_key;
CREATE INDEX operation_of_key ON operation (account, key_id) WHERE kind IN ('change', 'delete');
CREATE INDEX open_change ON operation (account, begun)
    WHERE kind = 'change' AND state IN ('pending', 'outcome_unknown');
CREATE TABLE place (
    account TEXT NOT NULL, key_id INTEGER NOT NULL, key_created INTEGER NOT NULL, path TEXT NOT NULL,
    variable TEXT NOT NULL,
    PRIMARY KEY (account, key_id, key_created, path, variable)
)
"""

_FOURTH = """
ALTER TABLE operation ADD COLUMN lease TEXT;
CREATE INDEX leased ON operation (begun) WHERE lease IS NOT NULL AND state NOT IN ('not_done', 'released')
"""

_STATES = {
    "sent": "pending",
    "accepted": "accepted",
    "unclear": "outcome_unknown",
    "lost": "outcome_unknown",
    "unlisted": "accepted_unlisted",
    "missing": "abandoned",
    "claimed": "matched",
    "unsaved": "unstored",
    "saved": "stored",
    "undelivered": "stored",
    "closed": "not_done",
}
"""What the first version called a phase."""


def first(db: sqlite3.Connection) -> None:
    """The schema of the first version."""
    _all(db, _FIRST)


def identities_and_operations(db: sqlite3.Connection) -> None:
    """Accounts apart from access tokens; creates, rotations and changes as operations of one machine."""
    _all(db, _SECOND)
    accounts = {name for table in ("intent", "rotation", "reveal", "spending") for (name,) in _accounts(db, table)}
    for digest in accounts:  # the number and the address are learnt with the first call that has this token
        db.execute("INSERT INTO account VALUES (?, NULL, NULL)", (digest,))
        db.execute("INSERT INTO alias VALUES (?, ?)", (digest, digest))
    names: dict[int, str] = {}
    rotations = {
        row[0]: row[1:] for row in db.execute("SELECT id, old_id, old_created, old_key, old_until FROM rotation")
    }
    done = {number for (number,) in db.execute("SELECT id FROM rotation WHERE done")}
    intents = db.execute(
        "SELECT id, account, body, newest_before, not_before, begun, phase, key_id, key_created, rotation, given_up "
        "FROM intent ORDER BY id"
    ).fetchall()
    for number, account, body, newest, since, begun, phase, key_id, created, rotation, given_up in intents:
        names[number] = secrets.token_hex(8)
        old = rotations.get(rotation)
        state = "released" if phase == "closed" and key_id is not None else _STATES.get(phase, "outcome_unknown")
        if old is not None and rotation in done and phase == "saved":
            state = "retired"
        db.execute(
            "INSERT INTO operation VALUES (?, ?, ?, ?, ?, NULL, ?, ?, '', 0, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                names[number],
                account,
                "create" if old is None else "rotate",
                state,
                body,
                begun,
                json.dumps([newest, since, 0]),
                int(phase in ("accepted", "unlisted", "missing")),
                int(bool(given_up) or phase == "undelivered"),
                int(phase in ("saved", "missing") or (phase == "unsaved" and not given_up)),
                key_id,
                created,
                None if old is None else json.dumps([*old, 0]),
                None if old is None else old[0],
            ),
        )
    for account, at, keys, units, intent in db.execute(
        "SELECT account, at, keys, units, intent FROM spending"
    ).fetchall():
        db.execute("INSERT INTO granted VALUES (?, ?, ?, ?, ?)", (account, at, keys, units, names.get(intent, "")))
    for table in ("intent", "rotation", "spending"):
        db.execute(f"DROP TABLE {table}")


def shares_deletes_and_places(db: sqlite3.Connection) -> None:
    """The third: a server's calls count until several moments, a delete is an operation, and values have places."""
    _all(db, _THIRD)


def leases_of_keys(db: sqlite3.Connection) -> None:
    """The fourth: a create can be of a key that is deleted when its work is done."""
    _all(db, _FOURTH)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    first,
    identities_and_operations,
    shares_deletes_and_places,
    leases_of_keys,
)
"""In order. The version of a file is how many of them were applied to it."""


def _all(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)


def _accounts(db: sqlite3.Connection, table: str) -> list[tuple[str]]:
    return db.execute(f"SELECT DISTINCT account FROM {table}").fetchall()  # noqa: S608 - a constant
