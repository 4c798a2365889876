"""What the function calling of model vendors refuses in a tool's name, description and input schema, as data.

Clients hand a tool's schema on as it is or nearly so, and one that is refused takes the whole list of tools with it.
Each rule was looked up on 2026-11-27; what is only true of a vendor's strict mode counts too, except what every client
writes itself there (`additionalProperties` false, every property required).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BOUNDS = _words(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems uniqueItems "
    "minProperties maxProperties"
)
_COMPOSED = _words("allOf oneOf not if then else dependentRequired dependentSchemas")
_REFERENCES = _words("$ref $defs $id $schema")


@dataclass(frozen=True)
class Vendor:
    """One vendor's rules, and a property that breaks one of them."""

    name: str
    source: str
    planted: dict[str, Any]
    refuses: frozenset[str] = frozenset()
    takes: frozenset[str] | None = None
    """The only keywords of a property; None where others are not minded."""
    takes_at_top: frozenset[str] | None = None
    null: bool = True
    tool_name: str = r"[a-zA-Z0-9_-]{1,64}"
    longest_description: int = 10_000

    def complaints(self, tool: dict[str, Any]) -> Iterator[str]:
        """Why this vendor would refuse the tool, as MCP describes it."""
        if not re.fullmatch(self.tool_name, tool["name"]):
            yield "name"
        if not 0 < len(tool["description"]) <= self.longest_description:
            yield "description"
        schema = tool["inputSchema"]
        if schema.get("type") != "object" or "properties" not in schema:
            yield "an object with properties"
        if self.takes_at_top is not None:
            yield from schema.keys() - self.takes_at_top
        yield from schema.keys() & self.refuses
        yield from set(schema.get("required", ())) - schema["properties"].keys()
        for property_ in schema["properties"].values():
            yield from self._of_property(property_)

    def _of_property(self, schema: dict[str, Any]) -> Iterator[str]:
        yield from schema.keys() & self.refuses
        if self.takes is not None:
            yield from schema.keys() - self.takes
        if not isinstance(schema.get("type"), str) and "anyOf" not in schema:
            yield "one type"
        if schema.get("type") == "null" and not self.null:
            yield "null"
        if schema.get("type") == "array" and "items" not in schema:
            yield "items"
        if "enum" in schema and schema.get("type") != "string":
            yield "enum of strings"
        for inner in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
            yield from self._of_property(inner)


VENDORS = (
    Vendor(
        "OpenAI",
        # `default` is refused by Azure: openai-agents-python#4390; no properties: github/copilot-cli#2223
        "https://platform.openai.com/docs/guides/structured-outputs#supported-schemas",
        {"type": "string", "default": "x"},
        refuses=_COMPOSED | {"default", "minLength", "maxLength", "patternProperties"},
        longest_description=1024,
    ),
    Vendor(
        "Anthropic",
        "https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations",
        {"type": "integer", "minimum": 1},
        refuses=_BOUNDS | _COMPOSED,
    ),
    Vendor(
        "Gemini",
        # a keyword that `Schema` does not have fails the whole request: modelcontextprotocol/servers#1624;
        # `default` did until it was added to be ignored; `null` is no type of the older releases
        "https://ai.google.dev/api/caching#Schema",
        {"type": "number", "exclusiveMinimum": 0},
        takes=_words(
            "type format title description nullable enum maxItems minItems properties required minLength maxLength "
            "pattern example anyOf propertyOrdering items minimum maximum"
        ),
        takes_at_top=_words("type description properties required"),
        null=False,
        tool_name=r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}",
    ),
    Vendor(
        "Mistral",
        # litellm#13389, SylphxAI/pdf-reader-mcp#63
        "https://docs.mistral.ai/capabilities/function_calling",
        {"$schema": "x", "type": "string"},
        refuses=_REFERENCES | {"exclusiveMinimum", "exclusiveMaximum"},
    ),
    Vendor(
        "Bedrock",
        "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html",
        {"type": "array"},
        takes_at_top=_words("type properties required"),
    ),
    Vendor(
        "Moonshot",
        # MoonshotAI/kimi-cli#2061, #2531: no name that begins with a digit
        "https://github.com/MoonshotAI/kimi-cli/issues/2531",
        {"$ref": "#/$defs/x", "description": "x"},
        refuses=_REFERENCES,
        tool_name=r"[a-zA-Z][a-zA-Z0-9_-]{0,63}",
    ),
    Vendor(
        "Fireworks, opencode",
        # docker/mcp-gateway#234: a property without a type; anomalyco/opencode#43371: bounds
        "https://github.com/anomalyco/opencode/issues/43371",
        {"description": "anything"},
        refuses=_BOUNDS | _COMPOSED,
    ),
)
