"""Runs with a lease whose holder or program is killed at random instants: `python -m tests.robustness.leases 2000`.

Real processes on a sandbox, three at once, on a journal that goes with each batch. After a batch the sandbox's clock is
moved past the leases: no key may work then. Then the next command or server starts: no key of a run may be left, and no
key of anybody else may be another than before.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any
from unittest import mock

import anyio

from comet_mcp import removal
from comet_mcp.context import Services
from comet_mcp.removal import remove_leftovers_later
from comet_mcp.sandbox import Refused, Sandbox
from comet_mcp.services.lease import NET
from tests.support import Home

LEASE = 900
BATCH = 6
AT_ONCE = 3
PROGRAM = "echo $$ > {file}; exec sleep 0.1"
ENDINGS = ("nothing", "kill holder", "kill holder", "kill holder", "kill program", "kill both", "SIGTERM", "SIGHUP")
SETTLE = 0.4
"""Seconds in which the sandbox has carried out whatever a killed process had sent."""


@dataclass
class Result:
    """What was seen. The last three have to stay empty."""

    runs: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    left_before: int = 0
    """Keys that were there when a batch had ended, for the next start to remove."""
    usable: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.usable or self.left or self.touched)

    def __str__(self) -> str:
        endings = ", ".join(f"{name} {count}" for name, count in sorted(self.endings.items()))
        return (
            f"{self.runs} runs ({endings}); {self.keys} keys were made, {self.left_before} left to the next start.\n"
            f"Usable after the lease and {NET} s: {len(self.usable)}. Left after the next start: {len(self.left)}. "
            f"Of anybody else touched: {len(self.touched)}."
        )


def hold(environment: dict[str, str], words: list[str]) -> None:
    """The command in a process that was forked with all of it imported."""
    from comet_mcp.cli.root import main  # noqa: PLC0415 - in that process

    os.environ.clear()
    os.environ.update(environment)
    os.setpgid(0, 0)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        sys.stdout = sys.stderr = nowhere
        os._exit(main(words))


class Batch:
    """Runs on one journal, and what has to be true after them."""

    def __init__(self, home: Home, draw: random.Random, result: Result) -> None:
        self.home, self.draw, self.result = home, draw, result
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["tests.support", "comet_mcp.cli.lease_run", "filelock", "httpx", "platformdirs"]
        )
        self._numbers = iter(range(10**6))

    def start(self) -> tuple[BaseProcess, Path]:
        """A run, and the file that gets its program's process id."""
        file = self.home.directory / f"program-{next(self._numbers)}"
        program = ["sh", "-c", PROGRAM.format(file=file)]
        words = ["run", "--lease", f"{LEASE}s", "--budget", "0.50", "--", *program]
        process = self._context.Process(target=hold, args=(self.home.environment, words))
        process.start()
        return process, file

    def play(self, count: int, longest: float) -> None:
        """So many runs, some of them at once, each ended in a way and at an instant that are drawn."""
        draws = [random.Random(self.draw.random()) for _ in range(count)]  # noqa: S311 - drawn by a seed
        with ThreadPoolExecutor(AT_ONCE) as threads:
            self.result.endings.update(threads.map(lambda draw: self._run(draw, longest), draws))
        self.result.runs += count

    def _run(self, draw: random.Random, longest: float) -> str:
        """One run, ended at an instant of it, or soon after its program has begun. Returns how."""
        ending = draw.choice(ENDINGS)
        begun = monotonic()
        process, file = self.start()
        if draw.random() < 0.5:
            while not file.exists() and process.is_alive() and monotonic() - begun < 60:
                sleep(0.005)
            begun, longest = monotonic(), 0.2
        sleep(max(begun + draw.uniform(0, longest) - monotonic(), 0))
        program = file.read_text(encoding="ascii").split() if file.exists() else []
        if ending in ("kill program", "kill both"):
            for pid in map(int, program):
                _send(pid, signal.SIGKILL)
        if ending in ("kill holder", "kill both"):
            _send(process.pid, signal.SIGKILL)
        if ending.startswith("SIG"):
            _send(process.pid, getattr(signal, ending))
        process.join(60)
        process.kill()
        return ending

    def check(self) -> None:
        """What has to be true once all processes are gone."""
        sandbox, result = self.home.sandbox, self.result
        sleep(SETTLE)
        result.keys += sandbox.count("create")
        left = self._of_runs()
        result.left_before += len(left)
        with after_the_leases(sandbox):
            result.usable += [row.name for row in left if _works(sandbox, row)]
        self._next_start()
        if left := [(row.id, row.name, row.created_time) for row in self._of_runs()]:
            result.left.append(f"{left}; {self._seen()}")

    def _of_runs(self) -> list[Any]:
        return [row for row in self.home.sandbox.keys if row.name.startswith("run-sh-")]

    def _seen(self) -> str:
        """What the journal and the sandbox have, for whoever looks into a key that is left."""
        leases = "SELECT state, key_id, key_created, lease FROM operation WHERE lease IS NOT NULL"
        with closing(sqlite3.connect(self.home.state)) as db:
            noted, trail = db.execute(leases).fetchall(), db.execute("SELECT entry FROM audit").fetchall()
        return f"leases: {noted}; trail: {trail}; requests: {list(self.home.sandbox.requests)}"

    def _next_start(self) -> None:
        """A command or a server."""
        if self.draw.random() < 0.5:
            process, _ = self.start()
            process.join(60)
            assert process.exitcode == 0
        else:
            anyio.run(self._server)

    async def _server(self) -> None:
        app = Services.of(self.home.settings)
        with mock.patch.object(removal, "_AFTER_START", 0):
            await remove_leftovers_later(app)
        await app.aclose()


@contextmanager
def after_the_leases(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox's time when every lease is over, and the minute after it."""
    clock = sandbox.clock
    sandbox.clock = lambda: time() + LEASE + NET + 1
    try:
        yield
    finally:
        sandbox.clock = clock


def _works(sandbox: Sandbox, row: Any) -> bool:
    status = row.status
    try:
        sandbox.begin_call(row, "gpt-4o").abort()
    except Refused:
        return False
    finally:
        row.status = status  # the API notes that it has expired
    return True


def _send(pid: int | None, number: int) -> None:
    assert pid is not None
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def play(runs: int, seed: int = 0, *, tell: bool = False) -> Result:
    """So many runs in batches. Returns what was seen."""
    draw, result = random.Random(seed), Result()  # noqa: S311 - drawn by a seed
    longest = 0.0
    while result.runs < runs:
        sandbox = Sandbox()
        with tempfile.TemporaryDirectory() as directory, sandbox.serve() as url:
            home = Home(Path(directory), url, sandbox)
            sandbox.add_key("somebody's", remain_quota=5_000)
            sandbox.add_key("run-python-00000000", remain_quota=5_000, expired_time=int(time()) + LEASE)
            sandbox.add_key("ended", expired_time=1)
            before = {row.id: asdict(row) for row in sandbox.keys}
            batch = Batch(home, draw, result)
            if not longest:
                longest = _length_of_a_run(batch)
            batch.play(min(BATCH, runs - result.runs), longest)
            batch.check()
            after = {row.id: asdict(row) for row in sandbox.keys}
            result.touched += [row["name"] for id_, row in before.items() if after.get(id_) != row]
        if tell:
            print(f"{result.runs}: usable {len(result.usable)}, left {result.left}", flush=True)  # noqa: T201
    return result


def _length_of_a_run(batch: Batch) -> float:
    """Seconds that a run takes while others run; the first one loads what all are forked from."""
    lengths = []
    for _ in range(3):
        begun = monotonic()
        for process in [batch.start()[0] for _ in range(AT_ONCE)]:
            process.join(60)
        lengths.append(monotonic() - begun)
    return lengths[-1]


if __name__ == "__main__":
    played = play(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, tell=True)
    print(played)  # noqa: T201
    sys.exit(not played.is_good)
