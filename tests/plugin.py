"""What all tests share: conftest.py has it where tests run."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import keyring
import keyring.backends.fail
import pytest
from jsonschema import Draft202012Validator

from comet_mcp.clock import SYSTEM
from comet_mcp.sandbox import Sandbox
from tests import fast_time, lanes, warm
from tests.support import Home

# Programs started in the background get some signals ignored, and hand that on: tests of signals would hang.
for _name, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


_ROOT = Path(__file__).parent.parent

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")
hypothesis.settings.register_profile("a few", deadline=None, max_examples=30)

# No test asks the machine's own keychain, nor one that another test has defined: keyring takes each class it finds.
keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]

# Where nothing is written, each worker compiles every test anew, in each run: five seconds for each.
sys.dont_write_bytecode = False

# What the collection makes lives until the end: the garbage collector would look at all of it again and again.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("markexpr") == "not long":
        hypothesis.settings.load_profile("a few")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins to compile the tests at another place, and finds there what the others have compiled."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    folders = [path for arg in session.config.args if (path := _ROOT / arg).is_dir()]
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    place = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for file in files[place:] + files[:place]:
        with contextlib.suppress(Exception):  # the collection meets it again, and tells of it
            importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the second lane its own files need not be read."""
    return (config.getoption("markexpr") == "not long" and collection_path in lanes.SLOW) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    in_both = lanes.of_any_input(items) if config.getoption("markexpr") == "long" else []
    for item in (*lanes.second(items), *in_both):
        item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: item.path.name != "test_quality.py")  # the type checker takes longest: not at the end


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # a test leaves little, and looking for it takes a tenth of the time
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _a_schema_is_checked_once() -> Iterator[None]:
    """Each client checks the schema of each tool that it calls, which takes as long as the call."""
    checked: set[str] = set()
    check = Draft202012Validator.check_schema

    def check_once(schema: Any) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in checked:
            check(schema)
            checked.add(text)

    with mock.patch.object(Draft202012Validator, "check_schema", check_once):
        yield


@pytest.fixture(autouse=True)
def is_fast(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether time passes faster in this test. The API's is known, and what another one's told is forgotten."""
    node = request.node
    fast = node.get_closest_marker("fast_time") is not None and node.get_closest_marker("real_time") is None
    with fast_time.running() if fast else nullcontext():
        now, ticks = SYSTEM.of_machine(), SYSTEM.monotonic()
        heard = mock.patch.multiple(SYSTEM, _date=now, _heard_at=ticks, _difference=0.0, _jump=None)
        with heard:
            yield fast


@pytest.fixture(autouse=True)
def _begin_from_recordings() -> Iterator[None]:
    """Where that is wanted: see tests/warm.py."""
    with warm.running() if warm.wanted() else nullcontext():
        yield


@pytest.fixture
def anyio_backend(is_fast: bool) -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": fast_time.FastLoop} if is_fast else {}


@pytest.fixture
def make_home(tmp_path: Path, is_fast: bool) -> Iterator[Callable[..., Home]]:
    """Makes homes, each with a sandbox of its own on a socket unless one is given."""
    with ExitStack() as stack:

        def make(sandbox: Sandbox | None = None, /, *, dialect: str = "documented", **extra: str) -> Home:
            sandbox = sandbox or Sandbox(dialect)
            if is_fast:
                sandbox.clock = fast_time.wall
            url = stack.enter_context(sandbox.serve())
            directory = tmp_path / f"home{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return Home(directory, url, sandbox, extra)

        yield make


@pytest.fixture(params=["documented", "gateway"])
def home(request: pytest.FixtureRequest, make_home: Callable[..., Home]) -> Home:
    """A home on each dialect in turn."""
    return make_home(dialect=request.param)
