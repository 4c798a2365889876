"""Storing the value of a key that exists."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from comet_mcp.confirmation.gate import Question, digest_of
from comet_mcp.context import Context
from comet_mcp.domain.key import Key, mask
from comet_mcp.secret_store import Saved, Target
from comet_mcp.secret_store.base import KEY_VARIABLE
from comet_mcp.secret_store.env_files import is_outside
from comet_mcp.settings import Secrets
from comet_mcp.tools import wording
from comet_mcp.tools.base import Tool
from comet_mcp.tools.program_file import put_into_file
from comet_mcp.tools.views import SavedKey, Secret
from comet_mcp.tools.which import KeyId, KeyName, id_of


async def save_api_key(
    context: Context,
    *,
    id: KeyId = 0,
    key_name: KeyName = "",
    file: Annotated[
        str, Field(description='Full path of a program\'s dotenv file ("~/shop/.env"), or a name in the key directory')
    ] = "",
    variable: Annotated[str, Field(description="Its name in the file, ending in _KEY or _TOKEN")] = KEY_VARIABLE,
) -> SavedKey:
    """Store the value of an existing CometAPI key where the user's programs read it.

    It is not shown here: never ask the user for a value.
    """
    key_id = await id_of(context, id, key_name)
    if is_outside(file):
        row, saved, warnings = await put_into_file(context, key_id, file, variable)
        return _result(context, row, saved, warnings)
    target = Target(file, variable)
    if context.gate.asks:
        row = await context.app.deleter.read(key_id, context.deadline)
        context.app.quota.enforcer.require_own(row)
        await context.app.secrets.check(context.deadline, target)
        await context.gate.require_confirmed(_question(row, target, context.app.settings.secrets))
    else:
        await context.gate.passed()
    app = context.app
    await app.secrets.check(context.deadline, target)
    row = await app.deleter.read(key_id, context.deadline)
    app.quota.enforcer.require_own(row)
    saved = await app.secrets.save(row, context.deadline, target)
    await app.progress.saved(row)
    return _result(context, row, saved, [])


def _result(context: Context, row: Key, saved: Saved, warnings: list[str]) -> SavedKey:
    secret = Secret.of(saved, context.app.settings.base_url)
    return SavedKey(id=row.id, name=row.name, key=mask(row.key), secret=secret, warnings=warnings or None)


def _question(row: Key, target: Target, secrets: Secrets) -> Question:
    """The question before a key's value goes where the setting `secrets` has it."""
    key = wording.key(row)
    if secrets == "result":
        text = f"Show the value of {key} to the language model? It is then in the history of the conversation, too."
    elif secrets == "none":
        text = f"Let save_api_key go on for {key}? This server stores no values, so nothing is stored."
    elif secrets == "keyring":
        text = (
            f"Store the value of {key} in the system's keychain, where programs of this user can read it? The key's "
            "own entry, if it has one, is written anew."
        )
    elif target.file:
        file, variable = wording.whole(target.file), wording.whole(target.variable)
        text = (
            f"Store the value of {key} in the file {file} as {variable}, where programs of this user can read it? A "
            f"file that is there keeps its other lines; if it has another value for {variable}, that is kept too, and "
            "nothing is stored."
        )
    else:
        text = (
            f"Store the value of {key} in a file of its own, where programs of this user can read it? No other file is "
            "changed."
        )
    return Question(text, digest_of("save", wording.state_of(row)))


TOOL = Tool.of(save_api_key, "Store an API key's value", idempotent=True)
