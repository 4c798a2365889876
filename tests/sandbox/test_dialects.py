"""The table of dialects. What each field does, and that live servers do so, is for the contract tests to say."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from comet_mcp.sandbox import DIALECTS, Dialect, Sandbox
from tests.sandbox.conftest import Served

GATEWAYS: dict[str, Any] = {
    "gateway_fields": True,
    "name_limit": "bytes",
    "groups_checked": False,
    "status_in_put": False,
    "search_pages": True,
    "usage_without_slash": False,
    "public_catalog": False,
    "gzips": True,
}
BEFORE_AUGUST: dict[str, Any] = {"user_header": "required", "bearer_in_any_case": False, "wrong_token_status": 200}
MARCH = GATEWAYS | BEFORE_AUGUST | {"reasons_for_dead_keys": True, "chinese_auth": True, "log_models_like": True}
SINCE_JUNE: dict[str, Any] = {"masked_keys": True, "reveal": True, "quota_flow": True}
JUNE = GATEWAYS | BEFORE_AUGUST | SINCE_JUNE
AUGUST = (
    GATEWAYS
    | SINCE_JUNE
    | {
        "auto_groups": True,
        "models_by_group": True,
        "max_quota": 2_147_483_647,
        "cross_group_retry_needs_auto": True,
        "go_type": "controller.tokenRequest",
        "go_path": "tokenRequest.Token",
        "wrong_token_code": "AUTH_UNAUTHORIZED",
        "usage_when_disabled": False,
        "retry_after": True,
    }
)


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("documented", {}),
        ("gateway-2026-03", MARCH),
        ("gateway-2026-06", JUNE),
        ("gateway", AUGUST),
        ("gateway-redis", AUGUST | {"redis": True}),
        ("gateway-batched", AUGUST | {"redis": True, "batch_seconds": 5}),
    ],
)
def test_a_dialect_differs_from_the_documentation_in_what_was_measured(name: str, differences: dict[str, Any]) -> None:
    documented = dataclasses.asdict(Dialect(name="documented"))
    spoken = dataclasses.asdict(DIALECTS[name])
    assert {field: spoken[field] for field in spoken if spoken[field] != documented[field]} == (
        differences | ({} if name == "documented" else {"name": name})
    )


def test_the_documentation_is_the_default() -> None:
    assert Sandbox().dialect == DIALECTS["documented"]
    documented = Dialect(name="documented")
    assert (documented.name_limit, documented.user_header, documented.wrong_token_status) == (
        "characters",
        "ignored",
        401,
    )
    assert documented.groups_checked
    assert documented.status_in_put
    assert documented.usage_without_slash
    assert documented.usage_when_disabled
    assert documented.public_catalog
    assert documented.bearer_in_any_case
    switched_on = {field for field, value in dataclasses.asdict(documented).items() if value is True}
    assert len(switched_on) == 6


def test_the_dialects_are_listed_with_the_newest_of_each_kind_first() -> None:
    releases = ["gateway", "gateway-2026-06", "gateway-2026-03"]
    assert list(DIALECTS) == ["documented", *releases, "gateway-redis", "gateway-batched"]
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


def test_an_unknown_dialect_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"There is no dialect 'klingon'. The dialects are: documented, gateway,"):
        Sandbox("klingon")


def test_a_dialect_of_ones_own_is_spoken(serve: Callable[[Sandbox], Served]) -> None:
    mine = dataclasses.replace(DIALECTS["documented"], name="mine", masked_keys=True, reveal=True)
    served = serve(Sandbox(mine))
    row = served.sandbox.add_key("x")
    assert served.list()[0]["key"] == f"{row.key[:4]}**********{row.key[-4:]}"
    assert served.client.post("/api/token/1/key").json()["data"]["key"] == row.key


def test_fields_of_a_dialect_can_be_changed_in_passing() -> None:
    assert Sandbox("gateway", redis=True, page_cap=50).dialect == dataclasses.replace(
        DIALECTS["gateway"], redis=True, page_cap=50
    )
    with pytest.raises(TypeError, match="rediss"):
        Sandbox("gateway", rediss=True)


def test_dialects_cannot_be_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DIALECTS["gateway"].name = "mine"  # type: ignore[misc]
