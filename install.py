"""Makes `.venv` in this folder anew and installs cometapi-mcp there: `python3 install.py`, with `--dev` for its tests.

It works over a `.venv` that is there already, whatever is in it. It is the one file here that a Python as old as 3.6
has to understand, for it says which one is needed.
"""

import re
import subprocess
import sys
from pathlib import Path

NEEDS = "cometapi-mcp needs Python 3.11 or newer and pip 22.3 or newer."
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Install. Returns the exit status: 2 for an unknown argument, 1 where something is missing or fails."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["--dev"]):
        print("usage: python3 install.py [--dev]", file=sys.stderr)
        return 0 if arguments == ["--help"] else 2
    problem = missing()
    if problem:
        print(f"{NEEDS} {problem}", file=sys.stderr)
        return 1
    place = HERE / ".venv"
    print(f"Installing into {place}, which takes up to a minute", flush=True)
    source = ["-e", f"{HERE}[dev]"] if arguments else [str(HERE)]
    for step in (
        ["-m", "venv", "--without-pip", "--clear", str(place)],
        ["-m", "pip", "--python", str(place), "install", "--quiet", "--disable-pip-version-check", *source],
    ):
        if subprocess.call([sys.executable, *step]):
            print(f"This failed: {sys.executable} {' '.join(step)}", file=sys.stderr)
            return 1
    command = Path(".venv", "Scripts" if sys.platform == "win32" else "bin", "cometapi-mcp")
    print(f"Done. Next: {command} setup. {command} demo shows what it does, without an account.", flush=True)
    return 0


def missing() -> str:
    """What this Python lacks, in a sentence, or nothing."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one is to be told
        return f"This is Python {sys.version.split()[0]}; run this file with a newer one, such as python3.13."
    asked = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
    if found is None:
        return "This Python has no pip; `python3 -m ensurepip` or your system's package python3-pip brings it."
    if (int(found[1]), int(found[2])) < (22, 3):
        return f"This is pip {found[1]}.{found[2]}; `python3 -m pip install --upgrade pip` brings a newer one."
    return ""


if __name__ == "__main__":
    sys.exit(main())
