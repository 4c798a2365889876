"""What tools and errors say to a language model, said to a person in a terminal.

What stands between quotation marks is a name or a value of somebody else's and stays as it is.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import TYPE_CHECKING

from comet_mcp.domain import agents_words
from comet_mcp.domain.told_times import local, seconds_of
from comet_mcp.errors import TOKEN_PAGE, CometError, SettingsError

if TYPE_CHECKING:
    from comet_mcp.settings import Settings

_LOGIN = re.compile(r"`cometapi-mcp login[^`]*`")

_COMMANDS = {
    "list_api_keys": "keys",
    "get_api_key": "keys show",
    "create_api_key": "keys new",
    "plan_api_key": "keys new",
    "update_api_key": "keys update",
    "delete_api_key": "keys delete",
    "tidy_api_keys": "tidy",
    "rotate_api_key": "keys rotate",
    "save_api_key": "keys save",
    "verify_api_key": "keys verify",
    "get_usage": "usage",
}
"""The command that does what a tool does."""

_OPTIONS = {
    "budget_usd": "--budget",
    "add_budget_usd": "--add-budget",
    "remain_quota": "--budget",
    "expired_time": "--lifetime",
    "unlimited_quota": "--unlimited",
    "model_limits": "--models",
    "allow_ips": "--ips",
    "ends_before": "--ends-before",
    "unused_for": "--unused-for",
    "key_name": "its name",
    "old_key": "--old",
}
"""The option that stands for an argument of a tool."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_KEPT = re.compile("\0(\\d+)\0")
_STEPS = re.compile(r" Ask the person who runs this server to: 1\..*", re.DOTALL)
_CODE = re.compile(agents_words.CODE)
_CALL = re.compile(
    rf"(?:(?P<call>[Cc])all )?\b(?P<tool>{'|'.join(_COMMANDS)})\b(?P<again> again)?(?: with id (?P<id>\d+))?"
)
_OPTION = re.compile(rf"\b(?:{'|'.join(_OPTIONS)})\b|(?<=with )lifetime\b")
_STATUS = re.compile(r'status "(enable|disable)d"')
_ASK = re.compile(r"\bAsk the person(?: who runs (?:this|the) server)? to (\w)")
_RESTART = re.compile(r",? (?:and|then) (?:to )?restart the client\b")
_RAW = re.compile(agents_words.RAW)
_ADVICE = re.compile(agents_words.ADVICE)
_TIME = re.compile(agents_words.TIME)
_AGAIN = re.compile(agents_words.AGAIN)
_YOURS = (
    ("only if the user accepts", "only if you accept"),
    ("The user has to confirm", "You have to confirm"),
    (": ask which, and give that date", ": give the date that is meant"),
    ("the user's", "your"),
    ("list_models", "the API's console"),
    ("get_account", "the API's console"),
)


def for_people(text: str, zone: tzinfo | None = None) -> str:
    """The text of a tool or an error as a person is told it: commands for tools, no advice for a conversation.

    Args:
        text: It.
        zone: The person's, in which times are told; None to leave them in UTC.
    """
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    said = _QUOTED.sub(keep, _STATUS.sub(r"--\1", _CODE.sub("", text)))
    said = _ADVICE.sub("", _STEPS.sub(_steps, said))
    said = _ASK.sub(lambda found: found[1].upper(), _RESTART.sub("", _RAW.sub("", said)))
    said = _OPTION.sub(lambda found: _OPTIONS.get(found[0], "--lifetime"), _CALL.sub(_command, said))
    for theirs, yours in _YOURS:
        said = said.replace(theirs, yours)
    if zone is not None:
        said = _AGAIN.sub(r"\1", said)
        said = _TIME.sub(lambda found: local(seconds_of(found[0]), zone), said)
    return _KEPT.sub(lambda found: kept[int(found[1])], said).strip()


def why(error: CometError) -> str:
    """What an error says to a person, with the API's own id of the request where there is one."""
    return for_people(str(error))


def trouble(settings: Settings) -> str:
    """What is wrong with the settings, and what a person does about it; "" where nothing is."""
    from comet_mcp.settings import how_to_fix  # noqa: PLC0415 - help needs none of it

    return (
        for_people(how_to_fix(settings.problems, settings.config, settings.hints, settings.profile))
        if settings.problems
        else ""
    )


def usable_settings() -> Settings:
    """The settings of a command. Raises SettingsError where one is missing or wrong."""
    from comet_mcp.settings import load  # noqa: PLC0415 - as above

    settings = load()
    if wrong := trouble(settings):
        raise SettingsError(wrong)
    return settings


def _steps(found: re.Match[str]) -> str:
    """What a person in a terminal does where an agent is told what to ask of one."""
    from comet_mcp.settings.hints import RUN_THAT  # noqa: PLC0415 - as above

    if RUN_THAT in found[0]:
        return ""
    if login := _LOGIN.search(found[0]):
        return f" Copy a personal access token from {TOKEN_PAGE}, then run {login[0]}."
    return " Correct that."


def _command(found: re.Match[str]) -> str:
    words = " ".join(filter(None, ["cometapi-mcp", _COMMANDS[found["tool"]], found["id"]]))
    run = {"C": "Run ", "c": "run ", None: ""}[found["call"]]
    return f"{run}`{words}`{found['again'] or ''}"
