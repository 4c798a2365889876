"""The wire to an MCP client."""
