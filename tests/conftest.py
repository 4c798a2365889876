from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from comet_mcp.sandbox import Sandbox
from tests.support import Home

# Programs started in the background get some signals ignored, and hand that on: tests of signals would hang.
for _name, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Makes homes, each with a sandbox of its own on a socket unless one is given."""
    with ExitStack() as stack:

        def make(sandbox: Sandbox | None = None, /, *, dialect: str = "documented", **extra: str) -> Home:
            sandbox = sandbox or Sandbox(dialect)
            url = stack.enter_context(sandbox.serve())
            directory = tmp_path / f"home{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return Home(directory, url, sandbox, extra)

        yield make


@pytest.fixture(params=["documented", "gateway"])
def home(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    """A home on each dialect in turn."""
    return make_home(dialect=request.param)
