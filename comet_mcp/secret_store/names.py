"""Names of files, made from names that anybody could have chosen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from urllib.parse import urlsplit

from comet_mcp.domain.identity import api_identity
from comet_mcp.errors import ArgumentError
from comet_mcp.settings import VARIABLE, is_ours_alone
from comet_mcp.text import quoted

_RESERVED_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def file_name(name: str) -> str:
    """A key's name as the stem of a file on any system: lower-case ASCII letters, digits and dashes, at most 40."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "key"


def host_directory(base_url: str) -> str:
    """The API's host, port and path as a directory name, so that keys of two gateways never mix."""
    url = urlsplit(api_identity(base_url))
    host = re.sub(r"[^a-z0-9.-]+", "_", url.netloc.lower())
    path = [re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in url.path.split("/")]
    plain = "~".join([host, *path[1:]]).strip(".")
    return f"{plain}_" if _RESERVED_ON_WINDOWS.fullmatch(plain) else plain


def checked_file(file: str) -> str:
    """A file name that was chosen, if it is one on every system: no directory, no hidden meaning.

    Raises:
        ArgumentError: It is not; the message says what may be.
    """
    fine = re.fullmatch(r"\.?[A-Za-z0-9_][A-Za-z0-9_.-]{0,98}", file) and not file.endswith(".")
    ours = file.lower() == ".lock" or re.fullmatch(r"\..*\.tmp", file)  # what the directory itself writes
    if not fine or ours or _RESERVED_ON_WINDOWS.fullmatch(file):
        raise ArgumentError(
            f'file {quoted(file)} is no plain file name. Give letters, digits, ".", "_" and "-" only, such as '
            '"blog.env", which is put into the key directory, or a full path such as "~/shop/.env".'
        )
    return file


def checked_variable(variable: str, listed: Collection[str] = ()) -> str:
    """The name of an environment variable, if it is one for a key: programs do something else with many names.

    Args:
        variable: The name.
        listed: Names that the operator allows, whatever they are.

    Raises:
        ArgumentError: It is none; the message says what may be.
    """
    if not re.fullmatch(VARIABLE, variable):
        raise ArgumentError(
            f"variable {quoted(variable)} is no name of an environment variable. Give letters, digits and "
            '"_", such as "BLOG_API_KEY".'
        )
    if variable not in listed and (not variable.upper().endswith(_OF_KEYS) or is_ours_alone(variable)):
        raise ArgumentError(
            f"variable {variable} may change how programs run. Give a name that ends in _KEY or _TOKEN, such as "
            '"BLOG_API_KEY". The person who runs this server can allow others with COMETAPI_MCP_KEY_VARIABLES.'
        )
    return variable


_OF_KEYS = ("_KEY", "_TOKEN")
