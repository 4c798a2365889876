"""CometAPI over HTTP, without a word of MCP: an endpoint is in `client`, what its answer means in `answers`."""
