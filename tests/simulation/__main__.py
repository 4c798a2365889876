"""`python -m tests.simulation SEED`: that history once more, with everything that happens in it."""

import logging
import sys

from tests.simulation import determinism
from tests.simulation.world import play


def main(arguments: list[str]) -> int:
    """Replay one history, or look through many: SEED, or FIRST LAST."""
    logging.disable()
    seeds = [int(argument) for argument in arguments]
    with determinism.installed():
        if len(seeds) == 1:
            world = play(seeds[0])
            print(world.log.text())
            print("\n".join(world.found) or "Every promise is kept.")
            return bool(world.found)
        bad = 0
        for seed in range(seeds[0], seeds[1] + 1):
            if found := play(seed).found:
                bad += 1
                print(seed, *found, sep="\n    ", flush=True)
        print(f"{bad} of {seeds[1] - seeds[0] + 1} histories break a promise")
        return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
