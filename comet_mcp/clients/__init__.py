"""The MCP clients there are: where each keeps its servers, in which form, and how an entry gets in and out again."""
