"""What tells APIs apart: an address in the one form that all its spellings have."""

from __future__ import annotations

import posixpath
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def plain_path(path: str) -> str:
    """A path without doubled slashes, dots, a slash at its end or the `/v1` of programs; "" for the root."""
    normal = posixpath.normpath("/" + path.strip("/")).removesuffix("/v1").rstrip("/")
    return re.sub("/{2,}", "/", normal)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def api_identity(base_url: str) -> str:
    """Scheme, host, port and path; every name of this machine is `localhost`, and a usual port is left out."""
    url = urlsplit(base_url)
    host = (url.hostname or "").rstrip(".")
    name = "localhost" if is_loopback(host) else f"[{host}]" if ":" in host else host
    port = "" if url.port in (None, _PORTS.get(url.scheme)) else f":{url.port}"
    return f"{url.scheme}://{name}{port}{plain_path(url.path)}"
