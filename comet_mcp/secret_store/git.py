"""Whether git keeps a file to itself: a key's value in a file that git tracks, or would add, is soon everybody's.

`git` is asked, for only it knows every list of what it ignores. The repository may be somebody else's, and nothing that
its config names may run: no hook, no monitor of the file system, no fetch of what a partial clone left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from comet_mcp.errors import StoreError
from comet_mcp.settings import inherited
from comet_mcp.text import quoted

_WITHIN = 2.0
"""Seconds for one question."""

_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
}
_OPTIONS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_INHERITED = ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "PATH", "SYSTEMROOT")
"""No GIT_... among them: a server that a hook has started would ask about another repository."""


def require_ignored(path: Path) -> None:
    """Return where no repository has the file, or git ignores it. Raises StoreError with what is to be done."""
    root = _repository(path.parent)
    if root is None:
        return
    shown, line = quoted(str(path), 200), f'the line "{path.name}" into {quoted(str(root / ".gitignore"), 200)}'
    program = shutil.which("git")
    if program is None or not Path(program).is_absolute():  # a relative one could be the repository's own
        raise _refused(
            f"{shown} is in the git repository {quoted(str(root), 200)}, and there is no git here that could tell "
            "whether it ignores the file. Install git, or name a file outside the repository."
        )
    status, tracked = _asked(program, path, "ls-files", "-z", "--", path.name)
    if status == 0 and tracked:
        raise _refused(
            f"{shown} is tracked by git, so the key's value would be in the next commit; it was left as it is. Put "
            f"{line}, and run in its folder: git rm --cached {path.name}"
        )
    ignored, _ = _asked(program, path, "check-ignore", "-q", "--", path.name)
    if status == 0 and ignored == 0:
        return
    if status == 0 and ignored == 1:
        raise _refused(
            f"{shown} is not ignored by git, so the key's value would soon be in a commit; it was left as it is. Put "
            f"{line}, then call again."
        )
    raise _refused(
        f"{shown} is in the git repository {quoted(str(root), 200)}, and git did not tell whether it ignores the file; "
        "it was left as it is. See what `git status` says there, or name a file outside the repository."
    )


def _repository(folder: Path) -> Path | None:
    """The nearest folder at or above that has a `.git`: a directory, or the file of a worktree or a submodule."""
    return next((above for above in (folder, *folder.parents) if os.path.lexists(above / ".git")), None)


def _asked(program: str, path: Path, *question: str) -> tuple[int | None, bytes]:
    """Exit status and output of git in the file's folder; no status where it did not answer."""
    try:
        done = subprocess.run(  # noqa: S603 - git itself, no shell, and nothing that the repository names
            [program, *_OPTIONS, *question],
            cwd=path.parent,
            env={**inherited(_INHERITED), **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WITHIN,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, b""
    return done.returncode, done.stdout


def _refused(text: str) -> StoreError:
    return StoreError(text, code="file_in_git")
