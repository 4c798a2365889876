"""A chat over HTTP that lasts, costs and fails as it is told in its metadata."""

import threading

import httpx
import pytest

from tests.e2e.steps import blocking_until
from tests.sandbox.conftest import IMPATIENT, Served

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_chat_is_in_flight_as_long_as_it_says(served: Served) -> None:
    row = served.sandbox.add_key("x", remain_quota=100_000)
    metadata = {"sandbox_seconds": "2", "sandbox_prompt_tokens": "100", "sandbox_completion_tokens": "1000"}
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(
            served.as_key(row.key, "/v1/chat/completions", json=CHAT | {"max_tokens": 9500, "metadata": metadata})
        )

    thread = threading.Thread(target=ask)
    thread.start()
    blocking_until(lambda: row.used_quota)
    assert served.list()[0]["used_quota"] == 10_000
    thread.join()
    assert served.list()[0]["used_quota"] == 4100
    assert answers[0].json()["usage"] == {"prompt_tokens": 100, "completion_tokens": 1000, "total_tokens": 1100}


def test_a_chat_whose_client_gives_up_is_billed_whole(served: Served) -> None:
    row = served.sandbox.add_key("x", remain_quota=100_000)
    body = CHAT | {"metadata": {"sandbox_seconds": "1", "sandbox_completion_tokens": "1000"}}
    with pytest.raises(httpx.ReadTimeout):
        served.client.post(
            "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {row.key}"}, timeout=IMPATIENT
        )
    blocking_until(lambda: served.sandbox.account.log.entries)
    assert row.used_quota > 4000


def test_a_chat_can_fail_upstream(served: Served) -> None:
    row = served.sandbox.add_key("x", remain_quota=1000)
    body = CHAT | {"metadata": {"sandbox_upstream_status": "502"}}
    response = served.as_key(row.key, "/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["error"]["type"]) == (502, "upstream_error")
    assert (row.remain_quota, row.used_quota) == (1000, 0)


@pytest.mark.parametrize("metadata", ["x", {"sandbox_seconds": "soon"}, {"sandbox_prompt_tokens": []}])
def test_a_chat_whose_metadata_is_not_understood_is_refused(served: Served, metadata: object) -> None:
    row = served.sandbox.add_key("x", remain_quota=1000)
    assert served.as_key(row.key, "/v1/chat/completions", json=CHAT | {"metadata": metadata}).status_code == 400
