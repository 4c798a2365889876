"""Each fault of the network and of the API, on real sockets, in each phase of each tool.

A cell is a fault in a phase. What has to come of it follows from the kind of fault and from the phase, by the two
tables below: the code of the answer, the requests of that call, the rows and the key files afterwards.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult

from comet_mcp import server
from comet_mcp.sandbox import Sandbox, wire_faults
from comet_mcp.server import TOOLS
from tests.e2e.steps import code_of, operations
from tests.robustness.wire import UNCONNECTED, Exchange, Order, Unconnected, Wire, closed_port, exchange, hanging_port
from tests.support import Home, text_of

TIMEOUT = 4
"""Seconds that a call may take by its setting."""
SLACK = 30
"""What it may take beyond that on a busy machine, and less than a fault that hangs does."""
AMPLE = 10
"""The same for cells that need not wait for it, so that a busy machine changes nothing."""
AT_ONCE = 8
"""Cells that are checked at the same time."""
ALWAYS = 1000

# Where a call's time is over in the instant in which its connection is made, anyio forgets the socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed (transport )?<:ResourceWarning")


@pytest.fixture(autouse=True)
def _forgotten_sockets_are_of_this_test() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


Kind = Literal["unsent", "broken", "slow", "unusable", "failed", "limited", "redirected"]

CODES: dict[Kind, str] = {
    "unsent": "unreachable",
    "broken": "no_usable_answer",
    "slow": "no_usable_answer",
    "unusable": "no_usable_answer",
    "failed": "api_failed",
    "limited": "rate_limited",
    "redirected": "no_usable_answer",
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `done`: the API did what it was asked all the same."""

    name: str
    kind: Kind
    done: bool = False
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.value}" if self.value else self.name


FAULTS = [
    *(Fault(name, "unsent") for name in UNCONNECTED),
    Fault("reset_before", "broken"),
    Fault("reset_during", "broken"),
    Fault("reset_after", "broken", done=True),
    Fault("truncated", "broken", done=True),
    Fault("too_long", "broken", done=True),
    Fault("no_gzip", "broken", done=True),
    Fault("no_http", "broken", done=True),
    Fault("huge", "broken", done=True, value="9"),
    Fault("gzip_bomb", "broken", done=True, value="64"),
    Fault("hang", "slow"),
    Fault("hang_after", "slow", done=True),
    Fault("drip", "slow", done=True),
    Fault("too_short", "unusable", done=True),
    Fault("garbage", "unusable", done=True),
    Fault("empty_after", "unusable", done=True),
    Fault("wrong_json", "unusable", done=True),
    Fault("html", "unusable"),
    Fault("html_after", "unusable", done=True),
    *(Fault("status", "failed", value=status) for status in ("500", "501", "502", "503", "504")),
    *(Fault("status_after", "unusable", done=True, value=status) for status in ("500", "502", "504")),
    Fault("rate_limit", "limited"),
    Fault("rate_limit", "limited", value="180"),
    # to itself, for ever; a loop between a path and its slash is in a test of its own
    Fault("redirect", "redirected", value="?"),
    Fault("redirect", "redirected", value=f"http://127.0.0.1:{closed_port()}/api/"),
]


@dataclass(frozen=True)
class Want:
    """What comes of a cell. `requests` is None where the call is repeated until the deadline."""

    code: str
    requests: int | None
    rows: int
    files: int


@dataclass(frozen=True)
class Phase:
    """A request that a tool makes. There is one key before, which is never lost unless that is what was asked."""

    tool: str
    call: str
    rule: str
    after: int = 0
    made: int = 0
    """Keys that the tool has made before this phase."""
    saved: int = 0
    """Key files that it has written before."""
    more: int = 0
    """Requests of the same call that follow where all goes well."""
    arguments: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.tool}-{self.call}{self.after + 1}"


ID: tuple[tuple[str, Any], ...] = (("id", 1),)
NEW: tuple[tuple[str, Any], ...] = (("name", "new"), ("remain_quota", 5))
CHANGE: tuple[tuple[str, Any], ...] = (("id", 1), ("name", "changed"))

PHASES = [
    Phase("create_api_key", "list", "first list", arguments=NEW, more=1),
    Phase("create_api_key", "create", "create", arguments=NEW, saved=1),
    Phase("create_api_key", "list", "second list", after=1, made=1, saved=1, arguments=NEW),
    Phase("create_api_key", "reveal", "unstored", made=1, arguments=NEW),
    Phase("update_api_key", "get", "read", more=1, arguments=CHANGE),
    Phase("update_api_key", "update", "write", arguments=CHANGE),
    Phase("update_api_key", "get", "read", after=1, arguments=CHANGE),
    Phase("list_api_keys", "list", "read"),
    Phase("get_api_key", "get", "read", arguments=ID),
    Phase("delete_api_key", "get", "read", arguments=ID),
    Phase("delete_api_key", "delete", "delete", arguments=ID),
    Phase("tidy_api_keys", "list", "read"),
    Phase("save_api_key", "get", "read", saved=1, arguments=ID),
    Phase("save_api_key", "reveal", "write", arguments=ID),
    Phase("verify_api_key", "get", "read", arguments=ID),
    Phase("verify_api_key", "account", "beside", arguments=ID),
    Phase("verify_api_key", "models", "read", arguments=ID),
    Phase("list_models", "catalog", "read"),
    Phase("list_models", "other", "read"),
    Phase("get_account", "account", "read"),
    Phase("get_account", "groups", "beside"),
    Phase("rotate_api_key", "get", "read", made=1, saved=1, more=2, arguments=ID),
    Phase("rotate_api_key", "list", "first list", arguments=ID, more=1),
    Phase("rotate_api_key", "create", "create", arguments=ID, saved=1),
    Phase("rotate_api_key", "list", "second list", after=1, made=1, saved=1, arguments=ID),
    Phase("rotate_api_key", "reveal", "unstored", made=1, arguments=ID),
    Phase("rotate_api_key", "get", "beside", after=1, made=1, saved=1, more=1, arguments=ID),
    Phase("rotate_api_key", "update", "beside", made=1, saved=1, arguments=ID),
    Phase("rotate_api_key", "get", "beside", after=2, made=1, saved=1, arguments=ID),
]

READS = ("list", "get", "models", "catalog", "other", "account", "groups")


def wanted(phase: Phase, fault: Fault, *, always: bool) -> Want:
    """What has to come of a cell."""
    unclear = fault.kind in ("broken", "slow", "unusable", "failed")
    code = "delete_outcome_unknown" if unclear and phase.call == "delete" else CODES[fault.kind]
    again = fault.kind == "broken" and phase.call in READS  # a read whose connection broke is tried twice
    tries = phase.after + (2 if again else 1)
    good = again and not always
    lost = unclear and phase.call == "update"
    if phase.tool == "update_api_key" and (lost or (phase.call, phase.after) == ("get", 1)):
        code = "update_outcome_unknown"  # the change was sent: it must not sound as if it was not
    failed = Want(code, tries, 1, 0)
    fine = Want("", tries, 1 + phase.made, phase.saved)
    match phase.rule:
        case "read":
            left = 0 if phase.tool == "delete_api_key" else 1 + phase.made
            return replace(fine, requests=tries + phase.more, rows=left) if good else failed
        case "write":
            # a key is changed or it is not, whatever the answer; what reveals a value changes nothing
            return fine if lost and fault.done else failed
        case "delete":
            return Want("", 1, 0, 0) if fault.done else failed
        case "first list":
            return Want("", tries + 1, 2, 1) if good else failed
        case "create":
            if fault.kind in ("unsent", "limited", "redirected"):
                # what never left may leave again; a connection that takes all the time there is leaves none for that
                return replace(failed, requests=4 if fault.kind == "unsent" and fault.name != "connect_timeout" else 1)
            return Want("", 1, 2, 1) if fault.done else Want("create_outcome_unknown", 1, 1, 0)
        case "second list":
            if always:
                return Want("created_id_unknown", None, 2, 0)
            if fault.kind == "slow":
                return Want("created_id_unknown", None, 2, 0)
            return Want("", tries + (not good), 2, 1)
        case "unstored":
            return Want("", 1, 2, 0)  # told by a warning
        case _:
            return replace(fine, requests=tries + (phase.more if good else 0))


@dataclass(frozen=True)
class Cell:
    """A fault in a phase, once or for ever."""

    phase: Phase
    fault: Fault
    always: bool

    def __str__(self) -> str:
        return f"{self.phase} {self.fault} {'always' if self.always else 'once'}"


def waits(cell: Cell) -> bool:
    """Whether the call takes all the time it has."""
    want = wanted(cell.phase, cell.fault, always=cell.always)
    stuck = cell.fault.kind == "slow" or cell.fault.name == "connect_timeout"
    return stuck or want.code in ("create_outcome_unknown", "created_id_unknown")


def seconds_of(cell: Cell) -> int:
    """The setting of the time that a call may take."""
    return TIMEOUT if waits(cell) else AMPLE


def cells_of(phase: Phase) -> list[Cell]:
    """A call that is never repeated can fail only once."""
    spans = (True, False) if phase.call in READS else (True,)
    return [Cell(phase, fault, always) for fault in FAULTS for always in spans]


@pytest.fixture(scope="module")
def net() -> Iterator[tuple[Exchange, int]]:
    """The socket for all sandboxes, and a port that lets nobody connect."""
    with pytest.MonkeyPatch.context() as patch, exchange() as it, hanging_port() as stuck:
        patch.setattr(wire_faults, "DRIP_INTERVAL", 0.1)  # so that the shortest answer takes longer than there is
        yield it, stuck


class Outcome:
    """A cell that was tried: its answer, and what is there afterwards."""

    def __init__(self, home: Home, wire: Wire, transport: Unconnected | None, cell: Cell) -> None:
        self.home = home
        self.wire = wire
        self.transport = transport
        self.cell = cell
        self.result: CallToolResult
        self.seconds = 0.0

    @property
    def got(self) -> Want:
        """What came of it."""
        seen = self.transport.tried if self.transport else self.wire.seen.count(self.cell.phase.call)
        return Want(code_of(self.result), seen, len(self.home.sandbox.keys), len(self.home.key_files))


async def tried(net: tuple[Exchange, int], directory: Path, cell: Cell) -> Outcome:
    """Call the tool once, with the fault in its phase."""
    it, stuck = net
    phase, fault = cell.phase, cell.fault
    wire = Wire(Sandbox("gateway", masked_keys=phase.call != "models"))  # only a known value is checked
    wire.sandbox.add_key("old", remain_quota=5)
    home = Home(directory, it.add(wire), wire.sandbox, {"COMETAPI_MCP_TIMEOUT": str(seconds_of(cell))})
    order = Order(phase.call, fault.name, phase.after, ALWAYS if cell.always else 1, fault.value)
    transport = None
    if fault.kind == "unsent":
        transport = Unconnected(order, stuck)
    else:
        wire.order(order)
    outcome = Outcome(home, wire, transport, cell)
    async with Client(server.create_server(home.settings, transport=transport)) as client:
        begun = monotonic()
        outcome.result = await client.call_tool(phase.tool, dict(phase.arguments))
        outcome.seconds = monotonic() - begun
    return outcome


def complaints(outcome: Outcome) -> list[str]:
    """What is wrong with a cell."""
    cell, result = outcome.cell, outcome.result
    want, got, text = wanted(cell.phase, cell.fault, always=cell.always), outcome.got, text_of(result)
    found = []
    if want.requests is None and got.requests and got.requests > cell.phase.after:
        got = replace(got, requests=None)
    if got != want:
        found.append(f"{cell}: {got} instead of {want}: {text[:150]}")
    if outcome.seconds > seconds_of(cell) + SLACK:
        found.append(f"{cell}: took {outcome.seconds:.1f} s")
    if cell.fault.kind == "unsent" and outcome.wire.seen.count(cell.phase.call) != _arrived(want, cell):
        found.append(f"{cell}: {outcome.wire.seen} arrived")
    return found + _untold(outcome, text)


def _arrived(want: Want, cell: Cell) -> int:
    """The requests that had a connection."""
    if want.requests is None:
        return cell.phase.after
    return want.requests - (1 if not cell.always else want.requests - cell.phase.after)


def _untold(outcome: Outcome, text: str) -> list[str]:
    """Sentences that are missing, or not true."""
    cell, keys, files = outcome.cell, outcome.home.sandbox.keys, outcome.home.key_files
    found = []
    new = [key for key in keys if key.id != 1]
    if cell.phase.rule == "unstored" and f"save_api_key with id {new[0].id}" not in text:
        found.append(f"{cell}: nobody is told how to get the value: {text[:200]}")
    if any(
        f"COMETAPI_KEY=sk-{key.key}\n" not in path.read_text() for key, path in zip(new or keys, files, strict=False)
    ):
        found.append(f"{cell}: a file has another key's value")
    if new and outcome.result.is_error and "list_api_keys" not in text:
        found.append(f"{cell}: nobody is told of the new key: {text[:200]}")
    changed = len(keys) != 1 or keys[0].name != "old"
    if changed and outcome.result.is_error and ("othing was changed" in text or "othing was sent" in text):
        found.append(f"{cell}: says that nothing was changed: {text[:200]}")
    done = ("stored", "retired", "not_done")
    still_open = [state for state, _ in operations(outcome.home) if state not in done]
    if len(still_open) != (len(new) - len(files) if new else text.startswith("[create_outcome_unknown]")):
        found.append(f"{cell}: the journal has {operations(outcome.home)}")
    return found


@pytest.mark.parametrize("phase", PHASES, ids=str)
async def test_a_fault_has_its_exact_outcome_in_time_and_makes_no_second_key(
    net: tuple[Exchange, int], tmp_path: Path, phase: Phase
) -> None:
    found: list[str] = []
    room = anyio.CapacityLimiter(AT_ONCE)

    async def check(number: int, cell: Cell) -> None:
        async with room:
            directory = tmp_path / f"{number}"
            directory.mkdir()
            found.extend(complaints(await tried(net, directory, cell)))

    cells = list(enumerate(cells_of(phase)))
    async with anyio.create_task_group() as group:
        for number, cell in cells:
            if waits(cell) or cell.fault.kind == "unsent":
                group.start_soon(check, number, cell)
    for number, cell in cells:
        if not (waits(cell) or cell.fault.kind == "unsent"):
            await check(number, cell)
    assert not found, "\n".join(sorted(found))


def test_the_matrix_has_more_cells_than_were_asked_for() -> None:
    assert sum(len(cells_of(phase)) for phase in PHASES) >= 220
    assert len({str(cell) for phase in PHASES for cell in cells_of(phase)}) >= 220
    elsewhere = {"plan_api_key", "get_usage"}  # what they ask for: tests/robustness/test_hostile_bodies.py
    assert {phase.tool for phase in PHASES} == {tool.name for tool in TOOLS} - elsewhere


CALLS: dict[str, dict[str, Any]] = {phase.tool: dict(phase.arguments) for phase in PHASES}
NOWHERE = {
    "refused": "http://127.0.0.1:{closed}",
    "no_tls": "https://127.0.0.1:{open}",
    "connect_timeout": "http://127.0.0.1:{stuck}",
    "connect_timeout of TLS": "https://127.0.0.1:{stuck}",
}


@pytest.mark.parametrize("fault", NOWHERE)
async def test_every_tool_tells_that_the_api_cannot_be_reached(
    net: tuple[Exchange, int], tmp_path: Path, fault: str
) -> None:
    """With the connections that the product makes itself."""
    it, stuck = net
    url = NOWHERE[fault].format(closed=closed_port(), open=it.url.rsplit(":")[-1], stuck=stuck)
    found: list[str] = []

    async def check(tool: str) -> None:
        home = Home(tmp_path, url, Sandbox(), {"COMETAPI_MCP_TIMEOUT": str(AMPLE)})
        home.extra["COMETAPI_MCP_STATE"] = str(tmp_path / f"{tool}.sqlite3")
        async with Client(server.create_server(home.settings)) as client:
            begun = monotonic()
            text = text_of(await client.call_tool(tool, CALLS[tool]))
            if not text.startswith("[unreachable] ") or monotonic() - begun > AMPLE + SLACK:
                found.append(f"{tool}: {monotonic() - begun:.1f} s: {text}")

    async with anyio.create_task_group() as group:
        for tool in CALLS:
            group.start_soon(check, tool)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("fault", "value"), [("hang", None), ("hang_after", None), ("latency", "1.2")])
async def test_every_tool_ends_in_time_where_every_request_is_slow(
    net: tuple[Exchange, int], tmp_path: Path, fault: str, value: str | None
) -> None:
    """Each request alone stays within the time that the whole call has."""
    found: list[str] = []

    async def check(tool: str) -> None:
        wire = Wire(Sandbox("gateway"))
        wire.sandbox.add_key("old", remain_quota=5)
        wire.order(Order("*", fault, times=ALWAYS, value=value))
        home = Home(tmp_path / tool, net[0].add(wire), wire.sandbox, {"COMETAPI_MCP_TIMEOUT": str(TIMEOUT)})
        home.directory.mkdir()
        async with Client(server.create_server(home.settings)) as client:
            begun = monotonic()
            text = text_of(await client.call_tool(tool, CALLS[tool]))
            seconds = monotonic() - begun
        if seconds > TIMEOUT + SLACK:
            found.append(f"{tool}: {seconds:.1f} s: {text}")
        if wire.seen.count("create") > 1:
            found.append(f"{tool}: {wire.seen}")

    async with anyio.create_task_group() as group:
        for tool in CALLS:
            group.start_soon(check, tool)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("tool", ["list_api_keys", "get_api_key", "list_models", "get_account", "create_api_key"])
async def test_a_redirect_between_a_path_and_its_slash_is_not_followed_for_ever(
    net: tuple[Exchange, int], tmp_path: Path, tool: str
) -> None:
    wire = Wire(Sandbox())
    wire.order(Order("*", "redirect", times=ALWAYS))
    home = Home(tmp_path, net[0].add(wire), wire.sandbox)
    async with Client(server.create_server(home.settings)) as client:
        assert code_of(await client.call_tool(tool, CALLS[tool])) == "no_usable_answer"
    assert len(wire.seen) == len(set(wire.seen)) <= 3  # each call once: none is followed
    assert "create" not in wire.seen
