"""A tool: a plain typed function, and what MCP needs to know of it.

The function takes the `Context` first and its arguments by keyword; its annotations are the input schema, its docstring
is the description, its return type the output schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

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

    @classmethod
    def of(
        cls,
        fn: Callable[..., Awaitable[Result]],
        title: str,
        *,
        read_only: bool = False,
        destructive: bool = False,
        idempotent: bool = False,
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


def _input_schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """The schema of the arguments, with nothing in it that some client can't read or nobody needs.

    Three clients can't follow a `$ref`; a `title` only repeats the name.
    """
    schema = arguments.model_json_schema()
    properties = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in schema["properties"].items()
    }
    kept = {"type": "object", "properties": properties, "additionalProperties": False}
    return kept | {"required": schema["required"]} if "required" in schema else kept


def _output_schema(result: type[Result]) -> dict[str, Any]:
    """The fields a program may rely on, and their JSON types: clients make an error of a result that differs.

    From the annotations alone: building the models' validators would cost more than all else at start.
    """
    hints = get_type_hints(result)
    published = {field.name: hints[field.name] for field in fields(result) if field.name not in result.unpublished}
    return {"type": "object", "properties": {name: {"type": _json_type(hint)} for name, hint in published.items()}}


def _json_type(hint: Any) -> str:
    """The JSON type of an annotation, None aside."""
    choices = [choice for choice in get_args(hint) if choice is not NoneType] if isinstance(hint, UnionType) else [hint]
    kind = get_origin(choices[0]) or choices[0]
    return {str: "string", int: "integer", float: "number", bool: "boolean", list: "array"}.get(kind, "object")
