"""`cometapi-mcp uninstall`: what `install` did, undone."""

from comet_mcp.cli.install import uninstall_main as main

__all__ = ["main"]
