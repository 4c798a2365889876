"""`python -m tests.simulation.table [WORD]`: which planted bug is found in which history, and what it breaks.

A WORD of what it is shows only some of them.
"""

import logging
import sys

from tests.simulation import determinism
from tests.simulation.planted import PLANTED
from tests.simulation.world import play

MOST = 1_000


def main(arguments: list[str]) -> int:
    """Print the table. Returns how many bugs are not found."""
    word = " ".join(arguments)
    logging.disable()
    missed = 0
    with determinism.installed():
        for bug in (bug for bug in PLANTED if word in f"{bug.kind} {bug.what}"):
            with bug.installed():
                first = next(((seed, found[0]) for seed in range(MOST) if (found := play(seed).found)), None)
            missed += first is None
            seed, promise = (first[0], first[1].partition(":")[0]) if first else ("never", "")
            print(f"{bug.kind:14} {bug.what:74} {seed!s:>5}  {promise}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
