from __future__ import annotations

import stat
import sys
from collections.abc import Callable

from tests.e2e.steps import served
from tests.support import DOCUMENTED, Home, data_of, error_of


async def test_the_documented_example_body_makes_a_key_whose_value_is_in_a_private_file(home: Home) -> None:
    async with home.client() as client:
        key = data_of(await client.call_tool("create_api_key", DOCUMENTED))
    (row,) = home.sandbox.keys
    assert (key["id"], key["name"], key["state"], key["ends"]) == (row.id, "production", "works", "never")
    (path,) = home.key_files
    assert key["secret"]["path"] == str(path)
    assert path.read_text(encoding="utf-8").splitlines()[-1] == f"COMETAPI_KEY=sk-{row.key}"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_body_sent_holds_the_nine_fields_and_nothing_else(home: Home) -> None:
    async with served(home) as client:
        data_of(await client.call_tool("create_api_key", {"name": "only the name"}))
    (create,) = [request for request in home.sandbox.requests if request.call == "create"]
    assert create.body == {**DOCUMENTED, "name": "only the name", "remain_quota": 0}


async def test_a_budget_that_the_release_does_not_allow_is_refused_with_the_most_there_is(
    make_home: Callable[..., Home],
) -> None:
    home = make_home(dialect="gateway")
    async with served(home) as client:
        text = error_of(await client.call_tool("create_api_key", {"name": "x", "remain_quota": 2**31}))
    assert text.startswith("[budget_too_large]")
    assert "at most 2147483647 quota units" in text
    assert home.sandbox.keys == []
