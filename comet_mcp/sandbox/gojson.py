"""JSON as the API's server, written in Go, reads it: lenient about names, strict about types.

Measured: names match in any case, null counts as not sent, what follows the first value is ignored, a lone
surrogate becomes U+FFFD, and a wrong type is refused in the words of Go's decoder.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["int", "int64", "string", "bool", "[]string", "[]int"]

_INTEGER = re.compile(r"-?[0-9]{1,19}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = 2**63


class WrongBodyError(ValueError):
    """The body is not what Go's decoder takes; the text is the decoder's own."""


class _Number(str):
    """A JSON number as it was written: Go refuses 1.0 and 1e3 where it wants an integer."""

    __slots__ = ()


def read_value(body: bytes) -> Any:
    """The first JSON value in `body`; numbers stay as written."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise WrongBodyError("EOF")
    try:
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise WrongBodyError(_complaint(text, error.pos)) from None
    except RecursionError:
        raise WrongBodyError("exceeded max depth") from None
    return value


def plain_value(body: bytes) -> Any:
    """The first JSON value in `body`, as Python's own decoder gives it.

    Raises:
        WrongBodyError: there is none.
    """
    read_value(body)
    return json.JSONDecoder().raw_decode(body.decode("utf-8", "replace").lstrip(" \t\r\n"))[0]


def read_object(body: bytes, fields: Mapping[str, Kind], *, struct: str, path: str | None = None) -> dict[str, Any]:
    """The fields of the JSON object in `body` that `fields` names, as Python values.

    What was not sent, or sent as null, is absent. In its complaints Go calls the structure `struct` and the way to a
    field `path`, by default the name of the structure without its package.
    """
    path = path or struct.rpartition(".")[2]
    value = read_value(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WrongBodyError(f"json: cannot unmarshal {_go_kind(value)} into Go value of type {struct}")
    sent: dict[str, Any] = {}
    for name, item in value.items():
        field = name if name in fields else name.lower()
        if field in fields and item is not None:
            sent[field] = _converted(item, fields[field], f"{path}.{field}")
    return sent


def _converted(item: Any, kind: Kind, path: str) -> Any:
    if kind == "string" and _is_string(item):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", item)
    if kind == "bool" and isinstance(item, bool):
        return item
    if kind in ("int", "int64") and isinstance(item, _Number):
        if _INTEGER.match(item) and -_INT64 <= int(item) < _INT64:
            return int(item)
        raise WrongBodyError(f"json: cannot unmarshal number {item} into Go struct field {path} of type {kind}")
    if kind in ("[]string", "[]int") and isinstance(item, list):
        element: Kind = "string" if kind == "[]string" else "int"
        return [_converted(entry, element, path) for entry in item]
    raise WrongBodyError(f"json: cannot unmarshal {_go_kind(item)} into Go struct field {path} of type {kind}")


def _is_string(item: Any) -> bool:
    return isinstance(item, str) and not isinstance(item, _Number)


def _go_kind(value: Any) -> str:
    if isinstance(value, _Number):
        return "number"
    return {dict: "object", list: "array", bool: "bool", str: "string"}.get(type(value), "value")


def _complaint(text: str, position: int) -> str:
    # Go names the character it stumbled over. Where exactly it does so differs a little from Python's decoder.
    rest = text[position:].lstrip(" \t\r\n")
    if not rest or any(word.startswith(rest) for word in ("true", "false", "null")) or text.count('"') % 2:
        return "unexpected EOF"
    return f"invalid character {rest[0]!r} looking for beginning of value"


def _refuse_constant(name: str) -> Any:
    raise WrongBodyError(f"invalid character {name.lstrip('-')[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant)
