"""The board inside the reference host of MCP Apps, in Chromium.

It takes these in npm's global folder, the host's earlier generation as `ext-apps-1`:
`npm install -g esbuild zod @modelcontextprotocol/sdk @modelcontextprotocol/ext-apps` and
`npm install -g ext-apps-1@npm:@modelcontextprotocol/ext-apps@1`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from comet_mcp.board.page import document
from release.browser import browser, chromium

pytestmark = [pytest.mark.long, pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")]
_PAGE = (
    '<!doctype html><iframe sandbox="allow-scripts" width="800" height="600"></iframe><script src="host.js"></script>'
)


def _built(package: str, folder: Path) -> Path:
    """The host's page."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here")
    root = Path(subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True).stdout.strip())
    esbuild = root / "esbuild" / "bin" / "esbuild"
    if not (root / package).exists() or not esbuild.exists():
        pytest.skip(f"esbuild or {package} is not installed")
    source = Path(__file__).with_name("host.js")
    command = [str(esbuild), str(source), "--bundle", "--log-level=error", f"--outfile={folder / 'host.js'}"]
    alias = f"--alias:host-bridge={package}/app-bridge"
    subprocess.run([*command, alias], env=os.environ | {"NODE_PATH": str(root)}, check=True)
    (folder / "host.html").write_text(_PAGE, encoding="utf-8")
    return folder / "host.html"


@pytest.mark.parametrize("package", ["@modelcontextprotocol/ext-apps", "ext-apps-1"])
def test_the_board_asks_the_host_for_what_it_shows(package: str, tmp_path: Path) -> None:
    host = _built(package, tmp_path)
    contents = ["<p>first &lt;img src=x&gt;</p><img src=x onerror='parent.postMessage(`taken`, `*`)'>", "<p>second</p>"]
    with browser() as page:
        page.show(host.as_uri())
        page.run(f"start({json.dumps(document(None, mode='app'))}, {json.dumps(contents)})")
        page.until("window.asked.length === 1 && window.size > 0")
        assert page.run("window.asked") == ["ui://cometapi/board/content"]
        page.run("window.call()")
        page.until("window.asked.length === 2")
        page.run("window.call()")
        page.until("window.asked.length === 3")
        assert page.run("window.taken === undefined")
        assert not [told for told in page.events if told["method"] == "Runtime.exceptionThrown"]
