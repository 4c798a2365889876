"""Faults of the API itself: what it makes of a create or a reveal, and says of it."""

from collections.abc import Callable

import pytest

from comet_mcp.sandbox import Sandbox
from tests.sandbox.conftest import Served, kept


def test_a_normalised_create_stores_something_else_than_was_sent(served: Served) -> None:
    served.sandbox.faults.add("create", "normalise")
    body = {"name": "  padded ", "model_limits": "GPT-4o"}
    assert served.client.post("/api/token/", json=body).json() == {"message": "", "success": True}
    (row,) = served.list()
    assert (row["name"], row["model_limits"]) == ("padded", "gpt-4o")


def test_a_duplicated_create_makes_two_equal_keys(served: Served) -> None:
    served.sandbox.faults.add("create", "duplicate")
    assert served.create().json()["success"] is True
    first, second = served.list()
    assert first["name"] == second["name"] == "made"
    assert first["key"] != second["key"]


def test_a_late_key_is_there_but_not_listed_yet(served: Served) -> None:
    served.sandbox.faults.add("create", "late", value=600)
    served.create()
    assert served.list() == []
    assert served.client.get("/api/token/search?keyword=made").json()["data"] == []
    assert served.client.get("/api/token/1").json()["data"]["name"] == "made"
    served.sandbox.keys[0].listed_from = 0.0
    assert [row["name"] for row in served.list()] == ["made"]


def test_a_create_may_answer_with_the_id_and_the_key(served: Served) -> None:
    served.sandbox.faults.add("create", "create_with_id")
    assert served.create().json()["data"] == {"id": 1, "key": served.sandbox.keys[0].key}


@pytest.mark.parametrize(("value", "status"), [(None, 409), (400, 400), (429, 429), (499, 499)])
def test_a_refusing_status_may_come_after_the_key_was_made(served: Served, value: int | None, status: int) -> None:
    served.sandbox.faults.add("create", "json_status_after", value=value)
    response = served.create()
    assert (response.status_code, response.json()["success"]) == (status, False)
    assert kept(served) == ["made"]


def test_a_refusal_may_come_after_the_key_was_made(served: Served) -> None:
    served.sandbox.faults.add("create", "refused_after", value="no")
    response = served.create()
    assert (response.status_code, response.json()) == (200, {"success": False, "message": "no"})
    assert kept(served) == ["made"]


def test_a_rate_limit_may_be_told_after_the_key_was_made(served: Served) -> None:
    served.sandbox.faults.add("create", "rate_limit_after", value=7)
    response = served.create()
    assert (response.status_code, response.content, response.headers["retry-after"]) == (429, b"", "7")
    assert kept(served) == ["made"]


def test_a_create_may_answer_with_an_id_of_ones_choice(served: Served) -> None:
    served.sandbox.faults.add("create", "create_with_id", value=77)
    assert served.create().json()["data"] == {"id": 77}
    assert [row.id for row in served.sandbox.keys] == [1]


def test_a_reveal_may_carry_another_keys_value(serve: Callable[[Sandbox], Served]) -> None:
    served = serve(Sandbox("gateway"))
    served.sandbox.faults.add("*", "wrong_key", times=3)
    first = served.sandbox.add_key("first")
    alone = served.client.post("/api/token/1/key").json()["data"]["key"]
    assert len(alone) == 48
    assert alone != first.key
    second = served.sandbox.add_key("second")
    assert served.client.post("/api/token/1/key").json()["data"]["key"] == second.key
    both = served.client.post("/api/token/batch/keys", json={"ids": [1, 2]}).json()["data"]["keys"]
    assert both == {"1": second.key, "2": first.key}
    assert served.client.post("/api/token/1/key").json()["data"]["key"] == first.key
