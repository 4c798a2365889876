"""The values of settings, each as the program wants it; what is wrong with one is said without repeating it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from comet_mcp.domain.elsewhere import is_entry
from comet_mcp.domain.identity import is_loopback, plain_path
from comet_mcp.domain.money import PER_USD, Units
from comet_mcp.policy.rule import WrongValueError
from comet_mcp.settings.table import GITHUB_API, MAX_TIMEOUT, PUBLIC_API, VARIABLE, ToolName
from comet_mcp.text import printable

_T = TypeVar("_T")
_EXAMPLE = re.compile(r"(paste|insert|your)[-_ ].*|.*[-_ ]here", re.IGNORECASE)
"""What stands for a token in examples: README's, the official cli's, and others'."""


def access_token(text: str) -> SecretStr:
    """A token that can be right: visible ASCII without spaces, quotes or a scheme word around it."""
    if _EXAMPLE.fullmatch(text.strip().strip("\"'<>")):
        raise WrongValueError("holds the placeholder of an example; put the token in its place")
    if re.match(r"[\s\"']*sk-", text):
        raise WrongValueError("holds a model key (sk-...), which is no access token")
    if re.match(r"\s*bearer\b", text, re.IGNORECASE):
        raise WrongValueError('starts with "Bearer"; the token goes there alone')
    if text != text.strip() or "\n" in text or "\r" in text:
        raise WrongValueError("has a space or line break before, after or inside the token; paste the token alone")
    if text[0] in "\"'`“‘" or text[-1] in "\"'`”’":
        raise WrongValueError("has quotation marks around the token; paste the token alone")
    if re.search(r"\s", text):
        raise WrongValueError("has a space inside; a token has none")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise WrongValueError("has a character that no token has; copy the token again")
    return SecretStr(text)


def base_url(text: str, *, allow_http: bool, example: str = PUBLIC_API) -> str:
    """Scheme, host and path, without a trailing slash or /v1.

    Shown values are safe: a URL with a name or password in it is refused before anything of it is quoted.
    """
    example = f"give an address such as {example}"
    try:
        url = urlsplit(text.strip())
        host, port = url.hostname, url.port
    except ValueError:
        raise WrongValueError(f"is not an address; {example}") from None
    if url.username is not None or url.password is not None:
        raise WrongValueError("has a name or password in it; the access token has its own setting")
    if url.scheme not in ("http", "https") or not host or not host.isascii() or not text.strip().isprintable():
        raise WrongValueError(f"is not an http or https address; {example}")
    if url.query or url.fragment:
        raise WrongValueError(f"has a ? or # part; {example}")
    if url.scheme == "http" and not allow_http and not is_loopback(host):
        raise WrongValueError(
            "is plain http to another machine, which would send the token unencrypted; use https, "
            "or set COMETAPI_MCP_ALLOW_HTTP=1 if that network is yours"
        )
    name = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{name}{f':{port}' if port else ''}{plain_path(url.path)}"


def github_api(text: str) -> str:
    """The address of GitHub's API, to which a token goes: https, or this machine's."""
    address = base_url(text, allow_http=True, example=GITHUB_API)
    if address.startswith("http:") and not is_loopback(urlsplit(address).hostname or ""):
        raise WrongValueError("is plain http to another machine, which would send GH_TOKEN unencrypted; use https")
    return address


def user_id(text: str) -> str:
    """The account's number."""
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        raise WrongValueError("must be the account's number, such as 1042")
    return text.strip()


def one_of(words: tuple[_T, ...]) -> Callable[[str], _T]:
    """A parser for one of these words, in any case."""

    def parse(text: str) -> _T:
        for word in words:
            if text.lower() == str(word).lower():
                return word
        raise WrongValueError(f"must be one of {', '.join(map(str, words))}")

    return parse


def tool_names(text: str) -> frozenset[ToolName]:
    """Names of tools, separated by commas."""
    known = {name: name for name in get_args(ToolName)}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for place, name in enumerate(names, 1):
        if name not in known:
            raise WrongValueError(f"has a name that is no tool's in place {place}; the tools are {', '.join(known)}")
    if not names:
        raise WrongValueError(f"names no tool; the tools are {', '.join(known)}")
    return frozenset(known[name] for name in names)


def variable_names(text: str) -> frozenset[str]:
    """Names of environment variables, separated by commas."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not all(re.fullmatch(VARIABLE, name) for name in names):
        raise WrongValueError('must be names of environment variables with commas between, such as "BLOG_SECRET"')
    return names


def path(text: str) -> Path:
    """A full path; `~` is the user's home."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise WrongValueError("names the home of a user that this machine does not have") from None
    if "\0" in text or not path.is_absolute():
        raise WrongValueError("must be a full path, such as one that starts with / or ~ or C:\\")
    return path


def paths(text: str) -> tuple[Path, ...]:
    """Full paths, separated by commas."""
    return tuple(path(part.strip()) for part in text.split(",") if part.strip())


def places(text: str) -> tuple[str, ...]:
    """Places elsewhere, separated by commas; a comma inside a command separates nothing."""
    entries = [entry.strip() for entry in re.split(r",\s*(?=github:|command:|\s*$)", text)]
    found = tuple(entry for entry in entries if entry)
    if not all(map(is_entry, found)):
        raise WrongValueError(
            'must be places with commas between, such as "github:OWNER/REPO/SECRET_NAME" or "command:pass insert -m '
            'shop"; a * may stand at the end of each'
        )
    return found


def units_per_usd(text: str) -> Units:
    """A whole number of quota units."""
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        raise WrongValueError(f"must be a whole number, such as {PER_USD}")
    return Units(int(text))


def proxy(text: str) -> SecretStr:
    """A proxy's address with its port. It may hold a password."""
    try:
        url = urlsplit(text)
        fine = url.scheme in ("http", "https") and url.hostname and url.port is not None
    except ValueError:
        fine = False
    if not fine:
        raise WrongValueError("must be a proxy's address with its port, such as http://proxy.example:3128")
    return SecretStr(text)


def certificates(text: str) -> Path:
    """A file with certificates in PEM form that can be loaded."""
    import ssl  # noqa: PLC0415 - few have a bundle of their own

    file = path(text)
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        said = f": {printable(why, 100)}" if why else ""
        raise WrongValueError(f"names no file of certificates in PEM form that can be read{said}") from None
    return file


def timezone(text: str) -> tzinfo:
    """A zone by its IANA name."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - few set one

    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown, no name, a directory
        raise WrongValueError(
            "is no time zone that this machine knows; give an IANA name, such as Asia/Tokyo"
        ) from None


def calls(text: str) -> int:
    """A number of calls, 0 for no limit."""
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise WrongValueError("must be a whole number, 0 for no limit")
    return int(text)


def timeout(text: str) -> float:
    """Seconds, from 1 to `MAX_TIMEOUT`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= MAX_TIMEOUT:
        raise WrongValueError(f"must be a number of seconds from 1 to {MAX_TIMEOUT:g}")
    return seconds
