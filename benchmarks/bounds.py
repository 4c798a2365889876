"""What the heaviest messages and answers cost: `python -m benchmarks.bounds [PART OF A NAME]`. Linux only."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.robustness.bounds import MOST_MIB, MOST_SECONDS, cost
from tests.robustness.test_bounds import CASES


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"| what | MiB above rest (at most {MOST_MIB}) | processor, s (at most {MOST_SECONDS:g}) |\n|---|---|---|")
    for case in CASES:
        if wanted in case.name:
            with tempfile.TemporaryDirectory() as directory:
                found = cost(case, Path(directory))
            print(f"| {case} | {found.mib:.0f} | {found.seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
