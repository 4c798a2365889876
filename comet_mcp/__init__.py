"""cometapi-mcp: an MCP server with which an AI agent makes and manages scoped CometAPI keys."""

__version__ = "0.1.0"
