from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.life import connected, full_key
from tests.support import Home, data_of, error_of, text_of


async def test_the_value_of_an_existing_key_is_stored_and_not_shown(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        result = await client.call_tool("save_api_key", {"id": row.id})
    (path,) = home.key_files
    assert data_of(result)["secret"]["path"] == str(path)
    assert path.name == f"blog-{row.id}.env"
    assert path.read_text(encoding="utf-8").splitlines()[-1] == f"COMETAPI_KEY=sk-{row.key}"
    assert row.key not in text_of(result)
    assert data_of(result)["key"] == f"sk-{row.key[:4]}***{row.key[-4:]}"


async def test_saving_twice_is_one_file(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        first = data_of(await client.call_tool("save_api_key", {"id": row.id}))
        assert data_of(await client.call_tool("save_api_key", {"id": row.id})) == first
    assert len(home.key_files) == 1


async def test_a_chosen_file_and_variable_are_written_beside_what_is_there(home: Home) -> None:
    rows = [full_key(home.sandbox), full_key(home.sandbox, name="other")]
    async with connected(home) as client:
        for row, variable in zip(rows, ["BLOG_KEY", "OTHER_KEY"], strict=True):
            arguments = {"id": row.id, "file": "app.env", "variable": variable}
            secret = data_of(await client.call_tool("save_api_key", arguments))["secret"]
            assert (secret["variable"], secret["stored_in"]) == (variable, "file")
    (path,) = home.key_files
    assert path.read_text(encoding="utf-8") == f"BLOG_KEY=sk-{rows[0].key}\nOTHER_KEY=sk-{rows[1].key}\n"
    assert secret["path"] == str(path)
    assert path.parent.parent == home.key_dir


async def test_another_keys_value_under_that_name_is_left_and_the_call_says_so(home: Home) -> None:
    rows = [full_key(home.sandbox), full_key(home.sandbox, name="other")]
    async with connected(home) as client:
        data_of(await client.call_tool("save_api_key", {"id": rows[0].id, "file": "app.env"}))
        said = error_of(await client.call_tool("save_api_key", {"id": rows[1].id, "file": "app.env"}))
    assert "already has another value for COMETAPI_KEY" in said
    assert rows[0].key not in said
    assert home.key_files[0].read_text(encoding="utf-8") == f"COMETAPI_KEY=sk-{rows[0].key}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"file": "../x.env"}, "no plain file name"),
        ({"file": "/etc/passwd"}, "no dotenv file"),
        ({"file": "con.env"}, "no plain file name"),
        ({"variable": "LD_PRELOAD"}, "may change how programs run"),
        ({"variable": "HTTPS_PROXY"}, "Give a name that ends in _KEY or _TOKEN"),
        ({"variable": "A B"}, "no name of an environment variable"),
    ],
)
async def test_a_hostile_file_or_variable_is_refused_without_spending_a_reveal_call(
    arguments: dict[str, str], said: str, home: Home
) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        assert said in error_of(await client.call_tool("save_api_key", {"id": row.id, **arguments}))
    assert not home.key_dir.exists() or home.key_files == []
    assert home.sandbox.count("reveal") == 0


async def test_a_variable_that_the_operator_lists_is_taken(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_KEY_VARIABLES="BLOG_SECRET, OTHER") as client:
        data_of(await client.call_tool("save_api_key", {"id": row.id, "variable": "BLOG_SECRET"}))
    assert home.key_files[0].read_text(encoding="utf-8").endswith(f"\nBLOG_SECRET=sk-{row.key}\n")


async def test_a_value_that_was_handed_to_nobody_is_stored_after_the_store_is_fixed(home: Home) -> None:
    row = full_key(home.sandbox)
    home.key_dir.write_text("in the way", encoding="utf-8")
    async with connected(home) as client:
        assert "[key_store_unavailable]" in error_of(await client.call_tool("save_api_key", {"id": row.id}))
        assert home.sandbox.count("reveal") == 0
        home.key_dir.unlink()
        data_of(await client.call_tool("save_api_key", {"id": row.id}))
    assert len(home.key_files) == 1


async def test_a_name_of_two_keys_on_two_gateways_is_a_file_in_the_directory_of_each(
    make_home: Callable[..., Home],
) -> None:
    one, two = make_home(), make_home()
    rows = [full_key(one.sandbox), full_key(two.sandbox)]
    two.extra["COMETAPI_MCP_KEY_DIR"] = str(one.key_dir)
    for home, row in zip((one, two), rows, strict=True):
        async with connected(home) as client:
            data_of(await client.call_tool("save_api_key", {"id": row.id}))
    assert len({path.parent for path in one.key_files}) == 2


@pytest.mark.parametrize(("store", "shown"), [("none", False), ("result", True)])
async def test_the_value_is_in_the_result_only_where_the_operator_said_so(store: str, shown: bool, home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home, COMETAPI_MCP_SECRETS=store) as client:
        result = await client.call_tool("save_api_key", {"id": row.id})
    assert data_of(result)["secret"]["stored_in"] == store
    assert (row.key in text_of(result)) is shown
    assert home.key_files == []


@pytest.mark.parametrize("arguments", [{"file": None, "variable": None}, {"file": "", "variable": "COMETAPI_KEY"}])
async def test_null_and_the_defaults_are_the_same(arguments: dict[str, Any], home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        assert data_of(await client.call_tool("save_api_key", {"id": row.id, **arguments}))["secret"]["path"]


async def test_a_missing_key_sends_the_model_to_the_list(home: Home) -> None:
    async with connected(home) as client:
        assert "[key_not_found]" in error_of(await client.call_tool("save_api_key", {"id": 99}))
