"""What an MCP server of the same name says, of another version and without tools."""

import json
import sys

ABOUT = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "x", "version": "0.0.9"},
}
ANSWERS = {"initialize": ABOUT, "tools/list": {"tools": []}}

for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        known = ANSWERS.get(asked["method"])
        answer = {"result": known} if known else {"error": {"code": -32601, "message": "no such method"}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}) + "\n")
        sys.stdout.flush()
