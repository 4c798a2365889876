"""The whole life of a key, through a client that talks to a server over stdio."""

from __future__ import annotations

import time

import pytest

from tests.e2e.life import row_of
from tests.support import Home, data_of


@pytest.mark.parametrize(
    "mode", ["2026-07-28", *(pytest.param(mode, marks=pytest.mark.long) for mode in ("legacy", "auto"))]
)
async def test_a_key_is_planned_made_checked_changed_replaced_and_deleted(mode: str, home: Home) -> None:
    said = ""
    async with home.client(mode=mode) as client:

        async def call(tool: str, **arguments: object) -> dict[str, object]:
            nonlocal said
            result = await client.call_tool(tool, arguments)
            said += str(result.model_dump(mode="json"))
            return data_of(result)

        plan = data_of(
            await client.call_tool(
                "plan_api_key",
                {"name": "blog", "budget_usd": 5, "lifetime": "30 days", "models": ["gpt-4.1-mini"]},
            )
        )
        made = await call("create_api_key", **plan["create_api_key"])
        key_id = made["id"]
        assert isinstance(key_id, int)
        first = row_of(home.sandbox, key_id)

        verdict = await call("verify_api_key", id=key_id)
        assert (verdict["verdict"], verdict["models"], verdict["budget"]) == ("works", ["gpt-4.1-mini"], "$5.00 left")

        changed = await call("update_api_key", id=key_id, add_budget_usd=2.5, allow_ips="127.0.0.1")
        assert changed["changed"] == {"budget": "$5.00 left -> $7.50 left", "addresses": "any -> 127.0.0.1"}
        await call("update_api_key", id=key_id, status="disabled")
        fixed = 'It is disabled. Call update_api_key with status "enabled".'
        assert (await call("verify_api_key", id=key_id))["reasons"] == [fixed]
        await call("update_api_key", id=key_id, status="enabled")

        rotated = await call("rotate_api_key", id=key_id, grace="2 hours")
        assert first.expired_time <= time.time() + 7_200
        new = rotated["new_key"]
        assert isinstance(new, dict)
        second = row_of(home.sandbox, new["id"])
        assert (await call("verify_api_key", id=new["id"]))["verdict"] == "works"

        for row in (first, second):
            assert (await call("delete_api_key", id=row.id))["deleted"] is True
    assert home.sandbox.keys == []
    assert first.key not in said
    assert second.key not in said
    values = {path.read_text(encoding="utf-8").rpartition("=")[2].strip() for path in home.key_files}
    assert values == set(), "the values of deleted keys are removed"
