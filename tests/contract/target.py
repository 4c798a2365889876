"""A server under contract: the sandbox in one of its dialects, or a live one; and one test's view of it."""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import httpx
import pytest

from comet_mcp.sandbox import DIALECTS, Dialect

LIVE = "live"
_LIVE_VARIABLES = ("COMETAPI_CONTRACT_BASE_URL", "COMETAPI_CONTRACT_TOKEN", "COMETAPI_CONTRACT_USER_ID")
GATEWAY_FIELDS = {"DeletedAt"}


@dataclass(frozen=True)
class Server:
    base_url: str
    token: str
    user_id: str
    dialect: Dialect
    live: bool = False


def names() -> list[str]:
    """The servers to test: every dialect of the sandbox, and the live one that the environment names."""
    return [*DIALECTS, *([LIVE] if all(os.environ.get(name) for name in _LIVE_VARIABLES) else [])]


def live_server() -> Server:
    """The server that the environment names, with the dialect that it turns out to speak."""
    base_url, token, user_id = (os.environ[name] for name in _LIVE_VARIABLES)
    unknown = Server(base_url.rstrip("/"), token, user_id, DIALECTS["documented"], live=True)
    with open_client(unknown) as client, API(unknown, client) as api:
        fields = set(api.create())
        masked = "*" in api.rows()[0]["key"]
        said = api.post(name=api.name(), remain_quota=2**62).json()["message"]
        batched = bool(yes(api.request("GET", "/api/status"))["enable_batch_update"])
        redis = not _writes_statuses(api)
    if "auto_groups" in fields:
        # releases of the same month differ in nothing else
        dialect = replace(DIALECTS["gateway"], max_quota=int(said.rpartition(" ")[2]))
    elif masked:
        dialect = DIALECTS["gateway-2026-06"]
    else:
        dialect = DIALECTS["gateway-2026-03" if fields & GATEWAY_FIELDS else "documented"]
    dialect = replace(dialect, redis=redis, batch_seconds=5 if batched else 0)
    return Server(unknown.base_url, token, user_id, dialect, live=True)


def _writes_statuses(api: "API") -> bool:
    row = api.create(remain_quota=0)
    masked = "*" in row["key"]
    secret = yes(api.request("POST", f"/api/token/{row['id']}/key"))["key"] if masked else row["key"]
    api.as_key(secret)
    return bool(yes(api.get(row["id"]))["status"] == 4)


def open_client(server: Server) -> httpx.Client:
    """An HTTP client for the server; one for all tests, for opening one takes longer than most of them."""
    return httpx.Client(base_url=server.base_url, trust_env=False, timeout=20)


class API:
    """Raw HTTP with one server. Every key is named with this object's own prefix, and gone when it closes."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server = server
        self.dialect = server.dialect
        self.prefix = f"contract-{secrets.token_hex(4)}"
        self._count = 0
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for row in self.rows():
            self.delete(row["id"])

    def name(self) -> str:
        """A name that no other key has."""
        self._count += 1
        return f"{self.prefix}-{self._count}"

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: str | bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """One request as the account; a header of None is left out."""
        wanted = {"Authorization": self.server.token, "New-Api-User": self.server.user_id, **(headers or {})}
        sent = {name: value for name, value in wanted.items() if value is not None}
        response = self._client.request(method, path, json=json, content=content, headers=sent, params=params)
        if response.status_code == 429 and self.server.live:
            pytest.skip("The live server's rate limit is reached.")
        if response.status_code == 503 and self.server.live and "_overloaded" in response.text:
            pytest.skip("The live server takes no model calls: its machine is busy.")
        return response

    def post(self, **fields: Any) -> httpx.Response:
        """A create with just these fields."""
        return self.request("POST", "/api/token/", json=fields)

    def create(self, **fields: Any) -> dict[str, Any]:
        """Make a key, of 1000 units unless said otherwise, and find its record."""
        body: dict[str, Any] = {"name": self.name(), "expired_time": -1, "remain_quota": 1000} | fields
        yes(self.post(**body))
        return self.row(body["name"])

    def row(self, name: str) -> dict[str, Any]:
        """The newest key of that name."""
        return next(row for row in self.rows() if row["name"] == name)

    def rows(self) -> list[dict[str, Any]]:
        """The keys made through this object, newest first."""
        return [row for row in self.page(page_size=100)["items"] if row["name"].strip().startswith(self.prefix)]

    def page(self, **params: str | int) -> dict[str, Any]:
        """A page of the list."""
        answer: dict[str, Any] = yes(self.request("GET", "/api/token/", params=params))
        return answer

    def get(self, id: object) -> httpx.Response:
        return self.request("GET", f"/api/token/{id}")

    def put(self, query: str = "", /, **fields: Any) -> httpx.Response:
        return self.request("PUT", f"/api/token/{query}", json=fields)

    def set_status(self, row: Mapping[str, Any], status: int) -> dict[str, Any]:
        """Set a key's status in a way that every dialect understands."""
        fields = {name: row[name] for name in row if name not in ("key", "auto_groups")}
        record: dict[str, Any] = yes(self.put("?status_only=1", **fields | {"status": status}))
        return record

    def delete(self, id: int) -> httpx.Response:
        return self.request("DELETE", f"/api/token/{id}")

    def search(self, **params: str | int) -> httpx.Response:
        return self.request("GET", "/api/token/search", params=params)

    def found(self, **params: str | int) -> set[str]:
        """The names that a search finds."""
        data = yes(self.search(**params))
        return {row["name"] for row in (data["items"] if self.dialect.search_pages else data)}

    def secret(self, row: Mapping[str, Any]) -> str:
        """A key's value."""
        if not self.dialect.masked_keys:
            return f"{row['key']}"
        revealed = yes(self.request("POST", f"/api/token/{row['id']}/key"))
        return f"{revealed['key']}"

    def as_key(
        self, secret: str, path: str = "/v1/models", *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A request with a key instead of the access token: GET, or POST where there is a body."""
        wanted = {"Authorization": f"Bearer sk-{secret}", "New-Api-User": None, **(headers or {})}
        return self.request("GET" if json is None else "POST", path, json=json, headers=wanted)

    def chat(self, secret: str, model: str = "gpt-4o", **fields: Any) -> httpx.Response:
        """A short chat with a key."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
        return self.as_key(secret, "/v1/chat/completions", json=body)

    def called(self) -> tuple[dict[str, Any], str]:
        """A key that has made one call: its record afterwards, and the call's id."""
        row = self.create(remain_quota=100_000)
        response = self.chat(self.secret(row))
        assert response.status_code == 200
        return self.spent(row), response.headers["x-oneapi-request-id"]

    def spent(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The key's record once it shows that something was spent."""
        deadline = time.monotonic() + 10
        while True:
            record: dict[str, Any] = yes(self.get(row["id"]))
            if record["used_quota"] or time.monotonic() > deadline:
                return record
            time.sleep(0.05)

    def log(self, **params: str | int) -> Any:
        """A page of the log."""
        return yes(self.request("GET", "/api/log/self", params=params))

    def usage(self, secret: str) -> httpx.Response:
        return self.as_key(secret, "/api/usage/token/")

    def models(self, secret: str) -> list[str]:
        """The models that a key may call."""
        response = self.as_key(secret)
        assert response.status_code == 200
        return [model["id"] for model in response.json()["data"]]


def yes(response: httpx.Response) -> Any:
    """The data of an answer, which must be a success."""
    body = response.json()
    assert (response.status_code, body["success"], body["message"]) == (200, True, "")
    return body.get("data")


def no(response: httpx.Response, status: int = 200) -> str:
    """The message of an answer, which must be a refusal."""
    body = response.json()
    assert (response.status_code, body["success"]) == (status, False)
    return f"{body['message']}"


def model_error(response: httpx.Response, status: int) -> tuple[str, str]:
    """Code and message of a model endpoint's refusal; the message without its request id."""
    assert response.status_code == status
    error = response.json()["error"]
    assert error["type"] == "new_api_error"
    message, _, rest = error["message"].partition(" (request id: ")
    assert rest == f"{response.headers['x-oneapi-request-id']})"
    return error["code"], message
