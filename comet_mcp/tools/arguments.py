"""The arguments of a tool call, checked strictly, and every complaint in our words.

The SDK's own message repeats the bad value and speaks pydantic. Here an unknown argument is refused by name (a
`budget_usd` that were dropped would make a key without a limit), "yes" is no boolean, true no number, 1.5 no integer.
What can mean one thing only is taken for it: "41" for 41, "true" for true, and null for the default, since some clients
send it for what their user left out.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from comet_mcp.domain.validation import MAX_TEXT
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

_MAX_INTEGER = 2**63 - 1
_MOST_FAULTS = 5
"""Faults of one call that are named; of the others, how many there are."""
_WAYS = {
    ("create_api_key", "budget_usd"): "plan_api_key turns dollars into remain_quota.",
    ("create_api_key", "lifetime"): "plan_api_key turns a lifetime into expired_time.",
}
_ENVELOPE = frozenset(["toolCallId", "sessionId", "action", "chatInput"])
"""What n8n adds to the arguments of every call; no tool has such an argument, and none of them says what a key may."""
_WRITTEN: dict[type, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    int: (re.compile(r"-?(0|[1-9][0-9]{0,18})"), int),
    float: (re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?"), float),
    bool: (re.compile(r"true|false", re.IGNORECASE), lambda text: text.lower() == "true"),
}
"""How a value looks in a string, where that can mean nothing else, and what it is."""
_FORMS = {"expired_time": 'plan_api_key turns a lifetime such as "30d" into it.'}


def arguments_model(fn: Callable[..., Any]) -> type[BaseModel]:
    """A strict model of a tool function's keyword-only parameters."""
    hints = get_type_hints(fn, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(fn).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
    return create_model(fn.__name__, __config__=config, **fields)


def parse_arguments(model: type[BaseModel], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of one call, complete. Raises ArgumentError that names each wrong one and the right form."""
    fields = model.model_fields
    given = {
        name: _plain(value, fields[name].annotation) if name in fields else value
        for name, value in arguments.items()
        if name in fields and (value is not None or fields[name].is_required())
    }
    faults = []
    try:
        parsed = model.model_validate(given)
    except ValidationError as error:
        faults = [_sentence(model, detail) for detail in error.errors(include_url=False)]
    else:
        faults = [fault for name, value in given.items() if (fault := _beyond(name, value))]
    unknown = [name for name in arguments if name not in fields and name not in _ENVELOPE]
    if faults or unknown:
        raise ArgumentError(_complaint(model, list(dict.fromkeys(faults)), unknown))
    return {name: getattr(parsed, name) for name in fields}


def _complaint(model: type[BaseModel], faults: list[str], unknown: list[str]) -> str:
    """The first faults, then the arguments that don't exist, then how many more there are."""
    named = faults[:_MOST_FAULTS]
    unknown_named = unknown[: _MOST_FAULTS - len(named)]
    more = len(faults) + len(unknown) - len(named) - len(unknown_named)
    said = [*named, *([_unknown(model, unknown_named)] if unknown_named else [])]
    return " ".join([*said, f"And {more} more." if more else ""]).strip()


def _beyond(name: str, value: Any) -> str:
    """What is too much of a value; "" for nothing. In the schemas it would cost bytes that each conversation reads."""
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:  # the API counts in 64 bits
        return f"The argument {quoted(name)} must be at most {_MAX_INTEGER}."
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"The argument {quoted(name)} must be at most {MAX_TEXT} characters long."
    return ""


def _plain(value: Any, annotation: Any) -> Any:
    """A value as the type it is for: 5.0 as 5, for JSON knows one kind of number, and "5" as 5."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        kinds = get_args(annotation) or (annotation,)
        for kind, (form, read) in _WRITTEN.items():
            if kind in kinds and str not in kinds and form.fullmatch(value):
                return read(value)
    return value


def _unknown(model: type[BaseModel], names: list[str]) -> str:
    """What there is instead of arguments that don't exist, and the way to what was probably wanted."""
    listed = " and ".join(map(quoted, names))
    there = f"There {'is no argument' if len(names) == 1 else 'are no arguments'} {listed}."
    takes = ", ".join(model.model_fields) or "no arguments"
    ways = [way for (tool, name), way in _WAYS.items() if name in names and tool == model.__name__]
    if "name" in names and list(model.model_fields)[:1] == ["id"]:
        ways.append("key_name takes the name of a key.")
    return " ".join([there, f"{model.__name__} takes {takes}.", *ways])


def _sentence(model: type[BaseModel], detail: ErrorDetails) -> str:
    first = str(detail["loc"][0]) if detail["loc"] else ""
    name = quoted(first) if first else "the call"
    kind, limits = detail["type"], detail.get("ctx", {})
    is_entry = len(detail["loc"]) > 1 and isinstance(detail["loc"][1], int)
    if kind == "missing" or (detail["input"] is None and kind.endswith("_type") and not is_entry):
        return f"The argument {name} is needed."
    wanted = {
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "string_type": "a string",
        "float_type": "a number",
        "list_type": "a list",
        "greater_than": f"more than {_number(limits.get('gt'))}",
        "greater_than_equal": f"at least {_number(limits.get('ge'))}",
        "less_than_equal": f"at most {_number(limits.get('le'))}",
        "string_too_short": "at least one character long",
        "string_too_long": f"at most {limits.get('max_length')} characters long",
        "too_long": f"a list of at most {limits.get('max_length')} entries",
        "literal_error": f"one of {limits.get('expected')}",
    }.get(kind, "of another form")
    got = f", not {_json_type(detail['input'])}" if kind.endswith("_type") else ""
    field = model.model_fields.get(first)
    meaning = f" ({field.description})" if got and field is not None and field.description else ""
    subject = f"Each entry of {name}" if is_entry else f"The argument {name}"
    form = 'Send ["..."], with each entry between quotes of its own.' if kind == "list_type" else _FORMS.get(first, "")
    return f"{subject} must be {wanted}{got}{meaning}." + (f" {form}" if got and form else "")


def _number(limit: Any) -> str:
    return f"{limit:,.15g}" if isinstance(limit, float) else str(limit)


def _json_type(value: Any) -> str:
    """The JSON type of a value, in words; the value itself is never repeated, for it could be a secret."""
    if isinstance(value, float):
        return "a number with a fraction" if math.isfinite(value) else "Infinity or NaN"
    if type(value) is int:
        return "a number" if abs(value) <= _MAX_INTEGER else "one so large"
    return {bool: "true or false", str: "a string", list: "a list", dict: "an object"}.get(type(value), "null")
