"""`python -m release.board_picture`: docs/board.png, drawn by Chromium of what `cometapi-mcp board --save` gives.

The account is a sandbox's, whose clock stands still: the picture is the same on every day.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from comet_mcp.sandbox import Sandbox
from release import ROOT
from release.browser import browser

PICTURE = ROOT / "docs" / "board.png"
WIDTH, HEIGHT = 1180, 900
NOW = datetime(2027, 1, 31, 12, 0, 20, tzinfo=UTC).timestamp()
"""When the account is looked at, in Unix seconds."""
_MINUTE, _DAY = 60, 86_400
_USD = 500_000
_MODELS = ("claude-sonnet-4-5", "gpt-4.1", "o3", "gpt-4.1-mini")


def sandbox(others: int = 0) -> Sandbox:
    """An account with six keys that spend in their ways, and so many others."""
    made, now = Sandbox("gateway", clock=lambda: NOW), int(NOW)
    end = now + _DAY // 4  # some hours later: the days until then are the same while the page is made
    keys: list[tuple[str, float, float, dict[str, Any]]] = [
        ("blog summariser", 4.2, 0.8, {"expired_time": end + 21 * _DAY, **_only("gpt-4.1-mini")}),
        ("shop assistant", 8, 17, {"expired_time": end + 80 * _DAY, "allow_ips": "203.0.113.7", **_only(*_MODELS)}),
        ("nightly tests", 0.18, 4.82, {"expired_time": end + 3 * _DAY, "allow_ips": "198.51.100.0/24"}),
        ("old prototype", 0, 2.4, {"unlimited_quota": True, "expired_time": -1, "accessed_time": now - 120 * _DAY}),
        ("translation service", 0, 10, {"expired_time": end + 200 * _DAY, "status": 4}),
        ("intern laptop", 1, 0, {"expired_time": end + 10 * _DAY, "status": 2, "accessed_time": now - 200 * _DAY}),
        *((f"job {number:03}", 1 + number % 9, 0.5, {"expired_time": end + number * _DAY}) for number in range(others)),
    ]
    for number, (name, left, spent, fields) in enumerate(keys):
        figures = {
            "remain_quota": round(left * _USD),
            "used_quota": round(spent * _USD),
            "created_time": now - 200 * _DAY,
            "accessed_time": now - (1 + 7 * number) * _MINUTE,
        }
        made.add_key(name, **figures | fields)
    _spend(made, now)
    return made


def _only(*models: str) -> dict[str, Any]:
    return {"model_limits_enabled": True, "model_limits": ",".join(models)}


def _spend(made: Sandbox, now: int) -> None:
    """Calls of 60 days: busy on working days, and each key in its own way; the shop's are much alike."""
    for ago in reversed(range(60)):
        for key in (made.keys[0], made.keys[1], made.keys[2], made.keys[4]):
            quiet = 4 if ago % 7 in (0, 1) else 1
            units = (key.id * 37 + ago * ago * 13) % 97 * 1500 * (1 + key.id % 3) // quiet
            made.account.note(
                token_id=key.id,
                token_name=key.name,
                model_name=_MODELS[(key.id + ago % 2) % len(_MODELS)],
                quota=150_000 + 400 * (ago * ago * 13 % 97) if key.name == "shop assistant" else units,
                created_at=now - ago * _DAY - 60,
            )


def save(made: Sandbox, path: Path) -> None:
    """The page of that account, by the command for it."""
    with made.serve() as url, tempfile.TemporaryDirectory() as directory:
        own = {
            "COMETAPI_BASE_URL": url,
            "COMETAPI_ACCESS_TOKEN": made.access_token,
            "COMETAPI_USER_ID": str(made.user_id),
            "COMETAPI_MCP_STATE": str(Path(directory) / "journal.sqlite3"),
            "COMETAPI_MCP_TIMEZONE": "UTC",
            "COMETAPI_MCP_CALLS": "0",
            "HOME": directory,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMETAPI_")}
        command = [sys.executable, "-m", "comet_mcp", "board", "--save", str(path)]
        subprocess.run(command, check=True, cwd=ROOT, env=inherited | own, stdout=subprocess.DEVNULL)
        page = path.read_text(encoding="utf-8")
        path.write_text(page.replace(url.removeprefix("http://"), "api.cometapi.com"), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        report = Path(folder) / "report.html"
        save(sandbox(), report)
        page.show(report.as_uri(), width=WIDTH, height=HEIGHT)
        PICTURE.write_bytes(page.picture())
