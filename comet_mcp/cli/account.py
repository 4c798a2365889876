"""An account that a person logs in to: its token read and checked, and kept where the server finds it."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from getpass import getpass
from typing import Any
from urllib.parse import urlsplit

import anyio
import click
from pydantic import SecretStr

from comet_mcp.api.client import CometAPI
from comet_mcp.api.models import Account
from comet_mcp.cli.config_file import ConfigFile
from comet_mcp.cli.people import why
from comet_mcp.cli.terminal import can_ask, progress, tell
from comet_mcp.errors import TOKEN_PAGE, CometError, RefusedError, SettingsError, UnauthorizedError
from comet_mcp.policy.rule import WrongValueError, filled
from comet_mcp.redaction import Redactor
from comet_mcp.settings import ACCOUNT, PROFILE_NAME, PUBLIC_API, Settings, inherited, load, load_as, values
from comet_mcp.settings.kept_token import forget_token, keep_token
from comet_mcp.text import quoted

_TRIES = 3
_MOST = 10_000
"""Characters that are read of a pipe; no token has as many."""
_TOKEN = "access_token"  # noqa: S105 - a name
_KEPT_IN = "access_token_in"


def read_token(*, piped: bool = False) -> SecretStr:
    """The token that a person types without an echo, or that a pipe brings. Nothing of it is ever shown.

    Args:
        piped: Whether it is to come from standard input, whatever that is.

    Raises:
        click.UsageError: There is neither a terminal nor a pipe with a token.
        SettingsError: What was given can't be a token.
    """
    if piped or not can_ask():
        return _from_pipe()
    tell(f"The access token is on {TOKEN_PAGE}. What you paste is not shown.", aside=True)
    for left in reversed(range(_TRIES)):
        try:
            return _parsed(getpass("Access token: ", stream=sys.stderr))
        except SettingsError as wrong:
            if not left:
                raise
            click.echo(wrong.args[0], err=True)
        except EOFError:
            raise click.Abort from None
    raise AssertionError


def _from_pipe() -> SecretStr:
    stream = sys.stdin
    try:
        text = "" if stream is None or stream.closed or stream.isatty() else stream.read(_MOST)
    except UnicodeDecodeError:
        raise SettingsError("What was given as the access token is no text. Nothing was written.") from None
    if not text.strip():
        raise click.UsageError(
            "Nobody can be asked here. Give the access token on standard input, as from a file: "
            "cometapi-mcp login < token.txt"
        )
    return _parsed(text)


def _parsed(text: str) -> SecretStr:
    line = text.removeprefix("\ufeff").rstrip("\r\n")
    if not line.strip():
        raise SettingsError("Nothing was given as the access token. Nothing was written.")
    try:
        return values.access_token(filled(line))
    except WrongValueError as wrong:
        raise SettingsError(f"What was given as the access token {wrong}. Nothing was written.") from None


@dataclass(frozen=True, slots=True)
class Login:
    """An account that is to be kept: the config file as it will be, and the settings that it will mean."""

    file: ConfigFile
    settings: Settings
    token: SecretStr
    in_keychain: bool

    @classmethod
    def of(cls, token: SecretStr, *, base_url: str | None, user_id: str | None, in_keychain: bool) -> Login:
        """What a token and an address make of the config file.

        Args:
            token: The access token.
            base_url: The API's address, None for the one that is set already.
            user_id: The account's number, None likewise.
            in_keychain: Whether the token is to be in the keychain, and not in the file.

        Raises:
            SettingsError: The file can't be read or edited, or would not be right.
        """
        now = load()
        if now.profile and not PROFILE_NAME.fullmatch(now.profile):
            raise SettingsError("COMETAPI_PROFILE is no name of a profile: up to 40 letters, digits, - and _.")
        file = ConfigFile(now.config, now.profile)
        named = {} if now.profile else inherited(ACCOUNT)  # those of the environment are no profile's
        address = base_url or named.get("COMETAPI_BASE_URL")
        number = user_id or named.get("COMETAPI_USER_ID")
        given = {"base_url": address, "user_id": int(number) if number and number.isdecimal() else number}
        file.put({name: value for name, value in given.items() if value and (value != PUBLIC_API or name in file.own)})
        # for the check the token stands in what is read, wherever it is to be kept
        settings = load_as(_with_token(file.content, now.profile, token.get_secret_value()))
        if settings.problems:
            raise SettingsError(f"{' '.join(settings.problems)} Nothing was written.")
        file.put({_TOKEN: None if in_keychain else token.get_secret_value()})
        if in_keychain or _KEPT_IN in file.own.get("mcp", {}):
            file.put({_KEPT_IN: "keyring" if in_keychain else None}, "mcp")
        return cls(file, settings, token, in_keychain)

    def check(self) -> Account:
        """Ask the API whose token it is, with one call. Raises CometError: it is none, or nobody could be asked."""
        redactor = Redactor(self.settings.known_secrets)
        try:
            return account_of(self.settings)
        except UnauthorizedError as error:
            host = host_of(self.settings)
            if error.code == "user_id_needed":
                raise UnauthorizedError(
                    f"{host} wants the account's number beside the token; it is on the account's profile page. "
                    "Give it as --user-id. Nothing was written.",
                    code=error.code,
                ) from None
            raise UnauthorizedError(
                f"{host} does not accept this access token. Copy it again from {TOKEN_PAGE}, whole, or make a "
                "new one there. Nothing was written."
            ) from None
        except CometError as error:
            said = f"{why(error)} Nothing was written; --no-check keeps the token unchecked."
            raise CometError(redactor.text(said)) from None

    def keep(self) -> str:
        """Keep the token; where it is now, in words. Raises SettingsError: it can't be, and nothing has changed."""
        path, profile = self.settings.config, self.settings.profile
        if not self.in_keychain:
            self.file.write()
            _forget_quietly(self.settings)
            return f"the config file {quoted(str(path), 300)}, which only you can read"
        try:
            keep_token(path, profile, self.token)
        except WrongValueError as wrong:
            raise SettingsError(f"The system's keychain {wrong}. Nothing was written; --file needs none.") from None
        try:
            self.file.write()
        except SettingsError:
            _forget_quietly(self.settings)
            raise
        return f"the system's keychain; the config file {quoted(str(path), 300)} says so"


def host_of(settings: Settings) -> str:
    """Where the account is."""
    return urlsplit(settings.base_url).netloc


def account_of(settings: Settings) -> Account:
    """Whose the token is, by one call; all of it empty where the API does not tell that. Raises CometError."""
    with progress("Asking the API whose account it is"):
        return anyio.run(_account, settings)


def _forget_quietly(settings: Settings) -> None:
    with suppress(WrongValueError):  # what is left there is read by nobody
        forget_token(settings.config, settings.profile)


def _with_token(content: dict[str, Any], profile: str, token: str) -> dict[str, Any]:
    if not profile:
        return {**content, _TOKEN: token}
    profiles = content.get("profiles", {})
    return {**content, "profiles": {**profiles, profile: {**profiles.get(profile, {}), _TOKEN: token}}}


async def _account(settings: Settings) -> Account:
    api = CometAPI(replace(settings, calls=0))
    try:
        return await api.account()
    except RefusedError as error:
        if error.code != "no_such_call":
            raise
        await api.list_tokens(1, 1)  # an API without that call: a list needs the token as well
        return Account(quota=0)
    finally:
        await api.aclose()
