"""MCP beside what the SDK does: the transport, a tool's schemas, the check of its arguments."""
