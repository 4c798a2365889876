"""What is known of a start before anything is loaded: whether it is the server's, and for which profile."""

from __future__ import annotations

import os
from collections.abc import Sequence

COMPLETING = "_COMETAPI_MCP_COMPLETE"
"""The variable in which a shell asks what would complete a line."""
_PROFILE = "COMETAPI_PROFILE"


def use_profile(name: str) -> None:
    """Take the settings of that profile, in this process and in those that it starts."""
    os.environ[_PROFILE] = name


def is_of_server(arguments: Sequence[str]) -> bool:
    """Whether a start without a command is meant. A profile named alone is then used."""
    match arguments:
        case []:
            return COMPLETING not in os.environ
        case ["--profile", name]:
            use_profile(name)
            return True
        case [word] if word.startswith("--profile="):
            use_profile(word.partition("=")[2])
            return True
    return False
