"""Journals of earlier versions: what was open stays open, what was counted stays counted, and the trail holds."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from comet_mcp.audit import chain
from comet_mcp.domain.key import KeySpec
from comet_mcp.errors import JournalError
from comet_mcp.journal import sqlite
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.migrations import MIGRATIONS
from comet_mcp.journal.operations import Operation, State
from comet_mcp.journal.rows import KeyLease, Place, Share
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.services.identity import digest_of_token
from comet_mcp.settings import load
from tests.e2e.steps import served
from tests.support import Home, data_of

DATA = Path(__file__).parents[1] / "data"
API = "https://api.cometapi.com"
ACCOUNT = "64d69e6bfa04c929"
BEGUN = 1_790_000_000


def made(path: Path, version: int = 1) -> Path:
    """A journal as that version left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript((DATA / f"journal-v{version}.sql").read_text(encoding="utf-8"))
    return path


async def read(path: Path, reads: Reads) -> Rows:
    journal = SQLiteJournal(path)
    try:
        return await journal.run(Step(reads, Decision))
    finally:
        journal.close()


def everything(path: Path) -> dict[str, tuple[Any, ...]]:
    """Each operation by its key's name."""
    query = (
        "SELECT json_extract(spec, '$.name'), kind, state, disconnected, acknowledged, accepted, key_id, old_id, begun "
        "FROM operation"
    )
    with closing(sqlite3.connect(path)) as db:
        return {name: tuple(rest) for name, *rest in db.execute(query)}


def test_there_is_a_journal_of_every_version_but_the_newest() -> None:
    files = {path.name for path in DATA.glob("journal-v*.sql")}
    assert files == {f"journal-v{version}.sql" for version in range(1, len(MIGRATIONS))}


async def test_what_was_open_is_open_and_what_was_done_is_done(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    await read(path, Reads())
    said, told = (1, 0), (0, 1)
    assert {name: row[:-1] for name, row in everything(path).items()} == {
        # kind, state, disconnected and acknowledged, accepted, the key, the old key
        "sent": ("create", "pending", 0, 0, 0, None, None),
        "accepted": ("create", "accepted", 0, 0, 1, None, None),
        "unclear": ("create", "outcome_unknown", 0, 0, 0, None, None),
        "unlisted": ("create", "accepted_unlisted", 0, 0, 1, None, None),
        "lost": ("create", "outcome_unknown", 0, 0, 0, None, None),
        "missing": ("create", "abandoned", *told, 1, None, None),
        "claimed": ("create", "matched", 0, 0, 0, 7, None),
        "unsaved": ("create", "unstored", *told, 0, 8, None),
        "saved": ("create", "stored", *told, 0, 9, None),
        "undelivered": ("create", "stored", *said, 0, 10, None),
        "closed": ("create", "not_done", 0, 0, 0, None, None),
        "deleted": ("create", "released", 0, 0, 0, 12, None),
        "sent and given up": ("create", "pending", *said, 0, None, None),
        "unsaved and given up": ("create", "unstored", *said, 0, 14, None),
        "rotated": ("rotate", "retired", *told, 0, 15, 501),
        "half rotated": ("rotate", "stored", *told, 0, 16, 502),
        "rotation lost": ("rotate", "outcome_unknown", 0, 0, 0, None, 503),
    }
    assert {row[-1] - BEGUN for row in everything(path).values()} == set(range(1, 18))


async def test_open_operations_are_read_with_all_that_they_need(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    found = {one.spec.name: one for one in (await read(path, Reads(ACCOUNT, operations="open"))).operations}
    assert set(found) == {
        *("sent", "accepted", "unclear", "unlisted", "lost", "missing", "claimed", "unsaved", "undelivered"),
        *("sent and given up", "unsaved and given up", "rotation lost"),
    }
    assert not any(one.is_held(BEGUN) for one in found.values()), "their servers are of another version"
    lost = found["lost"]
    assert (lost.watermark.id, lost.watermark.since) == (100, BEGUN - 5)
    assert lost.spec.is_equal(KeySpec(name="lost", remain_quota=500_000))
    rotations = await _rotations(path, 502)
    assert [(one.state, one.old and one.old.end) for one in rotations] == [(State.STORED, "disable")]
    assert rotations[0].is_open_rotation
    assert await _rotations(path, 504) == [], "a rotation that sent nothing"


async def _rotations(path: Path, old: int) -> list[Operation]:
    return (await read(path, Reads(ACCOUNT, key_id=old, rotations=True))).rotations


async def test_counts_reveals_confirmations_and_the_trail_are_kept(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    rows = await read(path, Reads(ACCOUNT, spending=True, reveals=True, nonce="nonce-1", audit="all"))
    assert (rows.spending.keys, rows.spending.units) == (11, 11 * 500_000 + 250_000)
    assert rows.reveals == [BEGUN + 1, BEGUN + 2]
    assert rows.nonce_used
    assert (chain.verify(rows).rows, chain.verify(rows).fault) == (2, None)
    assert (await read(path, Reads("another-account0", spending=True))).spending.units == 7


async def test_what_was_counted_for_a_create_is_still_known_as_its(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    await read(path, Reads())
    with closing(sqlite3.connect(path)) as db:
        joined = "SELECT count(*) FROM granted JOIN operation ON operation.id = granted.operation"
        assert db.execute(joined).fetchone() == (11,)


async def test_all_that_version_2_knows_is_kept_and_it_knows_no_places(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3", 2)
    kept = ("account", "alias", "granted", "operation", "reveal", "audit", "key_lease", "share")

    def rows_of(table: str) -> list[Any]:
        with closing(sqlite3.connect(path)) as db:
            return db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()  # noqa: S608 - a table's name

    before = {table: rows_of(table) for table in kept}
    rows = await read(path, Reads(ACCOUNT, accounts=True, alias=ACCOUNT, key_id=9, key_lease=True, places=(9, BEGUN)))
    assert (rows.known_as, rows.key_lease is not None, rows.places) == (ACCOUNT, True, [])
    before["operation"] = [(*row, None) for row in before["operation"]]  # no lease
    assert {table: rows_of(table) for table in kept} == before


async def test_all_that_version_3_knows_is_kept_and_it_knows_no_leases(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3", 3)
    rows = await read(path, Reads(ACCOUNT, operations="of_key", key_id=10, places=(9, BEGUN + 9)))
    assert rows.places == [Place("/home/ann/shop/.env", "COMETAPI_KEY")]
    assert [(one.kind, one.state, one.lease) for one in rows.operations] == [("delete", State.PENDING, None)]
    assert (await read(path, Reads(operations="leased"))).operations == []


async def test_an_account_is_known_by_its_token_alone_until_its_number_is_heard(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    settings = load({"COMETAPI_ACCESS_TOKEN": "token-1", "HOME": str(tmp_path)})
    assert digest_of_token(settings) == ACCOUNT
    rows = await read(path, Reads(accounts=True, alias=ACCOUNT))
    assert rows.known_as == ACCOUNT
    assert [(one.base_url, one.user_id) for one in rows.accounts if one.id == ACCOUNT] == [(None, None)]


async def test_calls_that_servers_had_taken_ahead_and_what_was_left_open_are_kept(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3", 2)
    rows = await read(
        path, Reads(ACCOUNT, operations="of_key", key_id=9, key_lease=True, shares=API, claims=((9, BEGUN + 9),))
    )
    assert rows.shares == [Share("server-1", 60, BEGUN + 230), Share("server-2", 12, BEGUN + 240)]
    assert [(one.kind, one.state) for one in rows.operations] == [("change", State.OUTCOME_UNKNOWN)]
    assert rows.key_lease == KeyLease("server-1", BEGUN + 26)
    assert rows.claimed == {(9, BEGUN + 9)}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_migrated_file_is_the_same_as_a_new_one(version: int, tmp_path: Path) -> None:
    await read(tmp_path / "new.sqlite3", Reads())
    await read(made(tmp_path / "old.sqlite3", version), Reads())
    schemas = []
    for name in ("new", "old"):
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite3")) as db:
            query = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
            schemas.append(db.execute(query).fetchall())
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert schemas[0] == schemas[1]


async def test_servers_that_open_it_at_once_migrate_it_once(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.sqlite3")
    failures: list[Exception] = []

    def use() -> None:
        try:
            anyio.run(read, path, Reads(ACCOUNT, operations="open"))
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(everything(path)) == 17


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (
            "disk I/O error",
            "SQLITE_IOERR_LOCK",
            r"can't do what SQLite needs, .* \(disk i/o error, SQLITE_IOERR_LOCK\)",
        ),
        ("disk I/O error", "SQLITE_IOERR_SHMMAP", "can't do what SQLite needs"),
        ("locking protocol", "SQLITE_PROTOCOL", "can't do what SQLite needs"),
        ("database is locked", "SQLITE_BUSY", r"or its file system has no locks \(database is locked, SQLITE_BUSY\)"),
        ("disk I/O error", "SQLITE_IOERR_WRITE", "full or failing .disk i/o error, SQLITE_IOERR_WRITE"),
    ],
)
async def test_a_file_system_without_locks_is_told_as_that_with_what_sqlite_says(
    words: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError(words)
        error.sqlite_errorname = name
        raise error

    monkeypatch.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, failing))
    monkeypatch.setattr(sqlite, "_LOCK_WAIT", 0.0)
    with pytest.raises(JournalError, match=said) as error:
        await read(tmp_path / "journal.sqlite3", Reads())
    assert "COMETAPI_MCP_STATE" in str(error.value)


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk full")

    path = made(tmp_path / "journal.sqlite3")
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, failing))
    with pytest.raises(JournalError, match="disk is full"):
        await read(path, Reads())
    with closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_server_goes_on_with_what_the_version_before_left(home: Home) -> None:
    """A create whose answer was lost: the same create, with the new version, gets its key."""
    row = home.sandbox.add_key("lost", remain_quota=500_000)
    row.created_time = BEGUN
    with closing(sqlite3.connect(made(home.state))) as db, db:
        digest = digest_of_token(home.settings)
        for table in ("intent", "rotation", "reveal", "spending"):
            db.execute(f"UPDATE {table} SET account = ?", (digest,))  # noqa: S608 - constants
        db.execute("DELETE FROM intent WHERE phase != 'lost' OR rotation IS NOT NULL")
        db.execute("UPDATE intent SET newest_before = 0")
    async with served(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "lost", "remain_quota": 500_000}))
    assert key["id"] == row.id
    assert home.sandbox.count("create") == 0
