"""One message or one answer of the API costs a bounded part of the machine: figures of a real server's process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comet_mcp.api.transport import MAX_BODY
from comet_mcp.transports.lines import MAX_LINE
from tests.robustness.bounds import (
    MOST_MIB,
    MOST_SECONDS,
    RECORD,
    Body,
    Case,
    cost,
    page,
    request,
    success,
)

PLAN: dict[str, Any] = {"name": "n", "lifetime": "30d", "budget_usd": 5}
CREATE: dict[str, Any] = {"name": "n", "remain_quota": 1}
POLICY = {
    "COMETAPI_MCP_POLICY_REQUIRE_IPS": "1",
    "COMETAPI_MCP_POLICY_ALLOWED_MODELS": ",".join(f"m{number}-*" for number in range(300)),
}
WIDE = "\U0001f469"
"""A character for which each of its text takes four bytes."""


def call(arguments: str, tool: str = "plan_api_key") -> bytes:
    """A line with arguments that are written already."""
    start = f'{{"jsonrpc":"2.0","id":"heavy","method":"tools/call","params":{{"name":"{tool}","arguments":{{'
    return f"{start}{arguments}}}}}}}\n".encode()


def models(entry: str, size: int) -> Callable[[], bytes]:
    """A plan for models that are one entry again and again, in a line of nearly `size` bytes."""
    count = (size - 300) // (len(entry) + 1)
    return lambda: call(f'"name":"n","lifetime":"30d","budget_usd":5,"models":[{",".join([entry] * count)}]')


def listed(start: str, entry: str, size: int) -> bytes:
    """An answer of nearly `size` bytes that is one entry of a list again and again."""
    count = (size - len(start) - 10) // (len(entry) + 1)
    return f"{start}[{','.join([entry] * count)}]}}}}".encode()


def items(entry: str, size: int) -> Callable[[], dict[str, Body]]:
    """A page of keys whose items are one entry again and again."""
    return lambda: {"/api/token/": listed('{"success":true,"data":{"total":1,"items":', entry, size)}


def data(path: str, value: Any) -> Callable[[], dict[str, Body]]:
    """An answer with that in it."""
    return lambda: {path: success(value)}


def addresses(count: int) -> list[str]:
    return [f"{10 + number // 65536}.{number // 256 % 256}.{number % 256}.7" for number in range(count)]


def names(count: int) -> list[str]:
    return [f"model-{number:04}-preview" for number in range(count)]


def catalog(count: int, length: int = 10) -> list[dict[str, Any]]:
    return [{"id": f"{'a' * length}-{number}"} for number in range(count)]


def endless(long: str = "gpt-4o") -> Callable[[], dict[str, Body]]:
    """A list of keys that goes on and on, each with that list of models."""

    def of(number: int) -> bytes:
        return page([{**RECORD, "id": 10**9 - number * 100 - n, "model_limits": long} for n in range(100)], 10**9)

    return lambda: {"/api/token/": of}


def prompt(name: str, arguments: dict[str, str]) -> Callable[[], bytes]:
    return lambda: request("prompts/get", {"name": name, "arguments": arguments}, "heavy")


LONG = "n" * (MAX_BODY - 2000) + WIDE
FIELDS: dict[str, Any] = {f"a{number}": {} for number in range(24_000)}
TYPES = [{"id": f"m{number}", "model_type": f"t{number}"} for number in range(10_000)]
REFUSAL = json.dumps({"success": False, "message": f"{WIDE} x" * 200_000}, ensure_ascii=False).encode()
TAGS = json.dumps({"success": False, "message": "<" * 500_000}).encode()

LOGGED = {"created_at": 0, "token_id": 1, "token_name": "k" * 50, "model_name": "gpt-4o", "quota": 5}
"""A call in the log, or a sum."""
MESSAGES = [
    *(
        Case(f"{entry} again and again in models, {size // 1024} KiB", models(entry, size))
        for entry in ("1", "[]", '{"":0}', '"a"')
        for size in (MAX_LINE, 4 * 2**20)
    ),
    Case("5,000 unknown models", ("plan_api_key", {**PLAN, "models": names(5000)}), data("/api/models", catalog(300))),
    Case("1,000 unknown models", ("plan_api_key", {**PLAN, "models": names(1000)}), data("/api/models", catalog(300))),
    Case("1,000 models under 300 patterns", ("plan_api_key", {**PLAN, "models": names(1000)}), environment=POLICY),
    Case("200,000 addresses in a plan", ("plan_api_key", {**PLAN, "ips": addresses(200_000)}), environment=POLICY),
    Case("1,000 addresses in a plan", ("plan_api_key", {**PLAN, "ips": addresses(1000)}), environment=POLICY),
    *(
        Case(
            f"{count:,} addresses in an update",
            ("update_api_key", {"id": 1, "allow_ips": "\n".join(addresses(count))}),
            environment=POLICY,
        )
        for count in (1000, 25_000, 40_000)
    ),
    Case("a model of 400 kB", ("plan_api_key", {**PLAN, "models": ["m" * 400_000]}), data("/api/models", catalog(300))),
    Case("a list of models of 500 kB", ("create_api_key", {**CREATE, "model_limits": "m," * 250_000})),
    *(
        Case(
            f"{tool}, a model of 65,535 signs and a line break",
            (tool, {**fields, "model_limits": f"{word * 65_535}\n!"}),
        )
        for tool, fields in (
            ("create_api_key", {**CREATE, "model_limits_enabled": True}),
            ("update_api_key", {"id": 1}),
        )
        for word in ("a", "sk-")
    ),
    *(
        Case(f"a group of 500 kB of {sign}", ("create_api_key", {**CREATE, "group": sign * (500_000 // len(sign))}))
        for sign in ("%25", "&#1;", "&a", "<")
    ),
    Case("a group of 500 kB", lambda: call(f'"name":"n","group":"{WIDE * 125_000}"', "create_api_key")),
    Case("a name of 500 kB", lambda: call(f'"name":"{WIDE * 125_000}"', "create_api_key")),
    Case("a keyword of 500 kB", ("list_api_keys", {"keyword": "k" * 500_000})),
    Case("40,000 unknown arguments", lambda: call(",".join(f'"a{number}":1' for number in range(40_000)))),
    Case("a number of 500 kB", lambda: call(f'"id":{"1" * 500_000}', "get_api_key")),
    Case("150 lists in each other for a name", lambda: call(f'"name":{"[" * 150}{"]" * 150}')),
    Case("an argument of 500 kB of a prompt", prompt("make_api_key", {"purpose": "p" * 500_000})),
    Case("a resource of 500 kB", lambda: request("resources/read", {"uri": "cometapi://keys/1" * 30_000}, "heavy")),
    Case("a tool of 500 kB", ("t" * 500_000, {})),
]
ANSWERS = [
    *(
        Case(f"a page of {entry}, {size // 1024} KiB", ("list_api_keys", {}), items(entry, size))
        for entry in ("0", "[]", '{"":[]}', '{"id":1}', '""')
        for size in (100_000, MAX_BODY, 8 * 2**20)
    ),
    Case("an endless list behind a keyword", ("list_api_keys", {"keyword": "a"}), endless()),
    Case("an endless list without the keyword", ("list_api_keys", {"keyword": "zzz"}), endless()),
    Case("an endless list of long records", ("list_api_keys", {"keyword": "a"}), endless(",".join(names(400)))),
    Case("an endless list under a create", ("create_api_key", CREATE), endless()),
    Case("an endless list under a review", prompt("review_api_keys", {}), endless()),
    Case(
        "a name of 1 MB in a list", ("list_api_keys", {}), lambda: {"/api/token/": page([{**RECORD, "name": LONG}], 1)}
    ),
    Case(
        "a list of models of 1 MB in a key", ("get_api_key", {"id": 1}), data("/api/token/1", RECORD | {"group": LONG})
    ),
    Case(
        "70,000 addresses in a key that is changed",
        ("update_api_key", {"id": 1, "name": "other"}),
        data("/api/token/1", {**RECORD, "allow_ips": "\n".join(addresses(70_000))}),
        POLICY,
    ),
    Case("a record of 24,000 fields", ("get_api_key", {"id": 1}), data("/api/token/1", RECORD | FIELDS)),
    Case("a catalog of 100,000 models", ("list_models", {"search": "b"}), data("/api/models", catalog(100_000))),
    Case("a catalog of 10,000 models", ("list_models", {"search": "b"}), data("/api/models", catalog(10_000))),
    Case(
        "a catalog of 5,000 models that are all alike",
        ("plan_api_key", {**PLAN, "models": ["a" * 90 + str(number) for number in range(500)]}),
        data("/api/models", catalog(5_000, 90)),
    ),
    Case(
        "a catalog of names alone",
        ("list_models", {}),
        lambda: {"/api/models": success({}), "/api/user/models": success(["a"] * 49_000)},
    ),
    Case("models of 500 kB", ("list_models", {"search": "mm"}), data("/api/models", [{"id": "m" * 500_000}])),
    Case("models of as many types", ("list_models", {"type": "x"}), data("/api/models", TYPES)),
    Case(
        "9,000 models of a key",
        ("verify_api_key", {"id": 1}),
        lambda: {"/v1/models": json.dumps({"data": catalog(9000)}).encode()},
    ),
    Case(
        "a mask of 10,000 stars",
        ("save_api_key", {"id": 1}),
        lambda: {
            "/api/token/1": success({**RECORD, "key": "a*" * 10_000 + "b"}),
            "/api/token/1/key": success({"key": "a" * 48}),
        },
    ),
    Case("a message of 500,000 open tags", ("list_api_keys", {}), lambda: {"/api/token/": TAGS}),
    Case("24,000 groups", ("get_account", {}), data("/api/user/self/groups", FIELDS)),
    Case(
        "6,000 sums of keys",
        ("get_usage", {"by": "key,model", "top": 100}),
        lambda: {
            "/api/log/self": page([LOGGED], 10_000),
            "/api/log/self/stat": success({"quota": 45_000}),
            "/api/data/flow/self": success([LOGGED | {"token_id": number, "count": 1} for number in range(6_000)]),
        },
    ),
    Case("a message of 1 MB", ("list_api_keys", {}), lambda: {"/api/token/": REFUSAL}),
    Case(
        "a number of 1 MB",
        ("list_api_keys", {}),
        lambda: {"/api/token/": b'{"success":true,"data":{"total":%b}}' % (b"1" * 1_000_000)},
    ),
    Case("a lone surrogate in a large page", ("list_api_keys", {}), items('{"":[],"a":"\\ud800"}', 400_000)),
]
CASES = [*MESSAGES, *ANSWERS]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_message_or_answer_costs_a_bounded_part_of_the_machine(case: Case, tmp_path: Path) -> None:
    found = cost(case, tmp_path)
    assert "result" in json.loads(found.ping)
    assert found.answer
    assert found.mib <= MOST_MIB
    assert found.seconds <= MOST_SECONDS
