from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from tests.e2e.life import connected, full_key
from tests.support import Home, data_of

TEMPLATE = ResourceTemplateReference(uri="cometapi://keys/{id}")
MAKE = PromptReference(name="make_api_key")
DAY = 86_400


async def _prompt(home: Home, name: str, arguments: dict[str, str] | None = None) -> str:
    async with connected(home) as client:
        got = await client.get_prompt(name, arguments)
    (message,) = got.messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def test_a_keys_resource_is_its_record_without_its_value(home: Home) -> None:
    row = full_key(home.sandbox)
    async with connected(home) as client:
        (template,) = (await client.list_resource_templates()).resource_templates
        got = await client.read_resource(template.uri_template.replace("{id}", str(row.id)))
        record = data_of(await client.call_tool("get_api_key", {"id": row.id}))
        assert (await client.list_resources()).resources == []
    (content,) = got.contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    assert json.loads(content.text) == record
    assert row.key not in content.text


@pytest.mark.parametrize(
    "uri",
    [
        "cometapi://keys/99",
        "cometapi://keys/0",
        "cometapi://keys/x",
        "cometapi://keys/1/key",
        "cometapi://keys/-1",
        "file:///x",
    ],
)
async def test_a_resource_that_is_not_there_is_a_protocol_error_that_says_so(
    uri: str, make_home: Callable[..., Home]
) -> None:
    home = make_home()
    full_key(home.sandbox)
    async with connected(home) as client:
        with pytest.raises(MCPError, match=r"No API key has id 99|There is no resource"):
            await client.read_resource(uri)


async def test_both_prompts_are_listed_with_their_arguments(make_home: Callable[..., Home]) -> None:
    async with connected(make_home()) as client:
        make, review = (await client.list_prompts()).prompts
    assert [(argument.name, argument.required or False) for argument in make.arguments or []] == [
        ("purpose", True),
        ("budget_usd", False),
        ("lifetime", False),
        ("models", False),
        ("group", False),
    ]
    assert (review.name, review.arguments) == ("review_api_keys", [])


async def test_the_prompt_for_a_key_holds_the_wishes_and_walks_from_plan_to_check(
    make_home: Callable[..., Home],
) -> None:
    home = make_home()
    text = await _prompt(home, "make_api_key", {"purpose": "the blog", "budget_usd": "5", "lifetime": ""})
    assert "- Purpose: the blog\n- Budget in US dollars: 5\n\n" in text
    assert "Lifetime:" not in text
    steps = [text.index(tool) for tool in ("plan_api_key", "create_api_key", "verify_api_key")]
    assert steps == sorted(steps)
    assert home.sandbox.requests == []


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("make_api_key", {}, "purpose"),
        ("make_api_key", {"purpose": " "}, "purpose"),
        ("make_api_key", {"purpose": "blog", "group": "g" * 10_001}, '"group" must be at most 10000 characters'),
        ("other", {}, "review_api_keys"),
    ],
)
async def test_a_prompt_that_cannot_be_given_is_a_protocol_error_that_says_what_is_needed(
    name: str, arguments: dict[str, str], said: str, make_home: Callable[..., Home]
) -> None:
    with pytest.raises((MCPError, ExceptionGroup)) as refused:
        await _prompt(make_home(), name, arguments)
    error: BaseException = refused.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, MCPError)
    assert said in str(error)


async def test_the_review_names_each_kind_of_key_worth_a_look_and_only_those(home: Home) -> None:
    now = int(time.time())
    fine = {"expired_time": now + DAY}
    long_ago = {"created_time": now - 90 * DAY, "accessed_time": now - 31 * DAY}
    rows = {
        "fine": full_key(home.sandbox, name="fine", **fine),
        "no budget": full_key(home.sandbox, name="no budget", **fine, unlimited_quota=True),
        "no end": full_key(home.sandbox, name="no end", expired_time=-1),
        "unused": full_key(home.sandbox, name="unused", **fine, **long_ago),
        "young": full_key(home.sandbox, name="young", **fine, accessed_time=0),
        "expired": full_key(home.sandbox, name="expired", expired_time=now - 1),
        "disabled": full_key(home.sandbox, name="disabled", **fine, status=2),
        "topped up": full_key(home.sandbox, name="topped up", **fine, status=4),
        "exhausted": full_key(home.sandbox, name="exhausted", **fine, status=4, remain_quota=0),
        "spent": full_key(home.sandbox, name="spent", expired_time=-1, remain_quota=0),
        "odd": full_key(home.sandbox, name="odd", **fine, status=7),
        "off and over": full_key(home.sandbox, name="off and over", expired_time=now - 1, status=2),
        "twin": full_key(home.sandbox, name="twin", **fine),
        "other twin": full_key(home.sandbox, name="twin", **fine),
    }
    text = await _prompt(home, "review_api_keys")
    found = {}
    for part in text.split("\n\n")[1:-1]:
        title, *lines = part.splitlines()
        found[title.partition(":")[0]] = [int(line.split()[1]) for line in lines]
    assert {title: sorted(ids) for title, ids in found.items()} == {
        "No budget": [rows["no budget"].id],
        "Never end": [rows["no end"].id],
        "Not used for 30 days": [rows["unused"].id],
        "Switched off": [rows[name].id for name in ("disabled", "topped up", "odd")],
        "Spent": [rows[name].id for name in ("exhausted", "spent")],
        "Expired": [rows[name].id for name in ("expired", "off and over")],
        "Share a name": [rows[name].id for name in ("twin", "other twin")],
    }
    assert "change or delete nothing before I have agreed" in text
    assert f'- {rows["expired"].id} "expired", expired, $5.00 left' in text
    assert "last used never" in text
    assert not any(row.key in text for row in rows.values())


async def test_a_review_that_finds_nothing_says_so(home: Home) -> None:
    full_key(home.sandbox, expired_time=int(time.time()) + DAY)
    assert "1 CometAPI keys, and a review found nothing" in await _prompt(home, "review_api_keys")


async def test_a_review_of_very_many_keys_names_fifty_of_a_kind_and_counts_the_rest(
    make_home: Callable[..., Home],
) -> None:
    home = make_home()
    for number in range(130):
        full_key(home.sandbox, name=f"key {number}\n# not a heading", expired_time=-1)
    text = await _prompt(home, "review_api_keys")
    assert "Never end: give them an expired_time with update_api_key (130):" in text
    assert "- and 80 more" in text
    assert "\n# not a heading" not in text


async def test_an_api_that_fails_is_a_protocol_error_with_our_words(home: Home) -> None:
    home.sandbox.faults.add("list", "status", times=2)
    async with connected(home) as client:
        with pytest.raises(MCPError, match="api_failed"):
            await client.get_prompt("review_api_keys")
