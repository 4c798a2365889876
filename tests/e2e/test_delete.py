from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from tests.e2e.life import FULL, LATER, body_of, connected, full_key
from tests.e2e.steps import code_of, until
from tests.support import Home, data_of, error_of

ANOTHER_VALUE = "A key that is made from recreate has another value, which programs have to be given."


async def test_a_deleted_key_is_gone_and_its_body_makes_an_equal_one(home: Home) -> None:
    row, other = full_key(home.sandbox), full_key(home.sandbox, name="other")
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert home.sandbox.keys == [other]
        assert (answer["deleted"], answer["name"]) == (True, "blog")
        data_of(await client.call_tool("create_api_key", answer["recreate"]))
    assert body_of(home.sandbox.keys[-1]) == FULL


@pytest.mark.parametrize(
    "fields",
    [
        {"model_limits_enabled": False},
        {"remain_quota": -3},
        {"unlimited_quota": True},
    ],
)
async def test_the_body_of_an_odd_key_is_one_that_create_takes(fields: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, **fields)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        data_of(await client.call_tool("create_api_key", answer["recreate"]))
    assert answer["note"] == ANOTHER_VALUE


@pytest.mark.parametrize("expired_time", [0, 1_600_000_000])
async def test_the_body_of_an_expired_key_is_taken_once_it_has_a_later_end_which_the_note_says(
    expired_time: int, home: Home
) -> None:
    row = full_key(home.sandbox, expired_time=expired_time)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert "later expired_time" in answer["note"]
        assert "is in the past" in error_of(await client.call_tool("create_api_key", answer["recreate"]))
        data_of(await client.call_tool("create_api_key", answer["recreate"] | {"expired_time": LATER}))


async def test_a_second_delete_says_that_the_key_is_gone_and_is_no_error(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        data_of(await client.call_tool("delete_api_key", {"id": row.id}))
        again = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert again == {
        "id": row.id,
        "deleted": False,
        "note": f"There is no key {row.id}: it is gone already, or never was.",
    }
    assert home.sandbox.count("delete") == 1


@pytest.mark.parametrize("fault", ["reset_after", "status_after", "garbage", "empty_after", "html_after", "truncated"])
async def test_a_delete_whose_answer_was_lost_is_judged_by_what_is_there(fault: str, home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", fault)
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert (answer["deleted"], home.sandbox.keys) == (True, [])
    assert answer["recreate"]["name"] == "blog"
    assert home.sandbox.count("delete") == 1


@pytest.mark.parametrize("fault", ["reset_before", "status", "html", "refused", "rate_limit"])
async def test_a_delete_that_never_arrived_is_an_error_and_the_key_is_there(fault: str, home: Home) -> None:
    row = full_key(home.sandbox)
    home.sandbox.faults.add("delete", fault)
    async with connected(home) as client:
        error_of(await client.call_tool("delete_api_key", {"id": row.id}))
        assert home.sandbox.keys == [row]
        assert data_of(await client.call_tool("delete_api_key", {"id": row.id}))["deleted"]


async def test_a_key_that_somebody_else_deletes_at_the_same_moment_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = full_key(home.sandbox)
    delete = home.sandbox.account.delete
    monkeypatch.setattr(home.sandbox.account, "delete", lambda key_id: (delete(key_id), delete(key_id)))
    async with connected(home) as client:
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    assert "Somebody else deleted it" in answer["note"]
    assert home.sandbox.keys == []


async def test_neither_the_value_nor_a_file_of_the_person_goes_with_the_key(home: Home) -> None:
    async with connected(home) as client:
        key = data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        secret = home.sandbox.keys[0].key
        result = await client.call_tool("delete_api_key", {"id": key["id"]})
    assert secret not in str(result.model_dump())


@pytest.mark.long
async def test_a_delete_that_is_given_up_still_removes_the_value(home: Home) -> None:
    async with home.client() as client:  # over stdio, for in one process a call can't be given up
        key = data_of(await client.call_tool("create_api_key", {"name": "x", "remain_quota": 5_000_000}))
        home.sandbox.faults.add("delete", "latency", value="0.6")
        with pytest.raises(MCPError):
            await client.call_tool("delete_api_key", {"id": key["id"]}, read_timeout_seconds=0.2)
        await until(lambda: not home.sandbox.keys)
        await until(lambda: not home.key_files)


async def lost_delete(client: Client, home: Home) -> str:
    """Makes a key and deletes it, whose answer is lost, and which the API carries out later. Gives the key's file."""
    data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
    home.sandbox.faults.add("delete", "reset_before")
    result = await client.call_tool("delete_api_key", {"id": 1})
    assert code_of(result) == "delete_outcome_unknown"
    home.sandbox.keys.clear()
    (file,) = home.key_files
    return str(file)


async def test_a_delete_that_was_carried_out_late_is_told_by_the_next_one_and_the_value_goes(home: Home) -> None:
    async with connected(home) as client:
        file = await lost_delete(client, home)
        answer = data_of(await client.call_tool("delete_api_key", {"id": 1}))
        assert (answer["deleted"], answer["name"], answer["recreate"]["remain_quota"]) == (True, "blog", 5_000)
        assert answer["note"].startswith('Key 1 "blog" is deleted now: what came of its delete at ')
        assert f"Its value was removed from {file}" in answer["note"]
        assert home.key_files == []
        assert data_of(await client.call_tool("delete_api_key", {"id": 1}))["deleted"] is False


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("get_api_key", {}), ("update_api_key", {"name": "x"}), ("save_api_key", {}), ("verify_api_key", {})],
)
async def test_whoever_finds_a_deleted_key_gone_removes_its_value(
    tool: str, arguments: dict[str, Any], home: Home
) -> None:
    async with connected(home) as client:
        file = await lost_delete(client, home)
        error = error_of(await client.call_tool(tool, {"id": 1, **arguments}))
    assert error.startswith('[key_not_found] Key 1 "blog" is deleted')
    assert file in error
    assert home.key_files == []


async def test_the_value_of_a_key_that_nobody_deleted_here_stays(home: Home) -> None:
    """Another account of the same API may have the key of that id."""
    async with connected(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "blog", "remain_quota": 5_000}))
        home.sandbox.keys.clear()
        assert data_of(await client.call_tool("delete_api_key", {"id": 1}))["deleted"] is False
    assert len(home.key_files) == 1


async def test_a_delete_waits_until_another_server_has_changed_the_key(home: Home) -> None:
    row = full_key(home.sandbox)
    other = Services.of(home.settings)
    async with connected(home) as client, anyio.create_task_group() as group:
        async with other.changer.holding(row.id, Deadline(other.clock, 10)):
            group.start_soon(client.call_tool, "delete_api_key", {"id": row.id})
            for _ in range(5):
                data_of(await client.call_tool("get_api_key", {"id": row.id}))
            assert home.sandbox.count("delete") == 0
        await until(lambda: not home.sandbox.keys)
    await other.aclose()


async def put(client: Client, home: Home, key_id: int, *variables: str) -> Path:
    """A file of the person's, into which the key's value was put."""
    for variable in variables:
        data_of(await client.call_tool("save_api_key", {"id": key_id, "file": "app.env", "variable": variable}))
    return next(path for path in home.key_files if path.name == "app.env")


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
@pytest.mark.parametrize("own", [False, True])
async def test_a_deleted_keys_value_is_cleared_from_the_file_that_a_person_chose(
    make_home: Callable[..., Home], dialect: str, own: bool
) -> None:
    home = make_home(dialect=dialect)
    row = full_key(home.sandbox)
    async with connected(home) as client:
        path = await put(client, home, row.id, "BLOG_KEY", "OTHER_KEY")
        if own:
            data_of(await client.call_tool("save_api_key", {"id": row.id}))
    async with connected(home) as client:  # another server, which has not seen the value
        answer = data_of(await client.call_tool("delete_api_key", {"id": row.id}))
    note = answer["note"].removesuffix(f" {ANOTHER_VALUE}")
    assert note.endswith(f"It was cleared from {path} (as BLOG_KEY), {path} (as OTHER_KEY).")
    assert note.startswith("Its value was removed" if own else "It was cleared")
    assert path.read_text(encoding="utf-8") == "BLOG_KEY=\nOTHER_KEY=\n"
    assert row.key not in home.state.read_bytes().decode("utf-8", "replace")


async def test_a_file_that_holds_a_value_no_more_is_not_named_and_one_that_cannot_be_read_is(home: Home) -> None:
    rows = [full_key(home.sandbox) for _ in range(3)]
    async with connected(home) as client:
        path = await put(client, home, rows[0].id, "BLOG_KEY")
        path.write_text(f"BLOG_KEY=sk-{rows[1].key}\n", encoding="utf-8")
        assert data_of(await client.call_tool("delete_api_key", {"id": rows[0].id}))["note"] == ANOTHER_VALUE
        path.unlink()
        await put(client, home, rows[1].id, "BLOG_KEY")
        path.unlink()
        assert data_of(await client.call_tool("delete_api_key", {"id": rows[1].id}))["note"] == ANOTHER_VALUE
        await put(client, home, rows[2].id, "BLOG_KEY")
        path.unlink()
        path.mkdir()
        assert str(path) in data_of(await client.call_tool("delete_api_key", {"id": rows[2].id}))["note"]


@pytest.mark.parametrize("kind", ["directory", "binary", "large", "taken"])
async def test_a_file_into_which_a_value_was_never_put_is_not_named_but_one_that_had_it_before_is(
    kind: str, home: Home
) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        path = await put(client, home, row.id, "BLOG_KEY")
        wrong = path.with_name("wrong.env")
        if kind == "directory":
            wrong.mkdir()
        else:
            bad = {"binary": b"A=\0", "large": b"#" * 70_000, "taken": b"A_KEY=x\nB_KEY=y\n"}
            wrong.write_bytes(bad[kind])
        path.unlink()
        path.mkdir()
        for name, variable in (("wrong.env", "A_KEY"), ("wrong.env", "B_KEY"), ("app.env", "BLOG_KEY")):
            arguments = {"id": row.id, "file": name, "variable": variable}
            said = error_of(await client.call_tool("save_api_key", arguments))
            assert str(path.with_name(name)) in said
            assert "The key directory" not in said
        note = data_of(await client.call_tool("delete_api_key", {"id": row.id}))["note"]
        assert "wrong.env" not in note
        assert f"{path} (as BLOG_KEY)" in note


async def test_a_key_of_the_same_id_in_a_database_begun_anew_has_no_places(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        await put(client, home, row.id, "BLOG_KEY")
        row.created_time += 100
        assert data_of(await client.call_tool("delete_api_key", {"id": row.id}))["note"] == ANOTHER_VALUE
