"""What a lease costs: `run --lease` beside `run` with a stored key, as a ratio: `python -m benchmarks.lease`.

Rounds of both alternate; every figure is a median. The sandbox is a process of its own, and warm. The processor's time
is told too: it depends less on what else the machine does. Not on Windows.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time

from benchmarks.run import COMMANDS, ROOT, sandbox, started

RUNS = {
    "run with a stored key": ["run", "1", "--", "true"],
    "run --lease": ["run", "--lease", "15m", "--budget", "0.50", "--", "true"],
}


def measured(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds that a command takes, and those of the processor."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMANDS["ours"], *words], env=environment, check=True, stderr=subprocess.DEVNULL)
    took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lease", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, sandbox() as settings:
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "PYTHONPATH": str(ROOT), **settings}
        environment["COMETAPI_MCP_CALLS"] = "0"
        with started("ours", environment) as server:
            made = server.call("create_api_key", {"name": "bench", "remain_quota": 5000})
            assert made["result"]["structuredContent"]["id"] == 1
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNS}
        for _ in range(rounds):
            for name, words in RUNS.items():
                found[name].append(measured(words, environment))
    medians = [[statistics.median(column) for column in zip(*found[name], strict=True)] for name in RUNS]
    print("| what | ms | ratio | ms of the processor | ratio |\n|---|---|---|---|---|")
    for name, (took, used) in zip(RUNS, medians, strict=True):
        (first, first_used), *_ = medians
        print(f"| {name} | {took * 1000:.0f} | {took / first:.2f} | {used * 1000:.0f} | {used / first_used:.2f} |")


if __name__ == "__main__":
    main()
