from collections.abc import Iterator

import pytest

from comet_mcp.sandbox import Sandbox
from tests.contract.target import API, LIVE, Server, live_server, names


@pytest.fixture(scope="session", params=names())
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == LIVE:
        yield live_server()
        return
    sandbox = Sandbox(request.param)
    with sandbox.serve() as base_url:
        yield Server(base_url, sandbox.access_token, f"{sandbox.user_id}", sandbox.dialect)


@pytest.fixture
def api(server: Server) -> Iterator[API]:
    with API(server) as api:
        yield api
