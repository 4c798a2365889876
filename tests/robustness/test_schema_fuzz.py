"""Arguments made from each tool's own schema, right and nearly right: never a traceback, never a hang."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mcp import Client
from mcp_types import CallToolResult

from comet_mcp import server
from comet_mcp.sandbox import Sandbox
from tests.e2e.steps import LONG
from tests.support import Home, text_of

MakeHome = Callable[..., Home]

TOOLS = {tool.description.name: tool for tool in server.TOOLS}
ENOUGH_KEYS = 30

# A lone surrogate can't be sent: the transport refuses it, which its own tests show.
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=60),
    st.sampled_from(
        [
            "30d",
            "2 weeks",
            "never",
            "2027-09-03",
            "2027-02-30",
            "9" * 50,
            "-1d",
            "1e999 years",
            "24h",
            "P1D",
            "gpt-4o",
            "gpt-4o,gpt-4.1-mini",
            ",,",
            "auto",
            "vip",
            "198.51.100.10",
            "10.0.0.0/8\n2001:db8::/32",
            "127.0.0.5/8",
            "999.1.1.1",
            "::ffff:1.2.3.4/300",
            "COMETAPI_KEY",
            ".env",
            "../../etc/passwd",
            "con",
            "a/b",
            "\x00",
            "\u202e",
            "x" * 5000,
            "enabled",
            "disable",
            "delete",
            "grace",
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.integers(),
    st.sampled_from([2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1_800_000_000, 1_800_000_000_000]),
)
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.000001, 0.1, 5.0, 1e9, 1e300, 5e-324])
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, FLOATS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(CHARACTERS, max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that this schema of one argument allows, or nearly: bounds are tried from both sides."""
    if "anyOf" in schema:
        return st.one_of(*(fitting(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            edges = [schema[bound] + step for bound in ("minimum", "maximum") if bound in schema for step in (-1, 0, 1)]
            near = st.integers(
                schema.get("minimum", -5), min(schema.get("maximum", 60), schema.get("minimum", -5) + 60)
            )
            return st.one_of(near, NUMBERS, *([st.sampled_from(edges)] if edges else []))
        case "number":
            return st.one_of(FLOATS, NUMBERS)
        case "array":
            return st.lists(fitting(schema["items"]), max_size=4)
        case _:
            longest = schema.get("maxLength")
            edge = st.integers(longest - 1, longest + 1).map(lambda size: "n" * size) if longest else st.just("")
            return st.one_of(TEXTS, edge)


def calls_of(tool: str) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments for a tool: mostly of the right type, some missing, some strange, some unknown."""
    schema = TOOLS[tool].arguments.model_json_schema()  # with the bounds, which clients are only told in words
    properties: dict[str, Any] = schema["properties"]
    needed = set(schema.get("required", ()))
    right = {name: fitting(inner) for name, inner in properties.items()}
    fine = st.fixed_dictionaries(
        {name: right[name] for name in properties if name in needed},
        optional={name: right[name] for name in properties if name not in needed},
    )
    odd = st.fixed_dictionaries({}, optional={name: st.one_of(right[name], ANYTHING) for name in properties})
    unknown = st.dictionaries(st.text(CHARACTERS, max_size=12), ANYTHING, max_size=2)
    return st.one_of(fine, fine, fine, odd, st.tuples(fine, unknown).map(lambda two: {**two[1], **two[0]}))


def complaint(result: CallToolResult) -> str:
    """What is wrong with a result; "" for nothing."""
    text = text_of(result)
    if "Traceback" in text or "internal_error" in text[:20]:
        return text[:300]
    if result.is_error and not (re.match(r"\[[a-z_]+\] \S", text) and text.isprintable()):
        return f"is no sentence with a code: {text[:300]!r}"
    return ""


MANY = 5_000


@pytest.mark.parametrize("tool", TOOLS)
def test_any_arguments_get_a_result_or_a_sentence_with_a_code(tmp_path: Path, tool: str) -> None:
    sandbox = Sandbox()
    tried = 0

    @seed(10)
    @settings(
        max_examples=MANY,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(arguments=calls_of(tool))
    def check(arguments: dict[str, Any]) -> None:
        nonlocal tried
        tried += 1
        del sandbox.keys[ENOUGH_KEYS:]
        while len(sandbox.keys) < 5:
            sandbox.add_key("fuzzed", remain_quota=500_000)
        result = portal.call(call, client, arguments)
        assert complaint(result) == "", arguments

    async def call(client: Client, arguments: dict[str, Any]) -> CallToolResult:
        with anyio.fail_after(LONG):
            return await client.call_tool(tool, arguments)

    with sandbox.serve() as url, anyio.from_thread.start_blocking_portal() as portal:
        extra = {"COMETAPI_MCP_TIMEOUT": "2", "COMETAPI_MCP_CALLS": "0"}
        home = Home(tmp_path, url, sandbox, extra)
        with portal.wrap_async_context_manager(Client(server.create_server(home.settings))) as client:
            check()
    assert tried >= MANY * 0.8


def test_every_argument_of_every_tool_is_fuzzed() -> None:
    for tool in TOOLS.values():
        for name, schema in tool.arguments.model_json_schema()["properties"].items():
            assert {"type", "anyOf", "enum"} & schema.keys(), name
