"""What tests of the whole server share: a place of its own for each server, and a client beside it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from comet_mcp.cli import root
from comet_mcp.sandbox import Sandbox
from comet_mcp.settings import Settings, load

DOCUMENTED: dict[str, Any] = {
    "name": "production",
    "expired_time": -1,
    "remain_quota": 100_000,
    "unlimited_quota": False,
    "model_limits_enabled": False,
    "model_limits": "",
    "allow_ips": None,
    "group": "",
    "cross_group_retry": False,
}
"""The example body of the API's documentation: all nine fields, each but the name and the quota at its default."""


@dataclass
class Home:
    """A user's directory with nothing in it, and the environment of a server that lives there."""

    directory: Path
    url: str
    sandbox: Sandbox
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def key_dir(self) -> Path:
        return self.directory / "keys"

    @property
    def state(self) -> Path:
        return self.directory / "state" / "journal.sqlite3"

    @property
    def environment(self) -> dict[str, str]:
        """All that the server gets: no setting of the machine's own reaches it."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.directory),
            "USERPROFILE": str(self.directory),
            "COMETAPI_ACCESS_TOKEN": self.sandbox.access_token,
            "COMETAPI_BASE_URL": self.url,
            "COMETAPI_USER_ID": str(self.sandbox.user_id),
            "COMETAPI_MCP_KEY_DIR": str(self.key_dir),
            "COMETAPI_MCP_STATE": str(self.state),
            "COMETAPI_MCP_CALLS": "0",  # many tests make more calls than the API allows anybody
            **self.extra,
        }

    @property
    def settings(self) -> Settings:
        """The same for a server in this process."""
        return load(self.environment)

    @property
    def key_files(self) -> list[Path]:
        return sorted(self.key_dir.rglob("*.env"))

    def parameters(self) -> StdioServerParameters:
        return StdioServerParameters(command=sys.executable, args=["-m", "comet_mcp"], env=self.environment)

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """A real client of a real server over stdio. `options` go to the client: mode="legacy" for the old era."""
        async with Client(stdio_client(self.parameters()), **options) as client:
            yield client


def text_of(result: CallToolResult) -> str:
    """The text of a result, which has exactly one."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def data_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a success."""
    assert not result.is_error, text_of(result)
    data: dict[str, Any] | None = result.structured_content
    assert data is not None
    return data


def error_of(result: CallToolResult) -> str:
    """The text of a failure."""
    assert result.is_error, text_of(result)
    return text_of(result)


class _Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def in_process(
    name: str,
    *arguments: str,
    environment: dict[str, str],
    stdin: str = "",
    encoding: str = "utf-8",
    columns: int = 0,
) -> subprocess.CompletedProcess[str]:
    """A subcommand without a process of its own, which takes half a second: for many cases beside one real run.

    With `columns` it runs in a terminal so wide, where nothing moves.
    """
    stream = _Terminal if columns else io.TextIOWrapper
    out, err = (stream(io.BytesIO(), encoding=encoding) for _ in range(2))
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    terminal = {"COLUMNS": str(columns), "TERM": "dumb"} if columns else {}
    with (
        mock.patch.dict(os.environ, kept | terminal | environment, clear=True),
        mock.patch("sys.stdin", stream(io.BytesIO(stdin.encode()), encoding="utf-8")),
        contextlib.chdir(environment["HOME"]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = root.main([name, *arguments])
        except SystemExit as leaving:  # `run` becomes the program
            status = int(leaving.code or 0)
    texts = []
    for written in (out, err):
        written.seek(0)
        texts.append(written.read())
    return subprocess.CompletedProcess(arguments, status, *texts)
