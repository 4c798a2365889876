"""What clients see of the tools: one readable snapshot each, and the rules that every client needs kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from comet_mcp.server import TOOLS
from comet_mcp.tools.base import Tool

SNAPSHOTS = Path(__file__).parent / "schemas"
BY_NAME = {tool.description.name: tool for tool in TOOLS}


def wire(tool: Tool) -> dict[str, Any]:
    return tool.description.model_dump(mode="json", by_alias=True, exclude_none=True)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema."""
    if isinstance(schema, dict):
        yield schema
        for name, value in schema.items():
            yield from (
                (node for child in value.values() for node in nodes(child)) if name == "properties" else nodes(value)
            )
    elif isinstance(schema, list):
        for item in schema:
            yield from nodes(item)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_schema_is_the_one_in_the_snapshot(name: str) -> None:
    path = SNAPSHOTS / f"{name}.json"
    text = json.dumps(wire(BY_NAME[name]), indent=2) + "\n"
    if os.environ.get("COMETAPI_UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_there_is_no_snapshot_of_a_tool_that_is_gone() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_input_schema_keeps_to_what_every_client_reads(name: str) -> None:
    schema = wire(BY_NAME[name])["inputSchema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    for node in nodes(schema):
        assert not {"$ref", "$defs", "title", "oneOf", "allOf"} & node.keys()
        assert not isinstance(node.get("type"), list)
    for field, definition in schema["properties"].items():
        assert (field in schema.get("required", [])) != ("default" in definition), field
        if "anyOf" in definition:
            assert definition["anyOf"][-1] == {"type": "null"}
            assert len(definition["anyOf"]) == 2
            assert definition["default"] is None


@pytest.mark.parametrize("name", BY_NAME)
def test_the_output_schema_demands_nothing_that_could_make_an_error_of_a_success(name: str) -> None:
    schema = wire(BY_NAME[name])["outputSchema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        assert not {"$ref", "required", "additionalProperties", "enum", "minimum", "pattern"} & node.keys()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_tool_has_a_title_a_description_and_all_four_hints(name: str) -> None:
    described = wire(BY_NAME[name])
    assert described["title"]
    assert described["description"].endswith(".")
    assert set(described["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}


def test_the_tool_list_budget_1090_bytes_a_tool() -> None:
    listed = json.dumps([wire(tool) for tool in BY_NAME.values()], separators=(",", ":"))
    assert len(listed.encode()) <= 1090 * len(BY_NAME)
