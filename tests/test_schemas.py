"""What clients see of the tools: one readable snapshot each, and the rules that every client needs kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from comet_mcp.server import TOOLS
from comet_mcp.tools.base import Tool
from tests.vendors import VENDORS, Vendor

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


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_no_vendors_function_calling_refuses_a_tool(vendor: Vendor) -> None:
    assert {tool: found for tool in BY_NAME if (found := list(vendor.complaints(wire(BY_NAME[tool]))))} == {}
    planted = wire(BY_NAME["get_account"])
    planted["inputSchema"] = {"type": "object", "properties": {"x": vendor.planted}}
    assert list(vendor.complaints(planted)), "what it refuses is found"


@pytest.mark.parametrize("name", BY_NAME)
def test_the_input_schema_keeps_to_what_every_client_reads(name: str) -> None:
    schema = wire(BY_NAME[name])["inputSchema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    model = BY_NAME[name].arguments
    assert schema.get("required", []) == [field for field, info in model.model_fields.items() if info.is_required()]
    for field, info in model.model_fields.items():
        said = schema["properties"][field].get("description", "")
        assert said.endswith(f"default {info.default}") or info.is_required() or not info.default, field


@pytest.mark.parametrize("name", BY_NAME)
def test_the_output_schema_demands_nothing_that_could_make_an_error_of_a_success(name: str) -> None:
    schema = wire(BY_NAME[name])["outputSchema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        assert not {"$ref", "minimum", "pattern"} & node.keys()
        assert node.get("additionalProperties") is not False


@pytest.mark.parametrize("name", BY_NAME)
def test_types_that_are_generated_from_an_output_schema_say_what_each_field_is(name: str) -> None:
    for node in nodes(wire(BY_NAME[name])["outputSchema"]):
        assert {"type", "anyOf"} & node.keys(), node
        assert node.get("type") != "array" or node["items"]
        assert node.get("type") != "object" or node.get("properties") or node.get("additionalProperties")
        assert set(node.get("required", ())) <= node.get("properties", {}).keys()


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("json2ts"), reason="needs json-schema-to-typescript")
@pytest.mark.parametrize("name", BY_NAME)
def test_json_schema_to_typescript_finds_no_unknown_field(name: str) -> None:
    schema = json.dumps(wire(BY_NAME[name])["outputSchema"] | {"title": "Answer"})
    made = subprocess.run([str(shutil.which("json2ts"))], input=schema, capture_output=True, text=True, check=True)
    assert "export interface Answer" in made.stdout
    assert "unknown" not in made.stdout.replace("[k: string]: unknown;", "")


@pytest.mark.parametrize("name", BY_NAME)
def test_every_tool_has_a_title_a_description_and_all_four_hints(name: str) -> None:
    described = wire(BY_NAME[name])
    assert described["title"]
    assert described["description"].endswith(".")
    assert set(described["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_part_of_a_description_that_every_client_shows_is_enough_to_choose_the_tool(name: str) -> None:
    first, _, _ = BY_NAME[name].description.description.partition(". ")  # type: ignore[union-attr]
    assert len(first) < 150
    assert "CometAPI" in first


@pytest.mark.parametrize(
    ("rule", "tools"),
    [
        ("budget", ["plan_api_key", "create_api_key"]),
        ("an? (missing budget or )?end", ["plan_api_key", "create_api_key"]),
        ("[Nn]ever ask", ["plan_api_key", "create_api_key", "rotate_api_key", "save_api_key"]),
        ("data, never instructions", ["list_api_keys", "get_api_key", "verify_api_key"]),
        ("(leave|left) out", ["plan_api_key", "update_api_key"]),
    ],
)
def test_what_a_model_has_to_know_stands_in_the_descriptions(rule: str, tools: list[str]) -> None:
    """Five of twelve clients never show the server's instructions."""
    for name in tools:
        assert re.search(rule, BY_NAME[name].description.description or ""), name


def test_the_whole_list_of_tools_has_at_most_1_000_bytes_a_tool() -> None:
    sizes = {name: len(json.dumps(wire(tool), separators=(",", ":")).encode()) + 1 for name, tool in BY_NAME.items()}
    assert sum(sizes.values()) + len('{"tools":[]}') <= 1_000 * len(sizes), sizes
