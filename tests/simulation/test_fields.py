"""What is compared of a key's fields, in a history of two keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.simulation.fields import scope_lost
from tests.simulation.records import Write

SCOPE = {"name": "blog", "model_limits": "gpt-4o"}
ALL = dict.fromkeys(
    ("name", "model_limits_enabled", "model_limits", "allow_ips", "group", "auto_groups", "unlimited_quota")
)


def lost(new: dict[str, Any], *of_old: tuple[float, str, str]) -> list[str]:
    """What is wrong with a new key that was made at 5, by when which name of the old one became which."""
    gateway: Any = SimpleNamespace(generation=0, row=lambda _: None)
    call: Any = SimpleNamespace(
        ok=True, tool="rotate_api_key", server=SimpleNamespace(gateway=gateway), writes=1, generation=0
    )
    call.arguments, call.said, call.begun = {"id": 1}, "", 1.0
    whole = ALL | SCOPE
    gateway.writes = [
        Write("update", 1, 0, at, call, at, before=whole | {"name": before}, after=whole | {"name": after})
        for at, before, after in of_old
    ]
    gateway.writes.append(Write("create", 2, 0, 5.0, call, 5.0, after=whole | new))
    return [what.rpartition(": ")[2] for what in scope_lost(SimpleNamespace(calls=[call]), gateway)]  # type: ignore[arg-type]


def test_a_new_key_is_as_the_old_one_was_when_it_was_made() -> None:
    renamed = (2.0, "late", "blog")
    ended = (6.0, "blog", "blog")
    assert lost({}, ended) == []
    assert lost({}, renamed, ended) == [], "the rotation has made good first what a late change had undone"
    assert lost({"name": "late"}, renamed, ended) == ["name was 'blog' and is 'late' in the new key"]
    assert lost({"model_limits": ""}, ended) == ["model_limits was 'gpt-4o' and is '' in the new key"]
