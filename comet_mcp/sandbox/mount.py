"""Several sandboxes on one host, told apart by the first part of the path."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from comet_mcp.sandbox.wire_faults import Answer


class Mounts:
    """Hands a request below a prefix to its application, which does not see the prefix.

    As behind a reverse proxy that strips it: redirects of the application do not name it either.
    """

    def __init__(self, apps: dict[str, ASGIApp]) -> None:
        self.apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        for prefix, app in self.apps.items():
            path = _below(prefix, scope["path"])
            if path is not None:
                raw_path = scope["raw_path"].removeprefix(prefix.encode())
                inner: dict[str, Any] = {**scope, "path": path, "raw_path": raw_path}
                await app(inner, receive, send)
                return
        await Answer.of("404 page not found", "text/plain", 404).send(send)


def mount(**apps: ASGIApp) -> Mounts:
    """The applications on one host, each below `/` and its name: `serve(mount(alpha=one.app, beta=other.app))`."""
    return Mounts({f"/{name}": app for name, app in apps.items()})


def _below(prefix: str, path: str) -> str | None:
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else None
