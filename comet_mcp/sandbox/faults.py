"""Faults that can be ordered: which there are, and who gets one next."""

import re
import threading
from dataclasses import dataclass
from typing import Final

CALLS: Final[dict[str, str]] = {
    "create": "POST /api/token/",
    "list": "GET /api/token/",
    "get": "GET /api/token/{id}",
    "update": "PUT /api/token/",
    "delete": "DELETE /api/token/{id}",
    "search": "GET /api/token/search",
    "reveal": "POST /api/token/{id}/key",
    "reveal_batch": "POST /api/token/batch/keys",
    "usage": "GET /api/usage/token/",
    "models": "GET /v1/models",
    "catalog": "GET /api/models",
    "account": "GET /api/user/self",
    "groups": "GET /api/user/self/groups",
    "stat": "GET /api/log/self/stat",
    "log": "GET /api/log/self",
    "key_log": "GET /api/log/token",
    "data": "GET /api/data/self",
    "flow": "GET /api/data/flow/self",
    "status": "GET /api/status",
    "chat": "POST /v1/chat/completions",
    "other": "everything else, wrong paths included",
}
"""The names of the calls, each with its method and path."""

FAULTS: Final[dict[str, str]] = {
    "latency": "waits VALUE seconds (1), then goes on as usual, even if the client has left meanwhile",
    "hang": "does nothing and never answers; ends when the client leaves, after 60 s at the latest",
    "hang_after": "does what was asked, then never answers",
    "reset_before": "resets the connection (TCP RST) before doing anything",
    "reset_after": "does what was asked, then resets the connection without an answer",
    "status": "answers HTTP status VALUE (500) with a JSON body, and does nothing",
    "status_after": "does what was asked, then answers HTTP status VALUE (502) with a proxy's HTML page",
    "json_status_after": "does what was asked, then answers HTTP status VALUE (409) with a JSON body",
    "rate_limit": "answers 429 with an empty body, Retry-After VALUE if one is given, and does nothing",
    "rate_limit_after": "does what was asked, then answers 429 with an empty body, Retry-After VALUE if given",
    "page": "answers HTTP status VALUE (403) with a firewall's HTML page, and does nothing",
    "html": "answers 200 with an HTML page, and does nothing",
    "html_after": "does what was asked, then answers 200 with an HTML page",
    "garbage": "does what was asked, then answers 200 with JSON that breaks off",
    "truncated": "does what was asked, then closes the connection in the middle of the body",
    "empty_after": "does what was asked, then answers 200 with an empty body",
    "wrong_json": "does what was asked, then answers 200 with JSON of another shape",
    "refused": 'answers 200 with "success": false and the message VALUE, and does nothing',
    "refused_after": 'does what was asked, then answers 200 with "success": false and the message VALUE',
    "echo": "answers 400 with a message that repeats the request's headers and body, and does nothing",
    "echo_after": "does what was asked, then answers success with the request's headers and body as data",
    "drip": "does what was asked, then sends the body one byte every 50 ms",
    "huge": "does what was asked, then answers valid JSON padded to VALUE MiB (64)",
    "gzip_bomb": "does what was asked, then answers a small gzip that unpacks to VALUE MiB (256)",
    "redirect": 'redirects to the URL VALUE (the same path and "/"), and does nothing',
    "normalise": "create: stores the name trimmed and the model limits in lower case, without a word",
    "duplicate": "create: makes two keys",
    "late": "create: answers success, but lists show the key only after VALUE seconds (1)",
    "deferred": "create: answers success, but makes the key only after VALUE seconds (1)",
    "deferred_reset": "create: resets the connection, and makes the key only after VALUE seconds (1)",
    "create_with_id": "create: the answer carries the new key's id and value, or VALUE as the id and no value",
    "wrong_key": "reveal, reveal_batch: the answer carries another key's value",
}
"""The faults, each in a line; the value in brackets is the one that is taken when none is given."""

_CREATE: Final = frozenset({"create"})
ONLY: Final[dict[str, frozenset[str]]] = {
    "normalise": _CREATE,
    "duplicate": _CREATE,
    "late": _CREATE,
    "deferred": _CREATE,
    "deferred_reset": _CREATE,
    "create_with_id": _CREATE,
    "wrong_key": frozenset({"reveal", "reveal_batch"}),
}
"""The faults that only some calls can have, each with those."""

_DEFAULTS: dict[str, str] = {
    "latency": "1",
    "status": "500",
    "status_after": "502",
    "page": "403",
    "json_status_after": "409",
    "huge": "64",
    "gzip_bomb": "256",
    "late": "1",
    "deferred": "1",
    "deferred_reset": "1",
}
_SECONDS = (re.compile(r"[0-9]+(\.[0-9]+)?\Z"), "a number of seconds")
_WHOLE_SECONDS = (re.compile(r"[0-9]+\Z"), "a whole number of seconds")
_STATUS = (re.compile(r"[2-5][0-9][0-9]\Z"), "an HTTP status from 200 to 599")
_SIZE = (re.compile(r"[1-9][0-9]{0,3}\Z"), "a number of MiB from 1 to 9999")
_ID = (re.compile(r"[0-9]{1,18}\Z"), "an id")
_VALUES: dict[str, tuple[re.Pattern[str], str]] = {
    "latency": _SECONDS,
    "late": _SECONDS,
    "deferred": _SECONDS,
    "deferred_reset": _SECONDS,
    "rate_limit": _WHOLE_SECONDS,
    "rate_limit_after": _WHOLE_SECONDS,
    "status": _STATUS,
    "status_after": _STATUS,
    "page": _STATUS,
    "json_status_after": _STATUS,
    "huge": _SIZE,
    "gzip_bomb": _SIZE,
    "create_with_id": _ID,
}
_FREE_TEXT = frozenset({"refused", "refused_after", "redirect"})
_ORDER = re.compile(r"(?P<call>[^:=]*):(?P<fault>[^=*]*)(?:=(?P<value>.*?))?(?:\*(?P<times>[0-9]+))?\Z", re.DOTALL)


@dataclass(slots=True)
class Fault:
    """One order: the next `times` requests of `call`, after the first `after` of them, get `fault`."""

    call: str
    fault: str
    times: int = 1
    after: int = 0
    value: str | None = None

    def __post_init__(self) -> None:
        if self.call != "*" and self.call not in CALLS:
            raise ValueError(f"There is no call {self.call!r}. The calls are: {', '.join(CALLS)}, or * for any.")
        if self.fault not in FAULTS:
            raise ValueError(f"There is no fault {self.fault!r}. The faults are: {', '.join(FAULTS)}.")
        calls = ONLY.get(self.fault, frozenset())
        if calls and self.call != "*" and self.call not in calls:
            raise ValueError(
                f"The fault {self.fault} only happens to {' and '.join(sorted(calls))}, not to {self.call}."
            )
        if self.times < 1 or self.after < 0:
            raise ValueError("A fault happens at least once, after none or more requests.")
        if self.value is not None and self.fault not in _FREE_TEXT:
            pattern, meaning = _VALUES.get(self.fault, (None, ""))
            if pattern is None:
                raise ValueError(f"The fault {self.fault} takes no value.")
            if not pattern.match(self.value):
                raise ValueError(f"The value of the fault {self.fault} is {meaning}, not {self.value!r}.")

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """The order written as `CALL:NAME[=VALUE][*TIMES]`, for example `create:status=503*2`.

        Raises:
            ValueError: the text is no such order; the message says what there is to choose from.
        """
        match = _ORDER.match(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not CALL:NAME[=VALUE][*TIMES], for example create:reset_after or list:status=503*2. "
                f"The calls are: {', '.join(CALLS)}, or * for any. The faults are: {', '.join(FAULTS)}."
            )
        return cls(match["call"], match["fault"], times=int(match["times"] or 1), value=match["value"])

    @property
    def number(self) -> float:
        """The value as a number, or the fault's default."""
        return float(self.value or _DEFAULTS[self.fault])


class Faults:
    """The faults ordered and not yet used up, in order. Any thread may add some."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, call: str, fault: str, *, times: int = 1, after: int = 0, value: str | float | None = None) -> Fault:
        """Order `fault` for the next `times` requests of `call` (or "*"), skipping the first `after` of them.

        Raises:
            ValueError: there is no such call or fault, or the value does not fit it.
        """
        order = Fault(call, fault, times=times, after=after, value=None if value is None else f"{value}")
        self.order(order)
        return order

    def order(self, fault: Fault) -> None:
        """Order a fault that is already described, from `Fault.parse` for example."""
        with self._lock:
            self._orders.append(fault)

    def clear(self) -> None:
        """Forget every order."""
        with self._lock:
            self._orders.clear()

    @property
    def pending(self) -> list[Fault]:
        """The orders not yet used up."""
        with self._lock:
            return list(self._orders)

    def take(self, call: str) -> Fault | None:
        """The fault that a request of `call` gets now. The first order that is due wins."""
        with self._lock:
            due: Fault | None = None
            for order in list(self._orders):
                if order.call not in (call, "*") or call not in ONLY.get(order.fault, (call,)):
                    continue
                if order.after:
                    order.after -= 1
                elif due is None:
                    due = order
                    order.times -= 1
                    if not order.times:
                        self._orders.remove(order)
            return due
