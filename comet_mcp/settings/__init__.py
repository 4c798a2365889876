"""What the person who runs the server has set. Nothing else reads the environment or the config file.

    table    every setting, with its meaning
    names    names that are no setting, and what was probably meant
    hints    what to say while something is wrong, and where a missing token may be
    values   what a value has to be
    checked  what comes of it, `Settings`
    kept_token  the access token in the keychain
    profiles several accounts in one config file
    given    how each setting is given, and where that stands
    loading  the environment, then the file, then the default

What is wrong never stops the server from starting (see loading).
"""

from comet_mcp.settings.checked import Settings
from comet_mcp.settings.hints import how_to_fix
from comet_mcp.settings.loading import for_others, inherited, load, load_as, understood
from comet_mcp.settings.profiles import ACCOUNT
from comet_mcp.settings.profiles import NAME as PROFILE_NAME
from comet_mcp.settings.table import (
    PUBLIC_API,
    SETTINGS,
    VARIABLE,
    AuditMode,
    Secrets,
    Setting,
    ToolName,
    is_ours_alone,
)

__all__ = [
    "ACCOUNT",
    "PROFILE_NAME",
    "PUBLIC_API",
    "SETTINGS",
    "VARIABLE",
    "AuditMode",
    "Secrets",
    "Setting",
    "Settings",
    "ToolName",
    "for_others",
    "how_to_fix",
    "inherited",
    "is_ours_alone",
    "load",
    "load_as",
    "understood",
]
