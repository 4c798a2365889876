"""What tests of spending share: a sandbox whose log has a past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comet_mcp.clock import SYSTEM
from comet_mcp.sandbox import Sandbox

CALL, REFUND = 2, 6
HOUR, DAY = 3600, 86_400


def spent(sandbox: Sandbox, key: int, model: str, units: int, ago: float, **fields: Any) -> None:
    """A call that ended so many seconds ago. Calls are put into the log in the order of their ends."""
    wanted = {"token_id": key, "token_name": f"key {key}", "model_name": model, "quota": units, "group": "default"}
    sandbox.account.note(**wanted | {"created_at": int(SYSTEM.now() - ago), "type": CALL} | fields)
    sandbox.account.log.entries.sort(key=lambda entry: entry.created_at)


def exported(sandbox: Sandbox) -> None:
    """Let the API have summed all that is over for five minutes."""
    sandbox.account.started -= 30 * DAY


def many(sandbox: Sandbox, count: int, every: float, keys: Iterable[int] = (1, 2), models: str = "abc") -> None:
    """So many calls, one each so many seconds up to now, of the keys and models in turn; each costs 10 units."""
    keys, now = list(keys), int(SYSTEM.now())
    log = sandbox.account.log.entries
    for number in reversed(range(count)):
        key = keys[number % len(keys)]
        sandbox.account.note(
            token_id=key,
            token_name=f"key {key}",
            model_name=models[number % len(models)],
            quota=10,
            created_at=int(now - 10 - number * every),
        )
    log.sort(key=lambda entry: entry.created_at)
