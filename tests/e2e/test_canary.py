"""The access token and the keys' values, looked for in everything a server writes, down to its debug log."""

from __future__ import annotations

import base64
import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from comet_mcp.sandbox import Fault, Key, Sandbox, front, messages, wire_faults
from tests.e2e.steps import Process, free_reveals, give_keychain, in_keychain, served, started
from tests.support import Home, error_of

MakeHome = Callable[..., Home]

TOKEN = "canary+access/token=0123456789abcdef=="
PASSWORD = "canary-of-a-proxy-0123"
STORES = ["file", "keyring", "result", "none"]
SHOWING = ("create_api_key", "rotate_api_key", "save_api_key")
"""The tools that hand out a value where the operator asked for it."""

FAULTS = [
    "create:reset_after",
    "create:garbage",
    "create:truncated",
    "create:create_with_id",
    "create:duplicate",
    "create:status=401",
    "list:html",
    "get:truncated*9",
    "get:wrong_json*9",
    "list:reset_after*9",
    "reveal:garbage*9",
    "reveal:truncated*9",
    "reveal:status=500*9",
    "reveal:wrong_json*9",
    "reveal:status=404*9",
    "update:truncated",
    "models:garbage*9",
    "usage:truncated*9",
]
"""Faults of one call, each met by the tools that work with values."""

ANYWHERE = ["reset_after", "status_after", "html_after", "garbage", "truncated", "wrong_json"]
"""Faults that any call can have; each strikes the first, the second or the third call of every tool."""


@dataclass
class Written:
    """All that a server wrote: what came over stdout, stderr, files, and what the system shows of it."""

    stdout: list[bytes] = field(default_factory=list)
    stderr: bytes = b""
    journal: bytes = b""
    command_line: bytes = b""

    @property
    def everything(self) -> bytes:
        return b"\n".join([self.told, self.journal])

    @property
    def told(self) -> bytes:
        return b"\n".join([*self.stdout, self.stderr, self.command_line])


_PART = 12
"""A mask shows four characters at each end; this many in a row are a leak."""


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """The secret as it may be written, each form with its name."""
    raw = secret.encode()
    yield "raw", raw
    for safe, where in (("", "URL-encoded"), ("/", "URL-encoded in a path")):
        encoded = quote(secret, safe=safe)
        yield where, encoded.encode()
        yield f"{where}, in lower case", _lower_escapes(encoded).encode()
    yield "JSON", json.dumps(secret).encode()[1:-1]
    yield "backwards", raw[::-1]
    yield "hex", raw.hex().encode()
    yield "hex with spaces", raw.hex(" ").encode()
    for start in range(len(raw) - _PART + 1):
        yield f"the part from {start}", raw[start : start + _PART]
    for start in range(3):  # base64 has three forms, by what stands before it; the ends depend on their neighbours
        packed = base64.b64encode(b"\0" * start + raw)[4 if start else 0 : -4]
        yield f"base64 {start}", packed
        yield f"URL-safe base64 {start}", packed.replace(b"+", b"-").replace(b"/", b"_")


def _lower_escapes(encoded: str) -> str:
    return "%".join(part[:2].lower() + part[2:] if number else part for number, part in enumerate(encoded.split("%")))


def leaks(secrets: list[str], where: bytes) -> list[str]:
    """The forms of the secrets that are in there, hexadecimal digits in any case."""
    lower = where.lower()
    return [
        f"{name} of secret {number}"
        for number, secret in enumerate(secrets)
        for name, form in forms(secret)
        if form in where or (name.startswith("hex") and form.lower() in lower)
    ]


@pytest.fixture
def make_canary(make_home: MakeHome) -> Callable[..., Home]:
    """Makes homes whose server logs all it can."""

    def make(dialect: str = "gateway", store: str = "file", **extra: str) -> Home:
        sandbox = Sandbox(dialect, access_token=TOKEN)
        logged = {"COMETAPI_MCP_LOG": "DEBUG", "COMETAPI_MCP_TIMEOUT": "5", "COMETAPI_MCP_SECRETS": store}
        home = make_home(sandbox, **logged | extra)
        if store == "keyring":
            give_keychain(home)
        return home

    return make


def _run(home: Home, play: Callable[[Process], list[bytes]], code: str = "") -> Written:
    """Play with a server, and gather what it wrote. `play` returns what counts of stdout."""
    log = home.directory / "stderr"
    written = Written()
    with log.open("wb") as stderr, started(home.environment, stderr=stderr, code=code) as server:
        server.initialize()
        server.ask("tools/list")
        written.stdout = play(server)
        if sys.platform == "linux":
            written.command_line = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        written.journal = _files(home.state.parent)  # while it is open: the write-ahead log is there
        before = len(server.written)
        server.close()
        written.stdout.append(server.written[before:])
    written.stderr = log.read_bytes()
    written.journal += _files(home.state.parent)
    return written


def _files(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def _everything(key: int, other: int) -> list[tuple[str, dict[str, Any]]]:
    """Calls of every tool, with arguments that work and some that don't; the keys are there before."""
    return [
        ("plan_api_key", {"name": "planned", "lifetime": "30d", "budget_usd": 5, "models": ["gpt-4.1-mini"]}),
        ("plan_api_key", {"name": "planned", "lifetime": "soon", "budget_usd": 5}),
        ("create_api_key", {"name": "first"}),
        ("create_api_key", {"name": "second", "remain_quota": 5_000, "group": "vip", "allow_ips": "127.0.0.1"}),
        ("create_api_key", {"budget": 5}),
        ("list_api_keys", {}),
        ("list_api_keys", {"keyword": "i"}),
        ("get_api_key", {"id": key}),
        ("get_api_key", {"id": 404}),
        ("get_api_key", {"id": "one"}),
        ("save_api_key", {"id": key}),
        ("save_api_key", {"id": key, "file": "app.env", "variable": "BLOG_KEY"}),
        ("save_api_key", {"id": other, "file": "app.env", "variable": "BLOG_KEY"}),
        ("save_api_key", {"id": other, "file": "../app.env"}),
        ("save_api_key", {"id": other, "file": "~/shop/.env", "variable": "OPENAI_API_KEY"}),
        ("save_api_key", {"id": 404}),
        ("verify_api_key", {"id": key}),
        ("verify_api_key", {"id": other}),
        ("verify_api_key", {"id": 404}),
        ("update_api_key", {"id": key, "add_budget_usd": 1}),
        ("update_api_key", {"id": other, "status": "disabled", "name": "switched off"}),
        ("update_api_key", {"id": key, "allow_ips": "1.2.3.4,5.6.7.8"}),
        ("verify_api_key", {"id": other}),
        ("rotate_api_key", {"id": key, "grace": "1h"}),
        ("rotate_api_key", {"id": other, "old_key": "disable"}),
        ("rotate_api_key", {"id": 404}),
        ("delete_api_key", {"id": other}),
        ("delete_api_key", {"id": other}),
        ("tidy_api_keys", {}),
        ("tidy_api_keys", {"dry_run": False}),
        ("list_models", {"search": "gpt"}),
        ("list_models", {"search": "no such model"}),
        ("get_account", {}),
        ("get_usage", {"by": "key,model"}),
    ]


OTHERWISE: list[tuple[str, dict[str, Any]]] = [
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "cometapi://keys/1"}),
    ("resources/read", {"uri": "cometapi://keys/404"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "make_api_key", "arguments": {"purpose": "the blog", "budget_usd": "5"}}),
    ("prompts/get", {"name": "make_api_key"}),
    ("prompts/get", {"name": "review_api_keys"}),
    *(
        ("completion/complete", {"ref": ref, "argument": {"name": name, "value": ""}})
        for ref, name in (
            ({"type": "ref/resource", "uri": "cometapi://keys/{id}"}, "id"),
            ({"type": "ref/prompt", "name": "make_api_key"}, "models"),
            ({"type": "ref/prompt", "name": "make_api_key"}, "group"),
        )
    ),
]
"""All else that a client may ask for."""


def _without_shown(result: dict[str, Any], shown: list[str]) -> bytes:
    """A result as it came, after the values that are allowed in it were taken out of it and put into `shown`."""
    structured = result.get("structuredContent") or {}
    text = json.dumps(result, ensure_ascii=False)
    for holder in (structured, structured.get("new_key", {})):
        if value := holder.get("secret", {}).get("value"):
            assert text.count(value) == 2, "once in the structured content and once in the text"
            text = text.replace(value, "")
            shown.append(value)
    return text.encode()


def _stored_values(home: Home) -> list[str]:
    """The values in the store, whichever it is."""
    if "TEST_KEYCHAIN" in home.extra:
        return sorted(in_keychain(home).values())
    lines = [line for path in home.key_files for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted({line.partition("=")[2] for line in lines if not line.startswith("#")})


def _add_keys(home: Home, number: int = 2) -> list[Key]:
    return [
        home.sandbox.add_key(f"here before {n}", remain_quota=2_500_000, expired_time=1_900_000_000)
        for n in range(number)
    ]


@pytest.mark.parametrize(
    ("dialect", "store"),
    [
        *itertools.product(["documented", "gateway"], STORES),
        ("gateway-2026-03", "file"),
        ("gateway-2026-06", "keyring"),
    ],
)
def test_no_secret_is_in_anything_a_server_writes_but_the_store(
    make_canary: Callable[..., Home], dialect: str, store: str
) -> None:
    home = make_canary(dialect, store)
    keys = [row.key for row in _add_keys(home)]
    shown: list[str] = []
    worked: set[str] = set()
    offered: list[str] = []

    def play(server: Process) -> list[bytes]:
        offered.extend(tool["name"] for tool in server.ask("tools/list")["result"]["tools"])
        hidden = []
        for tool, arguments in _everything(1, 2):
            result = server.call(tool, arguments)
            if not result.get("isError"):
                worked.add(tool)
            took = shown if store == "result" and tool in SHOWING else []
            hidden.append(_without_shown(result, took))
            keys.extend(row.key for row in home.sandbox.keys if row.key not in keys)
        hidden += [json.dumps(server.ask(method, params)).encode() for method, params in OTHERWISE]
        return hidden

    written = _run(home, play)
    assert worked == set(offered), "each tool was called and did its work"
    assert len(keys) == 6
    assert leaks([TOKEN, *keys], written.everything) == []
    assert b"rotate_api_key" in written.stderr, "the debug log is on"
    kept = sorted(f"sk-{key}" for number, key in enumerate(keys) if number != 1)  # the second was never to be stored
    assert sorted(set(shown)) == (kept if store == "result" else [])
    assert _stored_values(home) == (kept if store in ("file", "keyring") else [])
    others = [path for path in home.directory.rglob("*") if path.is_file() and path not in home.key_files]
    assert leaks([TOKEN, *keys], b"\n".join(path.read_bytes() for path in others)) == []


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_no_secret_is_in_what_a_server_writes_when_one_call_of_the_api_fails(
    make_canary: Callable[..., Home], dialect: str
) -> None:
    home = make_canary(dialect)
    keys = [row.key for row in _add_keys(home, 1)]

    def play(server: Process) -> list[bytes]:
        results = []
        for fault in FAULTS:
            home.sandbox.faults.clear()
            home.sandbox.faults.order(Fault.parse(fault))
            results.append(server.call("create_api_key", {"name": f"with {fault}", "remain_quota": 5_000}))
            newest = max(row.id for row in home.sandbox.keys)
            results += [server.call(tool, {"id": 1}) for tool in ("get_api_key", "save_api_key", "verify_api_key")]
            results.append(server.call("list_api_keys", {}))
            results.append(server.call("rotate_api_key", {"id": newest, "old_key": "disable"}))
            free_reveals(home)
            keys.extend(row.key for row in home.sandbox.keys if row.key not in keys)
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert len(keys) > len(FAULTS)
    assert leaks([TOKEN, *keys], written.everything) == []


@pytest.mark.parametrize(
    ("dialect", "store"),
    [("gateway", "keyring"), ("documented", "result"), ("gateway", "file"), ("documented", "none")],
)
def test_no_secret_is_in_what_any_tool_says_when_any_call_of_the_api_fails(
    make_canary: Callable[..., Home], monkeypatch: pytest.MonkeyPatch, dialect: str, store: str
) -> None:
    home = make_canary(dialect, store, COMETAPI_MCP_TIMEOUT="1")
    keys = [row.key for row in _add_keys(home, 1)]
    # a proxy's page that shows the request it is about
    monkeypatch.setattr(wire_faults, "PAGE", f"<html>Authorization: {TOKEN}, Bearer sk-{keys[0]}</html>")

    def play(server: Process) -> list[bytes]:
        hidden = []
        for fault, after in itertools.product(ANYWHERE, range(3)):
            if home.state.exists():
                free_reveals(home)
            home.sandbox.faults.clear()
            row = home.sandbox.add_key(
                "victim", remain_quota=2_500_000, model_limits="gpt-4o", model_limits_enabled=True
            )
            for tool, arguments in (
                ("plan_api_key", {"name": "x", "lifetime": "never", "unlimited": True, "group": "vip"}),
                ("list_models", {}),
                ("get_account", {}),
                ("get_usage", {}),
                ("create_api_key", {"name": f"{fault} {after}", "remain_quota": 5_000}),
                ("list_api_keys", {"keyword": "victim"}),
                ("get_api_key", {"id": row.id}),
                ("save_api_key", {"id": row.id}),
                ("verify_api_key", {"id": row.id}),
                ("update_api_key", {"id": row.id, "add_budget_usd": 1, "status": "disabled"}),
                ("rotate_api_key", {"id": row.id}),
                ("delete_api_key", {"id": row.id}),
                ("tidy_api_keys", {}),
            ):
                home.sandbox.faults.clear()
                home.sandbox.faults.add("*", fault, times=2, after=after)
                took: list[str] = []
                hidden.append(_without_shown(server.call(tool, arguments), took))
                assert took == [] or (store == "result" and tool in SHOWING)
                keys.extend(row.key for row in home.sandbox.keys if row.key not in keys)
        return hidden

    written = _run(home, play)
    assert len(keys) > 2 * len(ANYWHERE)
    assert written.stderr.count(b"CRITICAL") == written.stderr.count(b"Traceback") == 0
    assert leaks([TOKEN, *keys], written.everything) == []


def _said_of(key: str) -> list[str]:
    """Messages of an API that repeats secrets, each in another form."""
    return [
        f"bad access token {TOKEN}",
        f"no luck with sk-{key}, and {TOKEN} neither",
        *(
            f"{name}: {form.decode()}."
            for secret in (TOKEN, key)
            for name, form in forms(secret)
            if not name.startswith(("the part", "hex with"))
        ),
    ]


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_an_api_that_repeats_the_token_or_a_key_in_its_message_is_quoted_without_it(
    make_canary: Callable[..., Home], dialect: str
) -> None:
    home = make_canary(dialect)
    (row,) = _add_keys(home, 1)

    def play(server: Process) -> list[bytes]:
        home.sandbox.faults.add("create", "refused", value=f"no luck with sk-{row.key}")
        results = [server.call("create_api_key", {"name": "x", "remain_quota": 5_000})]
        for message in _said_of(row.key):
            for call, tool, arguments in (
                ("list", "list_api_keys", {}),
                ("get", "verify_api_key", {"id": 1}),
                ("update", "update_api_key", {"id": 1, "name": message[:10]}),
                ("delete", "delete_api_key", {"id": 1}),
                ("reveal", "save_api_key", {"id": 1}),
                ("account", "get_account", {}),
                ("log", "get_usage", {}),
            ):
                home.sandbox.faults.clear()
                home.sandbox.faults.add(call, "refused", value=message)
                results.append(server.call(tool, arguments))
            home.sandbox.faults.clear()
            home.sandbox.faults.add("get", "refused", value=message)
            results.append(server.ask("resources/read", {"uri": "cometapi://keys/1"}))
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert b"refused" in written.everything
    assert leaks([TOKEN, row.key], written.everything) == []


@pytest.mark.parametrize("cut", [None, 30, 9], ids=["whole", "cut", "cut short"])
@pytest.mark.parametrize("store", ["file", "result"])
def test_an_api_that_puts_the_token_and_a_key_into_its_own_fields_is_shown_without_them(
    make_canary: Callable[..., Home], monkeypatch: pytest.MonkeyPatch, store: str, cut: int | None
) -> None:
    home = make_canary("gateway", store, COMETAPI_MCP_CONFIRM="destructive", COMETAPI_MCP_CONFIRM_FALLBACK="allow")
    first = home.sandbox.add_key("first", remain_quota=5_000)
    said = TOKEN[:cut]
    of_key = first.key[:cut]
    named = [home.sandbox.add_key(name, remain_quota=5_000, group=said) for name in (said, of_key, f"Bearer {said}")]
    home.sandbox.account.username = said
    monkeypatch.setattr(front.Front, "_request_id", lambda _: f"Bearer {said}")
    shown: list[str] = []

    def play(server: Process) -> list[bytes]:
        took = shown if store == "result" else []
        hidden = [_without_shown(server.call("save_api_key", {"id": first.id}), took)]
        for row in named:
            calls: list[tuple[str, dict[str, Any]]] = [
                ("get_api_key", {}),
                ("verify_api_key", {}),
                ("save_api_key", {}),
                ("delete_api_key", {}),
            ]
            hidden += [_without_shown(server.call(tool, {"id": row.id} | more), took) for tool, more in calls]
            hidden.append(json.dumps(server.ask("resources/read", {"uri": f"cometapi://keys/{first.id}"})).encode())
        home.sandbox.keys.extend(named)
        for method, params in OTHERWISE:
            hidden.append(json.dumps(server.ask(method, params)).encode())
        for tool, arguments in [("list_api_keys", {}), ("get_account", {}), ("get_api_key", {"id": 404})]:
            hidden.append(_without_shown(server.call(tool, arguments), took))
        home.sandbox.faults.add("create", "refused", value=f"no luck with {said}")
        hidden.append(json.dumps(server.call("create_api_key", {"name": "x", "remain_quota": 5_000})).encode())
        return hidden

    written = _run(home, play)
    with closing(sqlite3.connect(home.state)) as db:
        trail = "\n".join(entry for (entry,) in db.execute("SELECT entry FROM audit"))
    told = written.told + trail.encode()  # the journal's operations have keys' names and groups as the API has them
    assert told.count(b"***") > trail.count("***") > 0
    parts = [TOKEN[:8], first.key[4:12]]
    assert [part for part in parts if part.encode() in told] == []
    assert leaks([TOKEN, first.key], told) == []
    assert [value for value in shown if value == f"sk-{first.key}"] == (
        [f"sk-{first.key}"] if store == "result" else []
    )
    files = b"".join(path.read_bytes() + path.name.encode() for path in home.key_files)
    assert leaks([TOKEN], files) == []


@pytest.mark.parametrize("dialect", ["documented", "gateway", "gateway-2026-06", "gateway-2026-03"])
def test_a_check_of_a_dead_key_repeats_nothing_of_it_whatever_the_release_says(
    make_canary: Callable[..., Home], monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    home = make_canary(dialect)
    dead: list[dict[str, Any]] = [
        {"status": 2},
        {"status": 4, "remain_quota": 0},
        {"remain_quota": 0},
        {"expired_time": 1},
        {"allow_ips": "192.0.2.1"},
    ]
    rows = [home.sandbox.add_key("dead", **{"remain_quota": 5_000, **fields}) for fields in dead]
    alive = home.sandbox.add_key("alive", remain_quota=5_000)
    ids = [row.id for row in (*rows, alive)]

    def verify(server: Process) -> list[dict[str, Any]]:
        return [server.call("verify_api_key", {"id": key_id}) for key_id in ids]

    def play(server: Process) -> list[bytes]:
        server.call("save_api_key", {"id": alive.id})  # what is stored needs no reveal call
        results = verify(server)
        verdicts = [result["structuredContent"]["verdict"] for result in results]
        assert verdicts == ["does not work"] * 4 + ["can't be told", "works"]
        # and a release that repeats the whole key, in words or encoded, on a key whose record tells no reason
        monkeypatch.setattr(home.sandbox.account, "find", lambda _: None)
        for message in _said_of(alive.key):
            for words in (messages._ENGLISH, messages._CHINESE):
                monkeypatch.setitem(words, "key.invalid", message.replace("{", "{{").replace("}", "}}"))
            results += verify(server)[-1:]
        assert results[-1]["structuredContent"]["verdict"] != "works"
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert leaks([TOKEN, *(row.key for row in (*rows, alive))], written.everything) == []


CRASH = """
import os
import comet_mcp.{module} as module
from comet_mcp import __main__

def crash(*_, **__):
    raise ValueError(os.environ["CRASHES_WITH"])

module.{name} = crash
__main__.main([])
"""


@pytest.mark.parametrize(
    ("module", "name", "tool"),
    [
        ("api.client", "parse", "get_api_key"),
        ("secret_store.files", "with_prefix", "save_api_key"),
        ("services.verify", "_obstacles", "verify_api_key"),
        ("services.update", "writable_spec", "update_api_key"),
    ],
)
def test_a_crash_is_told_and_logged_without_what_was_at_hand(
    make_canary: Callable[..., Home], module: str, name: str, tool: str
) -> None:
    home = make_canary("documented")
    key = home.sandbox.add_key("dead", status=2).key
    home.extra["CRASHES_WITH"] = f"{TOKEN} {key}"

    def play(server: Process) -> list[bytes]:
        result = server.call(tool, {"id": 1} | ({"name": "other"} if tool == "update_api_key" else {}))
        assert result["content"][0]["text"].startswith("[internal_error]")
        return [json.dumps(result).encode()]

    written = _run(home, play, CRASH.format(module=module, name=name))
    assert b"ValueError" in written.stderr, "it is logged"
    assert leaks([TOKEN, key], written.everything) == []


@pytest.mark.parametrize("dialect", ["documented", "gateway"])
def test_a_value_in_a_programs_own_file_is_nowhere_else(make_canary: Callable[..., Home], dialect: str) -> None:
    home = make_canary(dialect, "none")
    shop = home.directory / "shop"
    shop.mkdir()
    home.extra["COMETAPI_MCP_ENV_DIRS"] = str(shop)
    (shop / ".env").write_text(f"A=1\nOPENAI_API_KEY={PASSWORD}\n", encoding="utf-8")
    keys = [row.key for row in _add_keys(home, 1)]
    arguments = {"id": 1, "file": str(shop / ".env"), "variable": "OPENAI_API_KEY"}

    def play(server: Process) -> list[bytes]:
        results = [server.call("save_api_key", arguments), server.call("save_api_key", arguments)]
        results.append(server.call("rotate_api_key", {"id": 1, "old_key": "disable"}))
        keys.append(home.sandbox.keys[-1].key)
        assert (shop / ".env").read_text(encoding="utf-8") == f"A=1\nOPENAI_API_KEY=sk-{keys[1]}\n"
        results.append(server.call("delete_api_key", {"id": home.sandbox.keys[-1].id}))
        assert not any(result.get("isError") for result in results)
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    said = _cometapi_mcp(home.environment, "save", "1", "--file", str(shop / ".env"), "--as", "OPENAI_API_KEY")
    assert said.returncode == 0
    everything = written.everything + said.stdout + said.stderr + _files(home.state.parent) + _files(home.key_dir)
    assert leaks([TOKEN, PASSWORD, *keys], everything) == []
    assert _files(shop) == f"A=1\nOPENAI_API_KEY=sk-{keys[0]}\n".encode()


SHOW = "import json, os, sys; print(json.dumps([sys.orig_argv, dict(os.environ)]))"


@pytest.mark.parametrize(
    ("dialect", "store"), [("documented", "file"), ("gateway", "file"), ("gateway", "keyring"), ("gateway", "none")]
)
def test_a_program_that_is_run_with_a_key_has_it_in_its_environment_alone(
    make_canary: Callable[..., Home], dialect: str, store: str
) -> None:
    home = make_canary(dialect, store)
    row = home.sandbox.add_key("blog", remain_quota=5_000)
    with started(home.environment) as server:
        server.initialize()
        assert not server.call("save_api_key", {"id": row.id}).get("isError")
        server.close()
    for token_from in ("environment", "file"):
        environment = dict(home.environment)
        if token_from == "file":
            config = home.directory / "config.toml"
            config.write_text(f'access_token = "{environment.pop("COMETAPI_ACCESS_TOKEN")}"\n', encoding="utf-8")
            environment["COMETAPI_MCP_CONFIG"] = str(config)
        environment["COMETAPI_MCP_PROXY"] = f"http://me:{PASSWORD}@proxy.example:3128"
        done = _cometapi_mcp(environment, "run", "--openai", "blog", "--", sys.executable, "-c", SHOW)
        assert (done.returncode, done.stderr) == (0, b"")
        argv, given = json.loads(done.stdout)
        assert {name for name, value in given.items() if row.key in value} == {"COMETAPI_KEY", "OPENAI_API_KEY"}
        assert given["COMETAPI_KEY"] == given["OPENAI_API_KEY"] == f"sk-{row.key}"
        assert leaks([row.key], json.dumps(argv).encode()) == []
        assert leaks([TOKEN, PASSWORD], done.stdout) == []
    assert leaks([TOKEN, row.key], _files(home.state.parent)) == []


def test_a_program_that_cannot_be_run_leaves_no_secret_on_the_terminal(make_canary: Callable[..., Home]) -> None:
    home = make_canary("gateway", "none")
    row = home.sandbox.add_key("blog", remain_quota=5_000)
    said = b""
    for call, fault, value in (
        ("list", "refused", f"bad access token {TOKEN}"),
        ("reveal", "refused", f"no luck with sk-{row.key}"),
        ("reveal", "garbage", None),
        ("reveal", "truncated", None),
        ("", "", None),
    ):
        home.sandbox.faults.clear()
        if call:
            home.sandbox.faults.add(call, fault, times=9, value=value)
        done = _cometapi_mcp(home.environment, "run", "blog", "--", "no-such-program-anywhere")
        assert done.returncode == (1 if call else 127)
        said += done.stdout + done.stderr
    assert b"Traceback" not in said
    assert leaks([TOKEN, row.key], said + _files(home.state.parent)) == []


def _cometapi_mcp(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "comet_mcp", *arguments],
        env=environment,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=30,
    )


WRONG_TOKENS = {
    "Bearer": "Bearer {}",
    "bearer without a space after it": "bearer\t{}",
    "double quotes": '"{}"',
    "single quotes": "'{}'",
    "typographic quotes": "“{}”",
    "a line break after it": "{}\n",
    "a line break inside": "{}\n{}",
    "a space inside": "{} {}",
    "spaces around": "  {}  ",
    "a letter no token has": "{}é",
    "an invisible mark": "\u200b{}",
}


@pytest.mark.parametrize("wrong", ["Bearer", "double quotes", "a line break inside"])
def test_a_token_pasted_wrong_is_explained_and_not_repeated(make_canary: Callable[..., Home], wrong: str) -> None:
    home = make_canary(COMETAPI_ACCESS_TOKEN=WRONG_TOKENS[wrong].format(TOKEN, TOKEN))

    def play(server: Process) -> list[bytes]:
        results = []
        for tool, arguments in _everything(1, 2):
            results.append(server.call(tool, arguments))
            assert results[-1]["isError"]
            assert results[-1]["content"][0]["text"].startswith("[not_configured] COMETAPI_ACCESS_TOKEN")
        results += [server.ask(method, params) for method, params in OTHERWISE]
        return [json.dumps(results, ensure_ascii=False).encode()]

    written = _run(home, play)
    assert b"COMETAPI_ACCESS_TOKEN" in written.stderr
    assert leaks([TOKEN], written.everything) == []
    assert home.sandbox.requests == []


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
async def test_whatever_is_wrong_with_a_token_it_is_not_in_the_answer(
    make_canary: Callable[..., Home], wrong: str
) -> None:
    home = make_canary(COMETAPI_ACCESS_TOKEN=WRONG_TOKENS[wrong].format(TOKEN, TOKEN))
    async with served(home) as client:
        told = error_of(await client.call_tool("list_api_keys"))
    assert told.startswith("[not_configured] COMETAPI_ACCESS_TOKEN")
    assert leaks([TOKEN], f"{told} {home.settings!r}".encode()) == []


@pytest.mark.parametrize("url", ["https://user:{}@example.com", "https://example.com/?token={}", "ht!tp://{}"])
async def test_a_token_in_the_wrong_setting_is_not_in_the_answer(make_canary: Callable[..., Home], url: str) -> None:
    home = make_canary(COMETAPI_BASE_URL=url.format(TOKEN))
    async with served(home) as client:
        told = error_of(await client.call_tool("list_api_keys"))
    assert "COMETAPI_BASE_URL" in told
    assert leaks([TOKEN], f"{told} {home.settings!r}".encode()) == []


def test_the_search_for_leaks_finds_them() -> None:
    secret = "Zm9v+canary/0123456789=="
    packed = base64.b64encode(b"user:" + secret.encode() + b":rest")
    for text in (secret.encode(), b"x" + secret.encode().hex().upper().encode(), quote(secret).encode(), packed):
        assert leaks([secret], b"before " + text + b" after"), text
    assert leaks([secret], b"nothing here") == []
