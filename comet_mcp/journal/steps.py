"""Steps that are no one service's own: a confirmation that serves, a share of the API's calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comet_mcp.api.rate_limit import SHARE_HOLDS, WINDOW, Counted
from comet_mcp.journal.base import Decision, Reads, Rows, Step
from comet_mcp.journal.rows import Share
from comet_mcp.journal.writes import PutShares, UseNonce


def using_nonce(nonce: str, now: float) -> Step[bool]:
    """Notes that a person's answer has served. Gives False where it had already."""

    def decide(rows: Rows) -> Decision[bool]:
        return Decision(not rows.nonce_used, [] if rows.nonce_used else [UseNonce(nonce, now)])

    return Step(Reads(nonce=nonce), decide)


@dataclass(frozen=True, slots=True)
class Taken:
    """How many calls a server may make, and what the other servers have."""

    ahead: int
    others: tuple[Counted, ...]


def taking_share(
    origin: str, server: str, *, ahead: int, made: Sequence[Counted], most: int, now: float
) -> Step[Taken]:
    """Takes calls of an API ahead, as far as other servers have left any, instead of those that were taken before.

    Args:
        origin: The API's scheme, host and port.
        server: This server.
        ahead: How many calls it wants to make.
        made: The calls that it made and that the API still counts.
        most: How many all servers may make together in `WINDOW` seconds.
        now: Unix seconds by the clock of the machine whose servers these are.
    """

    def decide(rows: Rows) -> Decision[Taken]:
        others = _others(rows, server, now)
        left = most - sum(one.calls for one in (*others, *made))
        taken = Counted(max(min(ahead, left), 0), SHARE_HOLDS + WINDOW)
        shares = tuple(Share(server, one.calls, now + one.seconds) for one in (*made, taken) if one.calls)
        return Decision(Taken(taken.calls, others), [PutShares(origin, server, shares, now)])

    return Step(Reads(shares=origin), decide, durable=False)


def others_share(origin: str, server: str, now: float) -> Step[int]:
    """Tells how many calls of an API the other servers have, made or taken ahead; the arguments are as above."""

    def decide(rows: Rows) -> Decision[int]:
        return Decision(sum(one.calls for one in _others(rows, server, now)))

    return Step(Reads(shares=origin), decide, durable=False)


def _others(rows: Rows, server: str, now: float) -> tuple[Counted, ...]:
    return tuple(
        Counted(share.calls, share.until - now) for share in rows.shares if share.server != server and share.until > now
    )
