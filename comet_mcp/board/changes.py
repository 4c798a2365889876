"""What the page may change: by which tools, and how it words what they say to a language model."""

from __future__ import annotations

from collections.abc import Container

from comet_mcp.domain import agents_words
from comet_mcp.settings import Settings

_TOOLS = ("update_api_key", "rotate_api_key", "delete_api_key")

_STEPS = {
    r"list_api_keys|get_api_key with id \d+": "reload this page",
    r"save_api_key with id (\d+)": "ask the assistant to store the value of key $1",
    "rotate_api_key": "rotate it",
}
"""What a person does on the page where a model would call a tool."""

WORDS = (
    (agents_words.CODE, ""),
    (agents_words.ADVICE, ""),
    (agents_words.RAW, ""),
    (agents_words.AGAIN, "$1"),
    *((rf"\bcall (?:{call})", step) for call, step in _STEPS.items()),
    *((rf"\bCall (?:{call})", step.capitalize()) for call, step in _STEPS.items()),
    (
        r"Change its expired_time with update_api_key|Give a later end \(lifetime\) in the same call",
        "Give it a later end",
    ),
    ("Give it a budget with update_api_key|Give budget_usd in the same call", "Top it up"),
    (", or make another key with create_api_key", ""),
    (r"rotate_api_key gives .* first, or call create_api_key with .*?\. (?=The person)", "Change this key first. "),
    ("; no argument changes it", ""),
    ("The user has", "You have"),
    ("The user (?=said|closed|did)", "You "),
    (r"their (MCP )?client", "your $1client"),
    (
        "(?=The person who runs the server decides whether anybody)",
        "In a terminal `cometapi-mcp board` asks you itself. ",
    ),
)
"""Regular expressions of JavaScript, and what stands on the page instead."""


def tools_for(settings: Settings, offered: Container[str]) -> list[str]:
    """The tools by which a page in a client may change keys.

    Where tools return a new key's value, the page does without the one that makes a key: no page gets a value.
    """
    if settings.policy.problems:
        return []  # it refuses every change
    without = "rotate_api_key" if settings.secrets == "result" else ""
    return [name for name in _TOOLS if name in offered and name != without]
