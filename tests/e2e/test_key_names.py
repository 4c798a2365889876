"""A key that is named instead of numbered: one that the name means for certain, or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from comet_mcp.sandbox import Key
from tests.e2e.life import connected, full_key, row_of
from tests.e2e.steps import code_of, served
from tests.e2e.test_confirmation import Person, quick_person
from tests.support import Home, data_of, error_of

__all__ = ["quick_person"]

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_api_key", {}),
    ("verify_api_key", {}),
    ("save_api_key", {}),
    ("update_api_key", {"status": "disabled"}),
    ("rotate_api_key", {"old_key": "disable"}),
    ("delete_api_key", {}),
]


@pytest.mark.parametrize(("tool", "more"), CALLS)
async def test_a_name_that_one_key_has_stands_for_its_id(tool: str, more: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, group="", cross_group_retry=False)
    full_key(home.sandbox, name="Blog")
    async with connected(home) as client:
        answer = data_of(await client.call_tool(tool, {"key_name": "blog", **more}))
    about = answer.get("old_key") or answer
    assert about["id"] == row.id


@pytest.mark.parametrize(("tool", "more"), CALLS)
async def test_a_name_that_several_keys_have_names_them_all_and_nothing_is_done(
    tool: str, more: dict[str, Any], home: Home
) -> None:
    first = full_key(home.sandbox, status=2)
    second = full_key(home.sandbox, created_time=1_790_000_000, accessed_time=1_790_000_060, used_quota=9)
    before = [str(row) for row in home.sandbox.keys]
    async with connected(home) as client:
        result = await client.call_tool(tool, {"key_name": "blog", **more})
    assert code_of(result) == "ambiguous_name"
    said = error_of(result)
    assert f"id {second.id} (works, last used 2026-09-21T14:14:20Z)" in said
    assert f"id {first.id} (disabled, never used)" in said
    assert before == [str(row) for row in home.sandbox.keys]


@pytest.mark.parametrize(("tool", "more"), CALLS)
async def test_a_name_that_no_key_has_is_answered_with_the_nearest(tool: str, more: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox, name="blog summariser")
    async with connected(home) as client:
        said = error_of(await client.call_tool(tool, {"key_name": "blog sumariser", **more}))
    assert said.startswith('[key_not_found] No API key is named "blog sumariser".')
    assert f'The nearest: "blog summariser" (id {row.id})' in said


@pytest.mark.parametrize(("tool", "more"), CALLS)
@pytest.mark.parametrize(
    ("which", "said"),
    [
        ({}, "Say which key: give its id, or key_name"),
        ({"id": 1, "key_name": "blog"}, "id and key_name both say which key"),
        ({"id": -1}, "id must be at least 1"),
    ],
)
async def test_neither_and_both_are_refused(
    which: dict[str, Any], said: str, tool: str, more: dict[str, Any], make_home: Callable[..., Home]
) -> None:
    home = make_home()
    full_key(home.sandbox)
    async with connected(home) as client:
        assert said in error_of(await client.call_tool(tool, {**which, **more}))
    assert [row.status for row in home.sandbox.keys] == [1]


async def test_a_question_about_a_named_key_has_its_id_and_no_other_key_is_changed_by_the_yes(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(COMETAPI_MCP_CONFIRM="destructive")
    row = full_key(home.sandbox)
    others: list[Key] = []

    async def swap() -> None:
        row.name = "renamed"
        others.append(full_key(home.sandbox))

    person = Person(meanwhile=swap)
    async with served(home, elicitation_callback=person) as client:
        result = await client.call_tool("delete_api_key", {"key_name": "blog"})
    assert f'"blog" (id {row.id})' in person.asked[0]
    assert code_of(result) == "confirmation_stale"
    assert home.sandbox.keys == [row, *others]


async def test_a_rotation_that_is_repeated_by_name_makes_no_third_key(home: Home) -> None:
    old = full_key(home.sandbox)
    call = {"key_name": "blog", "old_key": "delete"}
    async with connected(home) as client:
        new = data_of(await client.call_tool("rotate_api_key", call))["new_key"]["id"]
        said = error_of(await client.call_tool("rotate_api_key", call))
        assert f"has replaced key {old.id}" in said
        assert [row.id for row in home.sandbox.keys] == [new]
        again = data_of(await client.call_tool("rotate_api_key", {"id": old.id, "old_key": "delete"}))
    assert again["new_key"]["id"] == new


async def test_the_policy_holds_for_a_named_key_as_for_a_numbered_one(make_home: Callable[..., Home]) -> None:
    home = make_home(COMETAPI_MCP_POLICY_NAME_PREFIX="agent-", COMETAPI_MCP_POLICY_ONLY_OWN_PREFIX="1")
    row = full_key(home.sandbox)
    async with connected(home) as client:
        for tool, more in CALLS[2:]:
            assert code_of(await client.call_tool(tool, {"key_name": "blog", **more})).startswith("policy"), tool
    assert row_of(home.sandbox, row.id).status == 1


async def test_the_trail_has_the_id_of_a_key_that_was_named(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        data_of(await client.call_tool("update_api_key", {"key_name": "blog", "name": "renamed"}))
    with closing(sqlite3.connect(home.state)) as db:
        entries = [entry for (entry,) in db.execute("SELECT entry FROM audit ORDER BY id")]
    assert f'"key_id":{row.id}' in entries[-1].replace(": ", ":")
    assert '"key_name":"blog"' in entries[-1].replace(": ", ":")
