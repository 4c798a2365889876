"""A journal or a key store that can't be used: no key is made then, and what can be read still is."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.steps import code_of, creating, let_pass, served, started, stored, until, values
from tests.support import Home, data_of, error_of, text_of

MakeHome = Callable[..., Home]

BODY: dict[str, Any] = {"name": "trouble"}
DEAD = 31


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Another program has the journal locked for writing."""
    with closing(sqlite3.connect(home.state, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def _journal(home: Home) -> None:
    """A journal as a server leaves it."""

    async def use() -> None:
        async with served(home) as client:
            data_of(await client.call_tool("create_api_key", BODY))

    anyio.run(use)
    home.sandbox.requests.clear()


def _directory(home: Home) -> None:
    home.state.mkdir(parents=True)


def _below_a_file(home: Home) -> None:
    home.state.parent.write_text("a file")


def _garbage(home: Home) -> None:
    home.state.parent.mkdir()
    home.state.write_bytes(b"not a journal at all\n" * 1000)


def _cut(size: int) -> Callable[[Home], None]:
    def cut(home: Home) -> None:
        _journal(home)
        os.truncate(home.state, size)

    return cut


def _scribbled_over(home: Home) -> None:
    _journal(home)
    with home.state.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (home.state.stat().st_size - 100))


def _of_another_program(home: Home) -> None:
    home.state.parent.mkdir()
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("CREATE TABLE songs (title TEXT)")
        db.execute("PRAGMA user_version = 1")


def _yet_to_be_of_another_program(home: Home) -> None:
    home.state.parent.mkdir()
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("CREATE TABLE songs (title TEXT)")


def _newer(home: Home) -> None:
    _journal(home)
    with closing(sqlite3.connect(home.state)) as db, db:
        db.execute("PRAGMA user_version = 99")


TROUBLES: dict[str, tuple[Callable[[Home], None], str, str]] = {
    "a directory": (_directory, "can't be opened for writing", "COMETAPI_MCP_STATE"),
    "below a file": (_below_a_file, "can't be opened for writing", "COMETAPI_MCP_STATE"),
    "garbage": (_garbage, "is no journal of cometapi-mcp", "Set COMETAPI_MCP_STATE to another file. Only if"),
    "cut to 150 bytes": (_cut(150), "damaged", "Move the file away"),
    "cut to a page": (_cut(4096), "damaged", "Move the file away"),
    "scribbled over": (_scribbled_over, "damaged", "Move the file away"),
    "another program's": (_of_another_program, "is no journal", "Set COMETAPI_MCP_STATE to another file. Only if"),
    "another program's without a version": (
        _yet_to_be_of_another_program,
        "is no journal",
        "Set COMETAPI_MCP_STATE to another file. Only if",
    ),
    "of a newer version": (_newer, "newer cometapi-mcp", "Upgrade"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_with_an_unusable_journal_no_key_is_made_the_fix_is_named_and_lists_work(
    make_home: MakeHome, trouble: str
) -> None:
    home = make_home(dialect="gateway")
    spoil, reason, fix = TROUBLES[trouble]
    spoil(home)
    rows = len(home.sandbox.keys)
    home.sandbox.add_key("made by hand")

    async def check() -> None:
        async with served(home) as client:
            result = await client.call_tool("create_api_key", BODY)
            assert code_of(result) == "journal_unavailable", text_of(result)
            assert reason in error_of(result)
            assert fix in error_of(result)
            page = data_of(await client.call_tool("list_api_keys"))
            assert [item["name"] for item in page["items"]][:1] == ["made by hand"]
            assert data_of(await client.call_tool("get_api_key", {"id": rows + 1}))["name"] == "made by hand"

    anyio.run(check)
    assert home.sandbox.count("create") == 0
    assert len(home.sandbox.keys) == rows + 1


@pytest.mark.parametrize("trouble", ["garbage", "another program's", "another program's without a version"])
async def test_a_file_that_is_no_journal_stays_as_it_is(make_home: MakeHome, trouble: str) -> None:
    home = make_home()
    TROUBLES[trouble][0](home)
    before = home.state.read_bytes()
    async with served(home) as client:
        said = error_of(await client.call_tool("create_api_key", BODY))
    assert "damaged (" not in said
    assert home.state.read_bytes() == before
    assert list(home.state.parent.iterdir()) == [home.state]


@pytest.mark.parametrize("trouble", [name for name in TROUBLES if "newer" not in name])
def test_after_the_fix_the_same_server_makes_keys_again(make_home: MakeHome, trouble: str) -> None:
    home = make_home()
    TROUBLES[trouble][0](home)

    async def check() -> None:
        async with served(home) as client:
            assert code_of(await client.call_tool("create_api_key", BODY)) == "journal_unavailable"
            away = home.state if home.state.parent.is_dir() else home.state.parent
            for file in away.parent.glob(f"{away.name}*"):
                file.rename(file.with_name(f"away-{file.name}"))
            data_of(await client.call_tool("create_api_key", BODY))
            assert home.state.is_file()

    if sys.platform != "win32" or trouble in ("a directory", "below a file", "garbage"):
        anyio.run(check)  # Windows does not move a file that is open


@pytest.mark.long
async def test_with_a_locked_journal_no_key_is_made_the_fix_is_named_and_lists_work(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "first"}))
        with locked(home):
            result = await client.call_tool("create_api_key", BODY)
            assert code_of(result) == "journal_unavailable"
            assert "locked by another program" in error_of(result)
            assert "Try again" in error_of(result)
            assert [item["name"] for item in data_of(await client.call_tool("list_api_keys"))["items"]] == ["first"]
        assert home.sandbox.count("create") == 1
        data_of(await client.call_tool("create_api_key", BODY))
    assert stored(home) == values(home)


@pytest.mark.long
async def test_a_journal_locked_while_the_create_is_under_way_loses_nothing(make_home: MakeHome) -> None:
    home = make_home(dialect="gateway")
    home.sandbox.faults.add("create", "latency", value="0.5")
    async with served(home) as client:
        async with creating(client, BODY, lambda: home.sandbox.count("create")) as results:
            with locked(home):
                await until(lambda: results)
        assert code_of(results[0]) == "create_outcome_unknown"
        assert "Do not create the key again" in error_of(results[0])
        assert "list_api_keys" in error_of(results[0])
        let_pass(home, DEAD)
        (note,) = data_of(await client.call_tool("list_api_keys"))["notes"]
        assert str(home.key_files[0]) in note
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))


if sys.platform != "win32":
    LIMITED = """
import resource, sys
sys.dont_write_bytecode = True  # else a module that changed is cached cut off at the limit, for every later process
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from comet_mcp.__main__ import main
sys.exit(main([]))
"""
    "A server on whose disk no file can grow beyond the limit."

    @pytest.mark.long
    def test_on_a_full_disk_no_key_is_made_the_fix_is_named_and_lists_work(make_home: MakeHome) -> None:
        home = make_home(dialect="gateway")
        home.sandbox.add_key("made by hand")
        with started(home.environment, code=LIMITED.format(limit=1000)) as server:
            server.initialize()
            result = server.call("create_api_key", BODY)
            assert result["isError"]
            text = result["content"][0]["text"]
            assert text.startswith("[journal_unavailable]")
            assert "the disk is full" in text
            assert "Free some space" in text
            assert server.call("list_api_keys", {})["structuredContent"]["total"] == 1
        assert home.sandbox.count("create") == 0

    @pytest.mark.long
    @pytest.mark.parametrize("kilobytes", [20, 36, 44, 52, 60])
    def test_a_disk_that_fills_up_in_the_middle_loses_no_key(make_home: MakeHome, kilobytes: int) -> None:
        home = make_home(dialect="gateway")
        with started(home.environment, code=LIMITED.format(limit=kilobytes * 1024)) as server:
            server.initialize()
            for number in range(8):
                made = len(home.sandbox.keys)
                result = server.call("create_api_key", {"name": f"key {number}"})
                text = result["content"][0]["text"]
                if result.get("isError"):
                    assert text.startswith(("[journal_unavailable]", "[create_outcome_unknown]")), text
                    told = "Do not create the key again" in text
                    assert len(home.sandbox.keys) == made + told, text
            assert not server.call("list_api_keys", {}).get("isError")
        assert home.sandbox.count("create") == len(home.sandbox.keys)

        async def settle() -> None:
            async with served(home) as client:
                data_of(await client.call_tool("list_api_keys"))
                for row in home.sandbox.keys:
                    data_of(await client.call_tool("save_api_key", {"id": row.id}))

        if home.sandbox.keys:
            let_pass(home, DEAD)
        anyio.run(settle)
        assert stored(home) == values(home)

    async def test_a_key_directory_that_is_replaced_by_a_link_after_the_probe_is_not_followed(home: Home) -> None:
        elsewhere = home.directory / "elsewhere"
        elsewhere.mkdir()
        await _spoilt_in_the_middle(home, lambda folder: folder.symlink_to(elsewhere))
        assert list(elsewhere.iterdir()) == []

    async def test_a_host_directory_that_is_a_link_is_refused_before_anything_is_sent(home: Home) -> None:
        elsewhere = home.directory / "elsewhere"
        elsewhere.mkdir()
        async with served(home) as client:
            data_of(await client.call_tool("create_api_key", BODY))
            folder = home.key_files[0].parent
            folder.rename(home.directory / "away")
            folder.symlink_to(elsewhere)
            result = await client.call_tool("create_api_key", BODY)
            assert code_of(result) == "key_store_unavailable"
            assert "COMETAPI_MCP_KEY_DIR" in error_of(result)
        assert home.sandbox.count("create") == 1
        assert list(elsewhere.iterdir()) == []


async def test_a_key_directory_that_is_a_file_is_refused_before_anything_is_sent(home: Home) -> None:
    home.key_dir.write_text("a file")
    home.sandbox.add_key("made by hand")
    async with served(home) as client:
        for tool, arguments in (("create_api_key", BODY), ("save_api_key", {"id": 1})):
            result = await client.call_tool(tool, arguments)
            assert code_of(result) == "key_store_unavailable"
            assert "COMETAPI_MCP_KEY_DIR" in error_of(result)
        assert data_of(await client.call_tool("list_api_keys"))["total"] == 1
    assert home.sandbox.count("create") == 0
    assert home.key_dir.read_text() == "a file"


async def test_a_key_directory_that_fails_after_the_probe_costs_nothing_but_a_second_call(home: Home) -> None:
    await _spoilt_in_the_middle(home, lambda folder: folder.write_text("a file"))


async def _spoilt_in_the_middle(home: Home, spoil: Callable[[Path], object]) -> None:
    """A create whose key directory is replaced while it waits for the API; then the fix."""
    home.sandbox.faults.add("create", "latency", value="0.5")
    async with served(home) as client:
        async with creating(client, BODY, lambda: home.sandbox.count("create")) as results:
            (folder,) = home.key_dir.iterdir()
            folder.rmdir()
            spoil(folder)
        key = data_of(results[0])
        (row,) = home.sandbox.keys
        assert key["id"] == row.id
        assert "secret" not in key
        told = " ".join(key["warnings"])
        assert f"The key exists (id {row.id})" in told
        assert f"save_api_key with id {row.id}" in told
        assert code_of(await client.call_tool("save_api_key", {"id": row.id})) == "key_store_unavailable"
        folder.unlink()
        saved = data_of(await client.call_tool("save_api_key", {"id": row.id}))
        assert saved["secret"]["path"] == str(home.key_files[0])
    assert (home.sandbox.count("create"), stored(home)) == (1, values(home))
