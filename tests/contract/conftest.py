from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from comet_mcp.sandbox import DIALECTS, Sandbox
from tests.contract.target import API, LIVE, Server, live_server, names, open_client


@pytest.fixture(scope="session", params=names())
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == LIVE:
        yield live_server()
        return
    dialect = DIALECTS[request.param]
    if dialect.batch_seconds:
        # Live servers batch for five seconds; here nobody needs to wait so long.
        dialect = replace(dialect, batch_seconds=0.05)
    sandbox = Sandbox(dialect)
    with sandbox.serve() as base_url:
        yield Server(base_url, sandbox.access_token, f"{sandbox.user_id}", sandbox.dialect)


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with open_client(server) as client:
        yield client


@pytest.fixture
def api(server: Server, client: httpx.Client) -> Iterator[API]:
    with API(server, client) as api:
        yield api
