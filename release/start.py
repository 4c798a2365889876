"""How README, the one-click links and the docs start the server on a machine that has uv."""

from __future__ import annotations

from comet_mcp.clients.start import Start

SOURCE = "git+https://github.com/cometapi-mcp/cometapi-mcp"
"""What uv installs."""

# There is no release yet, so uv builds the repository. After the first one: Start("uvx", ["cometapi-mcp"])
START = Start("uvx", ["--from", SOURCE, "cometapi-mcp"])
