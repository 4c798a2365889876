"""What the server answered to a client's opening, kept in the user's cache for its next start.

A recording's name is a digest of all that may change an answer: the interpreter, this package's and the SDK's files,
what is installed beside them, the variables that settings are read from, and the client's own first message. What was
in the config files is in it and compared. So one that does not hold any more is not found; and one that is damaged,
or that somebody else may have written, is as good as none. It holds answers that go to any client: no secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

OPENING = "initialize"
METHODS = frozenset(
    {"server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping"}
)
"""What is answered beside the opening: all that stays as it is while a server runs."""

MOST = 16
"""Recordings that are kept, the newest."""

_LARGEST = 256 * 1024
_SOURCES = ("comet_mcp", "mcp", "mcp_types")
_VARIABLES = ("COMETAPI", "PYTHON", "HOME", "XDG_", "TZ", "LANG", "LC_", "HTTP", "ALL_PROXY", "SSL_")
_BEFORE_ID = b'{"jsonrpc":"2.0","id":'


class Request(NamedTuple):
    """A request that a recording may have the answer to: its id, as a value and as it stands in an answer."""

    id: str | int
    id_text: bytes
    method: str
    asked: str
    """A digest of the method and the parameters, in one form for all that mean the same. A client's may be secret."""


def request_in(line: bytes) -> Request | None:
    """The request in a line. None where it is for the SDK to say what it is."""
    try:
        message = json.loads(line.decode(), object_pairs_hook=_without_doubles, parse_constant=_refuse)
        if set(message) - {"params"} != {"jsonrpc", "id", "method"} or message["jsonrpc"] != "2.0":
            return None
        method, params = message["method"], message.get("params")
        if method != OPENING and method not in METHODS:
            return None
        asked = json.dumps([method, params], sort_keys=True, ensure_ascii=False).encode()  # no lone surrogate
        id_text = _id_text(message["id"])
    except (ValueError, TypeError, RecursionError):
        return None
    return None if id_text is None else Request(message["id"], id_text, method, _digest(asked))


def is_plain_initialized(line: bytes) -> bool:
    """Whether a line says that the client is ready, and nothing else."""
    try:
        message = json.loads(line.decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        return False
    plain = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    return message in (plain, {**plain, "params": {}})


def _id_text(value: object) -> bytes | None:
    if isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= 200:
        return json.dumps(value).encode()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return b"%d" % value
    return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class Recording:
    """The answers to one opening, and to what may follow it."""

    def __init__(self, path: Path, files: Mapping[str, str], answers: Mapping[str, str] | None = None) -> None:
        """`files` are the config files that the answers depend on, each with the digest of what it holds."""
        self.path = path
        self.files = dict(files)
        self._answers = dict(answers or {})
        self._size = sum(map(len, self._answers.values()))

    def answer(self, request: Request) -> bytes | None:
        """The line that answers it; None where none is known."""
        rest = self._answers.get(request.asked)
        return None if rest is None else _BEFORE_ID + request.id_text + rest.encode()

    def add(self, request: Request, line: bytes) -> bool:
        """Keep what the server answered, where that is a result and there is room. Whether it was not known before."""
        begin = _BEFORE_ID + request.id_text
        if not line.startswith(begin + b',"result":') or request.asked in self._answers:
            return False
        if self._size + len(line) > _LARGEST // 2:  # as JSON within JSON it may take twice as much
            return False
        self._size += len(line)
        self._answers[request.asked] = line.removeprefix(begin).decode()
        return True

    def save(self) -> None:
        """Write it, whole or not at all, and drop the oldest where there are many. Raises OSError."""
        text = json.dumps({"files": self.files, "answers": self._answers}).encode()
        if len(text) > _LARGEST:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_seal(self.path, text) + b"\n" + text)
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        _drop_all_but_newest(self.path.parent)

    def drop(self) -> None:
        """Forget it."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def recorded(path: Path) -> Recording | None:
    """The recording in that file, where it is ours, whole, and holds for the config files as they are."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                return None
            digest, _, text = file.read(_LARGEST + 100).partition(b"\n")
        if digest != _seal(path, text):
            return None
        content = json.loads(text)
        recording = Recording(path, content["files"], content["answers"])
        return recording if recording.files == digests(Path(name) for name in recording.files) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _seal(path: Path, text: bytes) -> bytes:
    """What tells that a file is whole, and the one that it was written as."""
    return _digest(path.name.encode() + b"\n" + text).encode()


def _drop_all_but_newest(folder: Path) -> None:
    with os.scandir(folder) as entries:
        found = [(entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries]
    for _, path in sorted(found, reverse=True)[MOST:]:
        with contextlib.suppress(OSError):  # it is no file, or another server has dropped it
            Path(path).unlink()


def digests(paths: Iterable[Path]) -> dict[str, str] | None:
    """What each of the files holds, as a digest; "" for one that is not there or can't be read.

    None where one is a pipe or the like: what is read here would be missing where the settings are read.
    """
    found = {str(path): _content(path) for path in paths}
    contents = {path: content for path, content in found.items() if content is not None}
    return contents if contents == found else None


def _content(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return _digest(file.read(_LARGEST))
    except OSError:
        return ""


class Cache:
    """The recordings of this interpreter, this code and these variables."""

    def __init__(self) -> None:
        self.folder = _cache_folder()
        self._basis = _digest(json.dumps(list(_basis())).encode())[:32]

    @property
    def is_empty(self) -> bool:
        """Whether there is none at all."""
        try:
            with os.scandir(self.folder) as entries:
                return not any(entry.name.startswith(self._basis) for entry in entries)
        except OSError:
            return True

    def path_of(self, opening: Request) -> Path:
        """Where the recording for that opening is."""
        return self.folder / f"{self._basis}-{opening.asked[:32]}"


def _cache_folder() -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Caches/cometapi-mcp").expanduser()
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else Path("~/.cache").expanduser()) / "cometapi-mcp"


def _basis() -> Iterator[Any]:
    """All that may change an answer, but for the config files and the client."""
    yield [sys.version, sys.executable, list(sys.flags), sys.path, str(Path.cwd())]
    yield sorted((name, value) for name, value in os.environ.items() if name.startswith(_VARIABLES))
    for name in _SOURCES:
        spec = find_spec(name)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield [folder, sorted(_sources(folder))]
    for folder in sys.path:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield sorted(entry.name for entry in entries if entry.name.endswith(".dist-info"))


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_size, found.st_mtime_ns
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _sources(entry.path)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
