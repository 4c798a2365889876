"""Bugs that somebody could write, each as a patch of a function or two.

A patch names what it replaces as "module:name" or "module:Class.name", below `comet_mcp`, and gets the original.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

_NOTHING = object()

Make = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug: of which kind, what it is, and the patches that it consists of."""

    kind: str
    what: str
    patches: tuple[tuple[str, Make], ...]

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """A context in which the product has it. Raises LookupError where what it replaces is not there."""
        with contextlib.ExitStack() as stack:
            for name, make in self.patches:
                owner, attribute = _found(name)
                original = vars(owner)[attribute]
                instead = make(original)
                for place in _places(owner, attribute, original):
                    stack.enter_context(mock.patch.object(place, attribute, instead))
            yield


def _found(name: str) -> tuple[Any, str]:
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(f"comet_mcp.{module}")
    *classes, attribute = path.split(".")
    for class_ in classes:
        owner = getattr(owner, class_)
    if attribute not in vars(owner):
        raise LookupError(f"there is no {name} any more: the planted bug needs another patch")
    return owner, attribute


def _places(owner: Any, attribute: str, original: Any) -> list[Any]:
    """Where it is: a class, or each module that has imported it by its name, if it is the product's own."""
    if not isinstance(owner, ModuleType) or not getattr(original, "__module__", "comet_mcp.").startswith("comet_mcp."):
        return [owner]
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("comet_mcp.")]
    return [module for module in modules if vars(module).get(attribute, _NOTHING) is original]


def named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"comet_mcp.{module}"), name)


def gives(value: Any) -> Make:
    """Whatever is asked, that is the answer."""
    return lambda _: lambda *_args, **_options: value


def constant(value: Any) -> Make:
    """Another constant."""
    return lambda _: value


def attribute(value: Any) -> Make:
    return lambda _: property(lambda _self: value)


def in_steps(name: str, make: Make) -> Make:
    """One of the steps that every call passes, in a tuple of them."""
    return lambda steps: tuple(make(step) if step.__name__ == name else step for step in steps)


def coroutine(function: Callable[..., Any]) -> Make:
    """A coroutine function that gets the original first."""

    def make(original: Any) -> Any:
        async def patched(*args: Any, **options: Any) -> Any:
            return await function(original, *args, **options)

        return patched

    return make


def sync(function: Callable[..., Any]) -> Make:
    """A function that gets the original first."""
    return lambda original: lambda *args, **options: function(original, *args, **options)
