"""`cometapi-mcp uninstall`: what `install` did, undone."""

from comet_mcp.cli.install import uninstall as command

__all__ = ["command"]
