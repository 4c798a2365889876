"""What tools and errors say to a language model, said to a person in a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from comet_mcp.errors import TOKEN_PAGE, CometError

if TYPE_CHECKING:
    from comet_mcp.settings import Settings

_LOG_IN = f"Copy a personal access token from {TOKEN_PAGE}, then run `cometapi-mcp login`."

_COMMANDS = {
    "list_api_keys": "keys",
    "get_api_key": "keys show",
    "create_api_key": "keys new",
    "plan_api_key": "keys new",
    "update_api_key": "keys update",
    "delete_api_key": "keys delete",
    "rotate_api_key": "keys rotate",
    "save_api_key": "keys save",
    "verify_api_key": "keys verify",
}
"""The command that does what a tool does."""

_OPTIONS = {
    "budget_usd": "--budget",
    "add_budget_usd": "--add-budget",
    "expired_time": "--lifetime",
    "unlimited_quota": "--unlimited",
    "model_limits": "--models",
    "allow_ips": "--ips",
    "ips": "--ips",
    "key_name": "its name",
}
"""The option that stands for an argument of a tool."""

_STEPS = re.compile(r" Ask the person who runs this server to: 1\..*", re.DOTALL)
_CODE = re.compile(r"^\[[a-z_]+\] ")
_CALL = re.compile(
    rf"(?:(?P<call>[Cc])all )?\b(?P<tool>{'|'.join(_COMMANDS)})\b(?P<again> again)?(?: with id (?P<id>\d+))?"
)
_OPTION = re.compile(rf"\b(?:{'|'.join(_OPTIONS)})\b(?! [:=])|(?<=with )lifetime\b")
_STATUS = re.compile(r'status "(enable|disable)d"')
_ASK = re.compile(r"\bAsk the person(?: who runs (?:this|the) server)? to (\w)")
_RESTART = re.compile(r",? and (?:to )?restart the client\b")
_FOR_AGENTS = re.compile(
    r"(?<![^\s])(?:Tell the user|Do not call again|Do not ask|Never ask|Ask them|Call again)[^.]*\.(?:\s|$)"
)
"""Sentences that tell a language model what to do in its conversation."""
_YOURS = (
    ("only if the user accepts", "only if you accept"),
    ("The user has to confirm", "You have to confirm"),
    ("The person who runs this server demands", "The policy demands"),
    ("the user's", "your"),
    ("The user's", "Your"),
)


def for_people(text: str) -> str:
    """The text of a tool or an error as a person is told it: commands for tools, no advice for a conversation."""
    said = _FOR_AGENTS.sub("", _STEPS.sub(_steps, _CODE.sub("", text)))
    said = _ASK.sub(lambda found: found[1].upper(), _RESTART.sub("", said))
    said = _STATUS.sub(r"--\1", _CALL.sub(_command, said))
    said = _OPTION.sub(lambda found: _OPTIONS.get(found[0], "--lifetime"), said)
    for theirs, yours in _YOURS:
        said = said.replace(theirs, yours)
    return said.strip()


def why(error: CometError) -> str:
    """What an error says to a person, with the API's own id of the request where there is one."""
    return for_people(str(error))


def trouble(settings: Settings) -> str:
    """What is wrong with the settings, and what a person does about it; "" where nothing is."""
    from comet_mcp.settings import how_to_mend  # noqa: PLC0415 - help needs none of it

    return for_people(how_to_mend(settings.problems, settings.config, settings.hints)) if settings.problems else ""


def _steps(found: re.Match[str]) -> str:
    """What a person in a terminal does where an agent is told what to ask of one."""
    return f" {_LOG_IN}" if TOKEN_PAGE in found[0] else " Correct that."


def _command(found: re.Match[str]) -> str:
    words = " ".join(filter(None, ["cometapi-mcp", _COMMANDS[found["tool"]], found["id"]]))
    run = {"C": "Run ", "c": "run ", None: ""}[found["call"]]
    return f"{run}`{words}`{found['again'] or ''}"
