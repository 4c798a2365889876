"""A tool: a plain typed function, and what MCP needs to know of it.

The function takes the `Context` first and its arguments by keyword; its annotations are the input schema, its docstring
is the description, its return type the output schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from mcp_types import CallToolResult, TextContent, ToolAnnotations
from mcp_types import Tool as Description
from pydantic import BaseModel
from pydantic_core import to_json

from comet_mcp.tools.arguments import arguments_model, parse_arguments
from comet_mcp.tools.result import Result

if TYPE_CHECKING:
    from comet_mcp.context import Context


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that clients can call, with its schemas."""

    fn: Callable[..., Awaitable[Result]]
    arguments: type[BaseModel]
    description: Description
    only_with: str = ""
    """The tool that does the same to one key: where that is switched off, this one is too."""

    @classmethod
    def of(
        cls,
        fn: Callable[..., Awaitable[Result]],
        title: str,
        *,
        read_only: bool = False,
        destructive: bool = False,
        idempotent: bool = False,
        only_with: str = "",
    ) -> Tool:
        """Make a tool of a function. The hints are MCP's annotations; every tool here talks to the outside world."""
        arguments = arguments_model(fn)
        return cls(
            fn,
            arguments,
            Description(
                name=fn.__name__,
                title=title,
                description=" ".join((fn.__doc__ or "").split()),
                input_schema=_input_schema(arguments),
                output_schema=_output_schema(get_type_hints(fn)["return"]),
                annotations=ToolAnnotations(
                    read_only_hint=read_only,
                    destructive_hint=destructive,
                    idempotent_hint=idempotent or read_only,
                    open_world_hint=True,
                ),
            ),
            only_with,
        )

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.description.name

    @property
    def writes(self) -> bool:
        """Whether it changes something: an account's keys, or where their values are."""
        return not (self.description.annotations and self.description.annotations.read_only_hint)

    @property
    def destructive(self) -> bool:
        """Whether it changes or ends a key that exists."""
        return bool(self.description.annotations and self.description.annotations.destructive_hint)

    def parse(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments, checked and complete. Raises ArgumentError."""
        return parse_arguments(self.arguments, arguments)

    async def run(self, context: Context, arguments: dict[str, Any]) -> CallToolResult:
        """Run the function, and give its result as structured content and as the same text, redacted."""
        result = await self.fn(context, **arguments)
        structured = context.app.redactor.data(result.as_json())
        return CallToolResult(
            content=[TextContent(type="text", text=to_json(structured).decode())], structured_content=structured
        )


_KEPT = ("type", "description", "enum", "items")
"""What the schema of an argument says: what no vendor's function calling refuses or drops, see `tests/vendors.py`."""


def _input_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """The schema of the arguments. Bounds and defaults are in their descriptions; unknown ones are refused by name."""
    schema = arguments.model_json_schema()
    properties = {name: _argument(field) for name, field in schema["properties"].items()}
    kept = {"type": "object", "properties": properties}
    return kept | {"required": schema["required"]} if "required" in schema else kept


def _argument(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of one argument. That null is taken for what is left out, or an empty default, need not be said."""
    field |= field.get("anyOf", [{}])[0]
    if field.get("default"):
        field["description"] = "; ".join([*filter(None, [field.get("description")]), f"default {field['default']}"])
    return {key: field[key] for key in _KEPT if key in field}


def _output_schema(result: type[Result]) -> dict[str, Any]:
    """The fields that a program may rely on: clients make types of it, and an error of a result that differs.

    From the annotations alone: building the models' validators would cost more than all else at start.
    """
    hints = get_type_hints(result)
    published = [field for field in fields(result) if field.name not in result.unpublished]
    needed = [field.name for field in published if field.default is not None]
    properties = {field.name: _schema(hints[field.name]) for field in published}
    schema = {"type": "object", "properties": properties}
    return schema | {"required": needed} if needed else schema


def _schema(hint: Any) -> dict[str, Any]:
    """The JSON schema of an annotation; None is what is left out of a result."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (UnionType, Union):  # that of a Literal and None is the latter until Python 3.14
        choices = [_schema(choice) for choice in inner if choice is not NoneType]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    if kind is Literal:
        return {"type": "string", "enum": list(inner)}
    if kind is list:
        return {"type": "array", "items": _schema(inner[0])}
    if kind is dict:
        return {"type": "object", "additionalProperties": inner[1] is Any or _schema(inner[1])}
    if issubclass(kind, Result):
        return _output_schema(kind)
    return {"type": {int: "integer", float: "number", bool: "boolean"}.get(kind, "string")}
