"""Steps that are no one service's own: a confirmation that serves, a share of the API's calls."""

from __future__ import annotations

from comet_mcp.api.rate_limit import SHARE_HOLDS, WINDOW
from comet_mcp.journal.base import Decision, PutShare, Reads, Rows, Share, Step, UseNonce


def using_nonce(nonce: str, now: float) -> Step[bool]:
    """Notes that a person's answer has served. Gives False where it had already."""

    def decide(rows: Rows) -> Decision[bool]:
        return Decision(not rows.nonce_used, [] if rows.nonce_used else [UseNonce(nonce, now)])

    return Step(Reads(nonce=nonce), decide)


def taking_share(origin: str, server: str, wanted: int, most: int, now: float) -> Step[int]:
    """Takes calls of an API ahead, as far as other servers have left any. Gives how many this server has now.

    Args:
        origin: The API's scheme, host and port.
        server: This server.
        wanted: How many calls it wants to have.
        most: How many all servers may make together in `WINDOW` seconds.
        now: Unix seconds by the clock of the machine whose servers these are.
    """

    def decide(rows: Rows) -> Decision[int]:
        others = sum(share.calls for share in rows.shares if share.server != server and share.until > now)
        calls = max(min(wanted, most - others), 0)
        return Decision(calls, [PutShare(origin, Share(server, calls, now + SHARE_HOLDS + WINDOW))])

    return Step(Reads(shares=origin), decide, durable=False)
