import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from comet_mcp.sandbox import Sandbox
from comet_mcp.sandbox.connection import ConnectionProtocol
from tests.sandbox.conftest import NO_TLS, Served


def open_connection(base_url: str) -> socket.socket:
    url = httpx.URL(base_url)
    return socket.create_connection((url.host, url.port or 0), timeout=20)


def test_the_server_stops_at_once_while_connections_are_open() -> None:
    sandbox = Sandbox()
    sandbox.faults.add("list", "hang")
    sandbox.faults.add("list", "latency", value=50)
    request = f"GET /api/token/ HTTP/1.1\r\nHost: x\r\nAuthorization: {sandbox.access_token}\r\n\r\n".encode()
    with sandbox.serve() as base_url:
        idle, hanging, slow, half = (open_connection(base_url) for _ in range(4))
        hanging.sendall(request)
        while sandbox.count("list") < 1:
            time.sleep(0.001)
        slow.sendall(request)
        half.sendall(request[:20])
        while sandbox.count("list") < 2:
            time.sleep(0.001)
        started = time.monotonic()
    assert time.monotonic() - started < 40  # less than what it would wait for
    for connection in (idle, hanging, slow, half):
        with connection:
            connection.settimeout(5)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_the_port_is_free_again_and_the_thread_gone() -> None:
    sandbox = Sandbox()
    threads = threading.active_count()
    with sandbox.serve() as base_url:
        assert httpx.get(f"{base_url}/v1/models", verify=NO_TLS).status_code == 401
        port = httpx.URL(base_url).port or 0
    assert threading.active_count() == threads
    with pytest.raises(OSError, match=r"."):
        open_connection(base_url)
    with sandbox.serve(port=port) as again:
        assert again == base_url


def test_a_taken_port_is_an_error_at_once() -> None:
    with Sandbox().serve() as base_url:
        port = httpx.URL(base_url).port or 0
        with pytest.raises(OSError, match=r"in use|10048"), Sandbox().serve(port=port):
            pass


def test_one_sandbox_may_be_served_twice_and_keeps_its_keys() -> None:
    sandbox = Sandbox()
    headers = {"Authorization": sandbox.access_token}
    with sandbox.serve() as first, sandbox.serve() as second:
        httpx.post(f"{first}/api/token/", json={"name": "x"}, headers=headers, verify=NO_TLS)
        listed = httpx.get(f"{second}/api/token/", headers=headers, verify=NO_TLS).json()
    assert [row["name"] for row in listed["data"]["items"]] == ["x"]


def test_ipv6_works_too() -> None:
    try:
        with Sandbox().serve(host="::1") as base_url:
            assert base_url.startswith("http://[::1]:")
            assert httpx.get(f"{base_url}/v1/models", verify=NO_TLS).status_code == 401
    except OSError:
        pytest.skip("This machine has no IPv6.")


def test_the_server_takes_many_requests_at_a_time(served: Served) -> None:
    def create() -> None:
        headers = {"Authorization": served.sandbox.access_token}
        with httpx.Client(base_url=served.base_url, headers=headers, verify=NO_TLS) as client:
            for _ in range(20):
                client.post("/api/token/", json={"name": "x"})

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.id for row in served.sandbox.keys] == list(range(1, 81))
    assert len({row.key for row in served.sandbox.keys}) == 80
    assert served.sandbox.count("create") == 80


def test_answers_come_without_the_delay_of_small_packets(
    serve: Callable[[Sandbox], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, options = ConnectionProtocol.connection_made, list[int]()

    def noting(self: ConnectionProtocol, transport: asyncio.Transport) -> None:
        accept(self, transport)
        accepted = transport.get_extra_info("socket")
        options.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(ConnectionProtocol, "connection_made", noting)
    serve(Sandbox()).create()
    assert options
    assert all(options)


def test_nothing_is_logged_and_the_loggers_of_uvicorn_are_left_alone(
    serve: Callable[[Sandbox], Served], caplog: pytest.LogCaptureFixture
) -> None:
    levels = [logging.getLogger(name).level for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
    handlers = logging.getLogger("uvicorn.access").handlers
    served = serve(Sandbox())
    with caplog.at_level(logging.INFO):
        served.create()
        served.sandbox.faults.add("list", "reset_after")
        with pytest.raises(httpx.ReadError):
            served.list()
    assert [record.getMessage() for record in caplog.records if not record.name.startswith("http")] == []
    assert [logging.getLogger(name).level for name in ("uvicorn", "uvicorn.error", "uvicorn.access")] == levels
    assert logging.getLogger("uvicorn.access").handlers == handlers


def test_a_body_that_never_comes_is_not_recorded(served: Served) -> None:
    with open_connection(served.base_url) as connection:
        connection.sendall(b"POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    served.list()
    assert served.sandbox.count("create") == 0
