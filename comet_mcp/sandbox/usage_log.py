"""The log of what happened on the account, and the sums that the API makes of it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.queries import integer, like

TOP_UP, CONSUMPTION, MANAGEMENT, SYSTEM, ERROR, REFUND, LOGIN = range(1, 8)
"""What `type` means."""

HOUR = 3600
EXPORT_SECONDS = 300
"""Seconds between two times that the hourly sums are written: they are up to five minutes late (measured)."""

_RECENT = 60
"""Seconds over which `rpm` and `tpm` count, whatever the timestamps that were asked (measured)."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """A row of the log, with the API's field names. A position takes the place of an id when it is shown."""

    user_id: int
    created_at: int
    """Unix seconds; of a model call, when it ended."""
    type: int = CONSUMPTION
    content: str = ""
    username: str = ""
    token_name: str = ""
    """The key's name when the call began; a later rename does not change it (measured)."""
    model_name: str = ""
    quota: int = 0
    """Quota units."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    use_time: int = 0
    """Whole seconds."""
    is_stream: bool = False
    channel: int = 0
    token_id: int = 0
    group: str = ""
    ip: str = ""
    request_id: str = ""
    upstream_request_id: str = ""
    other: dict[str, Any] | None = field(default=None)
    """Prices and the like; shown as JSON in a string, `null` for none."""

    def shown(self, position: int) -> dict[str, Any]:
        """The row as the API shows it: without empty request ids, with its position in the answer as its id."""
        fields = asdict(self)
        optional = ("request_id", "upstream_request_id")
        record = {name: value for name, value in fields.items() if value or name not in optional}
        other = json.dumps(self.other, ensure_ascii=False, separators=(",", ":"))
        return {"id": position} | record | {"channel_name": "", "other": other}


class UsageLog:
    """The rows, oldest first in `entries`."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.entries: list[Entry] = []

    def selected(self, query: Mapping[str, str]) -> list[Entry]:
        """The rows that `GET /api/log/self` finds, newest first.

        Raises:
            Refused: `model_name` has wildcards that the API does not take.
        """
        wanted = integer(query.get("type"))
        rows = self._matching(query, ("upstream_request_id", "request_id"))
        return [row for row in _between(rows, query) if not wanted or row.type == wanted]

    def sums(self, query: Mapping[str, str], now: int) -> dict[str, int]:
        """What `GET /api/log/self/stat` answers; `type` is ignored, refunds are not subtracted (measured).

        Raises:
            Refused: `model_name` has wildcards that the API does not take.
        """
        channel = integer(query.get("channel"))
        rows = [row for row in self._matching(query, ()) if row.type == CONSUMPTION and channel in (0, row.channel)]
        recent = [row for row in rows if row.created_at >= now - _RECENT]
        return {
            "quota": sum(row.quota for row in _between(rows, query)),
            "rpm": len(recent),
            "tpm": sum(row.prompt_tokens + row.completion_tokens for row in recent),
        }

    def of_key(self, id: int, most: int) -> list[Entry]:
        """The key's latest rows of every type, newest first."""
        return [row for row in reversed(self.entries) if row.token_id == id][:most]

    def exported(self, start: int, end: int, written: float) -> list[Entry]:
        """The model calls of the hours that begin from `start` to `end`, as far as they had ended when the hourly sums
        were last `written`; all in Unix seconds.
        """  # noqa: D205 - one sentence
        return [
            row
            for row in self.entries
            if row.type == CONSUMPTION and start <= hour(row.created_at) <= end and row.created_at < written
        ]

    def _matching(self, query: Mapping[str, str], also: Iterable[str]) -> list[Entry]:
        names = [name for name in ("token_name", "group", *also) if query.get(name)]
        model = query.get("model_name", "")
        pattern = like(model) if "%" in model or self.dialect.log_models_like else re.compile(re.escape(model))
        return [
            row
            for row in reversed(self.entries)
            if all(getattr(row, name) == query[name] for name in names)
            and (not model or pattern.fullmatch(row.model_name))
        ]


def hour(created_at: int) -> int:
    """The start of the UTC hour, in Unix seconds."""
    return created_at - created_at % HOUR


def _between(rows: Iterable[Entry], query: Mapping[str, str]) -> list[Entry]:
    start, end = integer(query.get("start_timestamp")), integer(query.get("end_timestamp"))
    return [row for row in rows if row.created_at >= start and (not end or row.created_at <= end)]
