"""The locks by which it is known which holders of leases are alive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comet_mcp.errors import JournalError
from comet_mcp.journal.holders import HolderAliveError, Holders, HolderUnknownError

HOLD = """
import pathlib, sys, time
from comet_mcp.journal.holders import Holders
held = Holders(pathlib.Path(sys.argv[1])).hold("a1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite3"


def test_a_lock_ends_with_the_process_that_has_it_however_that_ends(journal: Path) -> None:
    holders = Holders(journal)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(journal)], stdin=-1, stdout=-1) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert holders.any()
        with pytest.raises(HolderAliveError):
            holders.take_over("a1")
        holder.kill()
        holder.wait()
    held = holders.take_over("a1")
    with pytest.raises(HolderAliveError):
        holders.take_over("a1")
    held.let_go(is_over=True)
    assert not holders.any()
    with pytest.raises(HolderUnknownError):
        holders.take_over("a1")


def test_a_lock_that_is_let_go_while_the_lease_is_open_can_be_taken_over(journal: Path) -> None:
    holders = Holders(journal)
    holders.hold("a1").let_go(is_over=False)
    holders.take_over("a1").let_go(is_over=True)
    assert not holders.any()


def test_two_cannot_hold_one_lease(journal: Path) -> None:
    holders = Holders(journal)
    held = holders.hold("a1")
    with pytest.raises(JournalError, match="another process has it"):
        holders.hold("a1")
    held.let_go(is_over=True)


def test_files_of_leases_that_have_ended_go_once_no_new_holder_can_be_about_to_lock_them(journal: Path) -> None:
    holders = Holders(journal)
    for lease in ("open", "ended", "new"):
        holders.hold(lease).let_go(is_over=False)
    living = holders.hold("living")
    folder = journal.with_name("journal.sqlite3-leases")
    for lease in ("open", "ended", "living"):
        os.utime(folder / f"{lease}.lock", (1, 1))
    holders.forget_others(["open"])
    assert sorted(path.stem for path in folder.iterdir()) == ["living", "new", "open"]
    living.let_go(is_over=True)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3-leases").write_text("in the way", encoding="utf-8")
    holders = Holders(tmp_path / "journal.sqlite3")
    assert not holders.any()
    with pytest.raises(JournalError, match="Set COMETAPI_MCP_STATE"):
        holders.hold("a1")
