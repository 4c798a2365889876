"""A person's machine with everything in order, in which a fault can be planted; and what doctor says of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from comet_mcp.clients.file import path_of
from comet_mcp.clients.table import BY_NAME
from comet_mcp.domain.key import KeySpec
from comet_mcp.journal.base import Decision, Reads, Step
from comet_mcp.journal.operations import Operation, State
from comet_mcp.journal.sqlite import SQLiteJournal
from comet_mcp.journal.writes import Put
from comet_mcp.sandbox import Sandbox
from tests.support import in_process

KEY_VALUE = "sk-made-up-value-of-a-key-in-a-file-0123456789"
PASSWORD = "made-up-password-of-a-proxy"
ELSEWHERE = "made-up-token-that-is-not-the-account-s"
TLS = Path(__file__).parent.parent / "data" / "tls"


@dataclass
class Machine:
    """A home, what is in its config file, and the environment of its shell."""

    home: Path
    sandbox: Sandbox
    url: str
    patch: pytest.MonkeyPatch
    stack: ExitStack
    top: dict[str, str] = field(default_factory=dict)
    """The lines at the top of the config file, as TOML has them."""
    rest: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
        self.environ = {**kept, "HOME": str(self.home), "USERPROFILE": str(self.home)}
        self.top = {
            "access_token": f'"{self.sandbox.access_token}"',
            "base_url": f'"{self.url}"',
            "user_id": f'"{self.sandbox.user_id}"',
        }
        self.rest = f"[mcp]\nstate = {json.dumps(str(self.state))}\n"  # its usual place differs by system
        self.write_config()
        self.keys.mkdir(mode=0o700, parents=True)
        key_file = self.keys / "blog-1.env"
        key_file.write_text(f"COMETAPI_KEY={KEY_VALUE}\n")
        key_file.chmod(0o600)
        self.disk(75 * 10**9)
        self.journal()
        self.client_file("codex").parent.mkdir()
        assert in_process("install", "codex", "--yes", environment=self.environ).returncode == 0

    @property
    def config(self) -> Path:
        return self.home / ".config" / "cometapi" / "config.toml"

    @property
    def keys(self) -> Path:
        return self.home / ".config" / "cometapi" / "keys"

    @property
    def state(self) -> Path:
        return self.home / "state" / "journal.sqlite3"

    def client_file(self, name: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(self.home))
            patch.setenv("USERPROFILE", str(self.home))
            return path_of(BY_NAME[name], self.environ)

    def disk(self, free: int) -> None:
        """A disk with that many bytes free: other programs write to the machine's own between two looks."""
        usage = shutil._ntuple_diskusage(10**11, 10**11 - free, free)
        self.patch.setattr(shutil, "disk_usage", lambda _: usage)

    def write_config(self, **top: str) -> None:
        """The config file, with these lines at its top instead; an empty one is left out."""
        lines = [f"{name} = {value}\n" for name, value in (self.top | top).items() if value]
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text("".join(lines) + self.rest, encoding="utf-8")
        self.config.chmod(0o600)

    def entry(self, client: str, text: str) -> None:
        """A client's file with that text."""
        path = self.client_file(client)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def distribution(self, name: str, version: str, *, requires: str = "", record: str = "") -> None:
        """Another package of that name, which Python finds first."""
        folder = self.home / f"site-{name}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (info / "RECORD").write_text(f"{record},,\n" if record else "")
        self.patch.syspath_prepend(str(folder))

    def program(self, name: str, text: str) -> Path:
        """A program of that name, in a folder of its own."""
        path = self.home / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o700)
        return path

    def journal(self, *writes: Any) -> None:
        """Write that into the journal, which is made where it is not there yet."""
        self.state.parent.mkdir(mode=0o700, exist_ok=True)
        journal = SQLiteJournal(self.state)
        anyio.run(journal.run, Step(Reads("a"), lambda _: Decision(None, writes)))
        journal.close()

    def operation(self, **fields: Any) -> None:
        given: dict[str, Any] = {"kind": "create", "state": State.OUTCOME_UNKNOWN, "spec": KeySpec(name="blog")}
        base: dict[str, Any] = {"id": "one", "account": "a", "begun": 1.0, "holder": "", "lease_until": 0.0}
        self.journal(Put(Operation(**base | given | fields)))

    @contextmanager
    def tls(self, name: str) -> Iterator[int]:
        """A port where TLS is spoken with one of the made-up certificates, and nothing else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / name)
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=_shake_hands, args=(server, context), daemon=True)
            thread.start()
            yield server.getsockname()[1]
            server.shutdown(socket.SHUT_RDWR)
        thread.join()

    def doctor(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it prints; on stderr there is nothing."""
        done = in_process("doctor", *arguments, environment=self.environ)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def findings(self, *arguments: str) -> tuple[int, list[dict[str, str]]]:
        status, said = self.doctor("--json", *arguments)
        return status, json.loads(said)["findings"]

    def tree(self) -> dict[str, tuple[int, int, int, bytes]]:
        """Every file and folder of the home: mode, size, when it was changed, and what is in it."""
        return {
            str(path.relative_to(self.home)): (
                (status := path.lstat()).st_mode,
                status.st_size,
                status.st_mtime_ns,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in [self.home, *self.home.rglob("*")]
        }

    def secrets(self) -> list[str]:
        return [self.sandbox.access_token, KEY_VALUE, PASSWORD, ELSEWHERE]


def _shake_hands(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the end
            return
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:  # the client does not trust it
                continue
