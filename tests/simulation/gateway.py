"""The API in this process: the sandbox, asked without a socket, and the network before it with all that can happen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import httpx

from comet_mcp.sandbox import Sandbox
from comet_mcp.sandbox.dialects import dialect_named
from comet_mcp.sandbox.key import Key as Row
from tests.simulation.loop import Loop
from tests.simulation.records import Call, Log, Made, Write

EPOCH = 1_900_000_000
"""The API's time at the loop's zero."""

WRITES = ("create", "update", "delete")


@dataclass(eq=False)
class Request:
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    call: Call | None
    sent_at: float
    kind: str
    listed_in: float = 0.0


class Gateway:
    """One account of one API. `prefix` is the path of its address on a host that several may share."""

    def __init__(self, loop: Loop, random: Random, log: Log, dialect: str, prefix: str = "") -> None:
        self.loop, self.random, self.log, self.prefix = loop, random, log, prefix
        self.name = f"api{prefix}"
        spoken = replace(dialect_named(dialect), gzips=False, page_fixed=random.choice((None, None, None, 3)))
        self.sandbox = Sandbox(spoken, clock=self.now)
        self.token = self.sandbox.access_token
        self.generation = 0
        self.down_until = 0.0
        """Until when nothing listens."""
        self.fault_rate = 0.0
        self.is_overloaded = False
        """Whether it carries out many updates late, when nobody waits for the answer any more."""
        self.on_trouble: Callable[[dict[str, Any]], None] | None = None
        """What somebody does, with a create's body, as soon as its answer is in doubt."""
        self.made: list[Made] = []
        self.writes: list[Write] = []
        self.reserved: dict[int, int] = {}
        self.asked_with: list[tuple[Call, str, int]] = []
        """The values of keys that calls asked with: the call, the value, the database's generation."""
        self.sent: list[tuple[Call, dict[str, Any]]] = []
        """The bodies of creates that were sent, each with its call, whether they have arrived or not."""
        self.begun: list[tuple[float, int, int, int]] = []
        """When model calls began: the time, the key's id, the units reserved, and those reserved before."""
        self.reveals: list[tuple[float, Call]] = []
        """When a value was revealed, and for which call."""
        self.requests: list[tuple[float, str, str]] = []
        """When, from which machine, and what was asked."""

    def now(self) -> float:
        return EPOCH + self.loop.now

    # -- what others than our servers do -----------------------------------------------------------------------------

    def row(self, key_id: int) -> Row | None:
        """The key of that id, if there is one."""
        return next((row for row in self.sandbox.keys if row.id == key_id), None)

    def made_now(self, key_id: int) -> Made | None:
        """What is known of the key that has that id now."""
        return next((made for made in self.made if made.id == key_id and made.generation == self.generation), None)

    def add(self, name: str, **fields: Any) -> Row:
        """Somebody makes a key in the console."""
        row = self.sandbox.add_key(name, **fields)
        self._note_made(row, None, _snapshot(row), self.loop.now)
        self._note_write("create", row.id, {}, _snapshot(row), None)
        return row

    def change(self, row: Row, **fields: Any) -> None:
        """Somebody changes a key in the console."""
        before = _snapshot(row)
        for name, value in fields.items():
            setattr(row, name, value)
        self._note_write("update", row.id, before, _snapshot(row), None)

    def remove(self, row: Row) -> None:
        """Somebody deletes a key in the console."""
        self._note_write("delete", row.id, _snapshot(row), {}, None)
        self.sandbox.keys.remove(row)

    def begin_anew(self) -> None:
        """The operator starts with an empty database: the ids begin at 1 again, once it is up after a few seconds."""
        self.sandbox.keys.clear()
        self.sandbox.account._next_id = 1
        self.reserved.clear()
        self.generation += 1
        self.down_until = self.loop.now + 3

    def begin_call(self, row: Row, units: int) -> bool:
        """A program calls a model: the gateway reserves. False where it refuses."""
        if row.status != 1 or row.unlimited_quota or row.remain_quota < units:
            return False
        row.remain_quota -= units
        row.used_quota += units
        before = self.reserved.get(row.id, 0)
        self.begun.append((self.loop.now, row.id, units, before))
        self.reserved[row.id] = before + units
        return True

    def end_call(self, row: Row, reserved: int, cost: int) -> None:
        """The model call ends: what was reserved and what it cost are set right."""
        if row not in self.sandbox.keys:
            return
        row.remain_quota += reserved - cost
        row.used_quota -= reserved - cost
        self.reserved[row.id] = self.reserved.get(row.id, 0) - reserved

    # -- what our servers ask ----------------------------------------------------------------------------------------

    def do(self, request: Request) -> httpx.Response:
        """Carry a request out, at once."""
        if request.kind not in WRITES:
            return self._ask(request)
        keys = self.sandbox.keys
        before = {row.id: _snapshot(row) for row in keys}
        response = self._ask(request)
        after = {row.id: row for row in keys}
        for key_id in after.keys() - before.keys():
            if request.listed_in:
                after[key_id].listed_from = self.now() + request.listed_in
            self._note_made(after[key_id], request.call, json.loads(request.body), request.sent_at)
            self.made[-1].listed_at = self.loop.now + request.listed_in
            self._note_write("create", key_id, {}, _snapshot(after[key_id]), request)
        for key_id in before.keys() - after.keys():
            self._note_write("delete", key_id, before[key_id], {}, request)
        if request.kind == "update" and (key_id := json.loads(request.body).get("id")) in after:
            self._note_write("update", key_id, before[key_id], _snapshot(after[key_id]), request)
        return response

    def _ask(self, request: Request) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query,
            "root_path": "",
            "headers": request.headers,
            "server": ("127.0.0.1", 1),
            "client": ("127.0.0.1", 1),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asking = self.sandbox.app(scope, receive, send)
        try:
            asking.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            body = b"".join(message.get("body", b"") for message in sent[1:])
            return unread(sent[0]["status"], body, sent[0]["headers"])
        raise AssertionError("the sandbox waits for something")

    def _note_made(self, row: Row, call: Call | None, body: dict[str, Any], sent_at: float) -> None:
        total = row.remain_quota + row.used_quota
        made = Made(row.id, self.generation, row.name, body, self.loop.now, call, sent_at, row.key, total)
        self.made.append(made)
        self.log(self.loop.now, self.name, "key %d %r made for %s", row.id, row.name, call or "the console")

    def _note_write(self, kind: str, key_id: int, before: Any, after: Any, request: Request | None) -> None:
        call, sent_at = (request.call, request.sent_at) if request else (None, self.loop.now)
        made = self.made_now(key_id)
        if made is not None and made.touched_at is None and _touches(made, kind, before, after, call):
            made.touched_at = self.loop.now
        reserved = self.reserved.get(key_id, 0)
        self.writes.append(Write(kind, key_id, self.generation, self.loop.now, call, sent_at, before, after, reserved))
        if kind == "update":
            changed = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
            self.log(self.loop.now, self.name, "key %d written by %s: %s", key_id, call or "the console", changed)
        elif kind == "delete":
            self.log(self.loop.now, self.name, "key %d deleted by %s", key_id, call or "the console")


def _touches(made: Made, kind: str, before: dict[str, Any], after: dict[str, Any], call: Call | None) -> bool:
    """Whether a write is that of somebody else than who asked for the key."""
    own = call is not None and made.call is not None and call.wish is made.call.wish
    return kind != "create" and not own and before != after


def _snapshot(row: Row) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _FIELDS}
    found["allow_ips"] = found["allow_ips"] or ""
    return found


_FIELDS = (
    "name",
    "status",
    "expired_time",
    "remain_quota",
    "used_quota",
    "unlimited_quota",
    "model_limits_enabled",
    "model_limits",
    "allow_ips",
    "group",
    "cross_group_retry",
    "auto_groups",
)


def unread(status: int, body: bytes, headers: Any = None) -> httpx.Response:
    """An answer that was not read yet, as a transport gives it."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))
