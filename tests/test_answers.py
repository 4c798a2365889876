"""Every kind of answer that the API, or something between, gives: one sentence with a stable code each."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from pydantic import BaseModel, ValidationError

from comet_mcp.api.models import ModelList, TokenPage, parse_json
from comet_mcp.errors import RefusedError
from comet_mcp.server import create_server
from comet_mcp.settings import Settings, load
from comet_mcp.text import quoted
from tests.support import error_of, text_of

TOKEN = "made-up-access-token-2"
REQUEST_ID = {"x-oneapi-request-id": "202611240000000000made-up"}


def always(answer: httpx.Response) -> httpx.MockTransport:
    """A network on which every request gets that answer, as a stream."""

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    return httpx.MockTransport(respond)


async def answer_to(tool: str, arguments: dict[str, Any], answer: httpx.Response) -> str:
    """What the tool says when the API gives that answer to everything."""
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN, "COMETAPI_BASE_URL": "https://api.example"})
    transport = always(answer)
    async with Client(create_server(settings, transport=transport)) as client:
        return error_of(await client.call_tool(tool, arguments))


def refused(message: str) -> httpx.Response:
    return httpx.Response(200, json={"success": False, "message": message}, headers=REQUEST_ID)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (refused("record not found"), "key_not_found", "No API key has id 7. Call list_api_keys"),
        (refused("Unauthorized, invalid access token"), "unauthorized", "new personal access token"),
        (refused("无权进行此操作，access token 无效"), "unauthorized", "new personal access token"),
        (
            httpx.Response(
                401,
                json={"code": "AUTH_UNAUTHORIZED", "message": "Unauthorized, invalid access token", "success": False},
            ),
            "unauthorized",
            "new personal access token",
        ),
        (
            httpx.Response(401, json={"success": False, "message": "Unauthorized, New-Api-User header not provided"}),
            "user_id_needed",
            "set COMETAPI_USER_ID",
        ),
        (
            httpx.Response(401, json={"success": False, "message": "New-Api-User does not match logged in user"}),
            "user_id_needed",
            "is another account's",
        ),
        (httpx.Response(429, headers={"Retry-After": "180"}), "rate_limited", "Try again in 180 seconds"),
        (httpx.Response(429, headers={"Content-Encoding": "gzip"}), "rate_limited", "Wait three minutes"),
        (httpx.Response(429, headers={"Retry-After": "Tue, 24 Nov 2026"}), "rate_limited", "Wait three minutes"),
        (
            httpx.Response(404, json={"error": {"message": "Invalid URL", "type": "invalid_request_error"}}),
            "no_such_call",
            "COMETAPI_BASE_URL",
        ),
        (httpx.Response(404, html="<h1>nginx</h1>"), "no_usable_answer", "COMETAPI_BASE_URL"),
        (httpx.Response(401, html="<h1>Sign in</h1>"), "no_usable_answer", "is HTML, with the status 401"),
        (httpx.Response(401), "no_usable_answer", "is empty, with the status 401"),
        (httpx.Response(403, html="<h1>Access <b>denied</b></h1>"), "no_usable_answer", "status 403"),
        (httpx.Response(403, json={"message": "Forbidden"}), "no_usable_answer", "another shape than the API's"),
        (httpx.Response(429, html="<h1>Just a moment...</h1>"), "no_usable_answer", "status 429"),
        (httpx.Response(511, html="<h1>Log in to the network</h1>"), "no_usable_answer", "login page of a network"),
        (httpx.Response(403, json={"error": {"message": "no <i>way</i>\x1b[31m"}}), "refused", r"no way \u001b[31m"),
        (httpx.Response(302, headers={"Location": "https://login.example"}), "no_usable_answer", "not followed"),
        (httpx.Response(500, json={"error": {"message": "boom"}}), "api_failed", "boom"),
        (httpx.Response(502, html="<html>Bad gateway</html>"), "no_usable_answer", "status 502"),
        (httpx.Response(200, html="<html>Please log in</html>"), "no_usable_answer", "is HTML"),
        (httpx.Response(200, content=b'{"success":tru'), "no_usable_answer", "not JSON"),
        (httpx.Response(200), "no_usable_answer", "is empty"),
        (httpx.Response(200, json=[1, 2]), "no_usable_answer", "another shape"),
        (httpx.Response(200, json={"success": True, "data": {"id": "seven"}}), "no_usable_answer", "(at id)"),
        (httpx.Response(200, json={"success": True, "data": None}), "no_usable_answer", "another shape"),
        (httpx.Response(200, content=b"[" * 100_000), "no_usable_answer", "not JSON"),
        (refused(""), "refused", "gave no reason"),
        (refused("database is <b>gone</b>"), "refused", "database is gone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_becomes_a_sentence_with_a_code(answer: httpx.Response, code: str, said: str) -> None:
    text = await answer_to("get_api_key", {"id": 7}, answer)
    assert text.startswith(f"[{code}] ")
    assert said in text
    assert text.isprintable()
    assert "<" not in text
    assert TOKEN not in text
    if "x-oneapi-request-id" in answer.headers:
        assert text.endswith(f"(request id {REQUEST_ID['x-oneapi-request-id']})")


async def test_a_hostile_request_id_is_shown_harmless() -> None:
    hostile = {"x-oneapi-request-id": "a\tb" + "x" * 500}
    answer = httpx.Response(500, headers=hostile, json={"success": False, "message": ""})
    text = await answer_to("get_api_key", {"id": 7}, answer)
    assert r"a\tb" in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("answer", "variables", "keys"),
    [
        (refused("Unauthorized, invalid access token"), ["ACCESS_TOKEN"], ["access_token"]),
        (
            httpx.Response(401, json={"success": False, "message": "New-Api-User does not match"}),
            ["USER_ID"],
            ["user_id"],
        ),
        (httpx.Response(404, html="<h1>nginx</h1>"), ["BASE_URL"], ["base_url"]),
        (httpx.Response(302), ["BASE_URL"], ["base_url"]),
        (httpx.Response(200, html="<html>log in</html>"), ["BASE_URL"], ["base_url"]),
    ],
    ids=["token", "user", "no such call", "redirect", "page"],
)
async def test_an_answer_names_a_setting_by_where_its_value_stands(
    answer: httpx.Response, variables: list[str], keys: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f'access_token = "{TOKEN}"\nbase_url = "https://api.example"\nuser_id = 7\n[mcp]\nstate = "/x"\nkey_dir="/y"',
        encoding="utf-8",
    )
    settings = load({"COMETAPI_MCP_CONFIG": str(file)})
    async with Client(create_server(settings, transport=always(answer))) as client:
        text = error_of(await client.call_tool("get_api_key", {"id": 7}))
    for variable, key in zip(variables, keys, strict=True):
        assert f"COMETAPI_{variable}" not in text
        assert f"{key} in the config file {quoted(str(file), 300)}" in text


async def unconnected(error: Exception | None = None, **variables: str) -> str:
    """What a list says where no connection can be made."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("made up") from error

    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN, **variables})
    async with Client(create_server(settings, transport=httpx.MockTransport(fail))) as client:
        return error_of(await client.call_tool("list_api_keys"))


async def test_a_proxy_that_other_programs_use_is_told_of_where_no_connection_can_be_made() -> None:
    proxy = "http://made-up:password@proxy.example:3128"
    hint = "HTTPS_PROXY is set, and not used here: the setting for a proxy is COMETAPI_MCP_PROXY."
    said = await unconnected(HTTPS_PROXY=proxy)
    assert said.startswith("[unreachable]")
    assert hint in said
    assert "password" not in said
    assert hint not in await unconnected()
    assert hint not in await unconnected(HTTPS_PROXY=proxy, COMETAPI_MCP_PROXY=proxy)
    assert hint not in await unconnected(HTTPS_PROXY=proxy, COMETAPI_BASE_URL="http://localhost:3000")


async def test_a_certificate_that_is_not_trusted_is_told_with_the_reason() -> None:
    error = ssl.SSLCertVerificationError(1, "made up")
    error.verify_message = "unable to get local issuer certificate"
    said = await unconnected(error)
    assert "(its certificate is not trusted: unable to get local issuer certificate)" in said


def test_a_bundle_is_trusted_as_the_system_trusts_without_the_strictness_of_new_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comet_mcp.api.transport import _trust  # noqa: PLC0415 - which Python it is decides what a client would show

    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: strict)
    context = _trust(Settings(ca_bundle=tmp_path))
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_name_that_is_too_long_is_refused_with_the_apis_words() -> None:
    from comet_mcp.api.responses import Answer, envelope  # noqa: PLC0415 - as below

    message = "token name is too long, at most 30 characters"
    with pytest.raises(RefusedError, match=f'"{message}"') as error:
        envelope(Answer(200, {}, json.dumps({"success": False, "message": message}).encode()))
    assert "It allows 50" not in str(error.value)


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ("token name is too long", "name_too_long", "50 bytes of UTF-8"),
        ("Token name is too long", "name_too_long", "50 bytes of UTF-8"),
        ("令牌名称过长", "name_too_long", "50 bytes of UTF-8"),
        ("no access to group", "group_refused", 'Use ""'),
        ("已达到最大令牌数量限制 (1000)", "too_many_keys", "Delete a key"),
        ("Maximum number of tokens reached", "too_many_keys", "Delete a key"),
        ("json: cannot unmarshal string into Go struct field", "refused", "Nothing was changed"),
    ],
)
def test_a_refused_create_says_what_to_change(message: str, code: str, said: str) -> None:
    from comet_mcp.api.responses import Answer, envelope  # noqa: PLC0415 - the one test below the surface here

    body = json.dumps({"success": False, "message": message}).encode()
    with pytest.raises(RefusedError, match=said) as error:
        envelope(Answer(200, {}, body))
    assert error.value.code == code


async def test_a_lone_surrogate_in_a_name_does_not_hide_the_page_it_is_on() -> None:
    item = '{"id": 1, "name": "\\ud800 hostile", "key": "abcd**********efgh", "status": 1}'
    body = f'{{"success": true, "data": {{"page": 1, "page_size": 20, "total": 1, "items": [{item}]}}}}'
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN, "COMETAPI_BASE_URL": "https://api.example"})
    transport = always(httpx.Response(200, content=body.encode()))
    async with Client(create_server(settings, transport=transport)) as client:
        page = (await client.call_tool("list_api_keys", {})).structured_content
    assert page is not None
    assert page["items"][0]["name"] == "? hostile"


async def test_numbers_that_a_release_leaves_out_or_sends_as_null_do_no_harm() -> None:
    record = {"id": 1, "name": None, "key": None, "allow_ips": None, "remain_quota": None, "novelty": [1]}
    settings = load({"COMETAPI_ACCESS_TOKEN": TOKEN, "COMETAPI_BASE_URL": "https://api.example"})
    transport = always(httpx.Response(200, json={"success": True, "data": record}))
    async with Client(create_server(settings, transport=transport)) as client:
        key = (await client.call_tool("get_api_key", {"id": 1})).structured_content
    assert key is not None
    assert (key["name"], key["key"], key["budget"], key["state"]) == ("", "sk-***", "$0.00 left", "unknown (0)")


PAGES = [200, 302, 401, 403, 404, 429, 503]
EVERY_CALL: dict[str, dict[str, Any]] = {
    "plan_api_key": {"name": "new", "budget_usd": 1},
    "create_api_key": {"name": "new", "remain_quota": 5_000},
    "list_api_keys": {},
    "get_api_key": {"id": 7},
    "update_api_key": {"id": 7, "name": "new"},
    "delete_api_key": {"id": 7},
    "tidy_api_keys": {},
    "rotate_api_key": {"id": 7},
    "save_api_key": {"id": 7},
    "verify_api_key": {"id": 7},
    "list_models": {},
    "get_account": {},
    "get_usage": {},
}


@pytest.mark.parametrize("status", PAGES)
@pytest.mark.parametrize("tool", EVERY_CALL)
async def test_a_page_in_the_apis_place_is_never_a_verdict_in_any_tool(tool: str, status: int, tmp_path: Path) -> None:
    environment = {
        "COMETAPI_ACCESS_TOKEN": TOKEN,
        "COMETAPI_BASE_URL": "https://api.example",
        "COMETAPI_MCP_STATE": str(tmp_path / "journal.sqlite3"),
        "COMETAPI_MCP_KEY_DIR": str(tmp_path / "keys"),
    }
    transport = always(httpx.Response(status, html="<h1>Unauthorized: not found, invalid access token</h1>"))
    async with Client(create_server(load(environment), transport=transport)) as client:
        result = await client.call_tool(tool, EVERY_CALL[tool])
    text = text_of(result)
    if tool == "plan_api_key":  # it needs nothing of the API
        assert "no_usable_answer" not in text
        return
    assert text.startswith("[no_usable_answer] "), text
    assert "says nothing of the access token or of a key" in text
    assert "COMETAPI_BASE_URL" in text


def page_of(items: str) -> httpx.Response:
    return httpx.Response(200, text=f'{{"success":true,"data":{{"total":1,"items":[{items}]}}}}')


@pytest.mark.parametrize("entry", ["0", "[]", '{"id":1}', '"a"'])
async def test_an_answer_with_more_values_than_any_has_is_not_read(entry: str) -> None:
    said = await answer_to("list_api_keys", {}, page_of(",".join([entry] * 60_000)))
    assert said.startswith("[no_usable_answer] The answer has more in it than any answer of the API")


async def test_an_answer_of_more_than_a_mebibyte_is_not_read() -> None:
    said = await answer_to("list_api_keys", {}, page_of(f'"{"a" * 2**20}"'))
    assert "sent an answer of more than 1 MiB, which was not read" in said


@pytest.mark.parametrize(("model", "field"), [(TokenPage, "items"), (ModelList, "data")])
def test_what_is_wrong_with_a_list_is_looked_for_up_to_the_first_fault(model: type[BaseModel], field: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        model.model_validate({field: [0] * 10_000})
    assert wrong.value.error_count() == 1


def test_commas_inside_of_texts_are_no_values() -> None:
    models = ",".join(f"m{number}" for number in range(1000))
    body = json.dumps([{"id": number, "model_limits": models + '"\\'} for number in range(100)]).encode()
    assert body.count(b",") > 50_000
    assert len(parse_json(body)) == 100
