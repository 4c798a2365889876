"""What tests of services share: the services of one server, on a sandbox over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from comet_mcp.clock import SYSTEM
from comet_mcp.concurrency import Deadline
from comet_mcp.context import Services
from tests.support import Home

Serve = Callable[[Home], Services]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes the services of a server that lives in a home; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(home: Home) -> Services:
            services = Services.of(home.settings)
            stack.push_async_callback(services.aclose)
            return services

        yield make


@pytest.fixture
def deadline() -> Deadline:
    """Time enough."""
    return Deadline(SYSTEM, 10)
