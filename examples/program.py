"""A program that knows nothing of MCP: it calls a model with the key that `cometapi-mcp run --openai` gave it.

cometapi-mcp run --openai "report agent" -- python program.py
"""

import json
import os
import urllib.request


def main() -> None:
    """Say hello to a model and print what it says."""
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {os.environ['OPENAI_API_KEY']}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.load(answer)["choices"][0]["message"]["content"])


if __name__ == "__main__":
    main()
