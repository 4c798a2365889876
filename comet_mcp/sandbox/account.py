"""The account behind the sandbox: its keys, groups and balance in memory, and what each call does to them.

No HTTP here. The rules are those measured on live servers; where servers differ, the `Dialect` decides.
"""

import threading
from collections.abc import Callable
from typing import Any

from comet_mcp.sandbox.agenda import Agenda
from comet_mcp.sandbox.balances import Balances
from comet_mcp.sandbox.catalog import CATALOG, Model
from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.fields import check, extra_on_create, extra_on_update, group_fields, settable
from comet_mcp.sandbox.key import ENABLED, EXHAUSTED, EXPIRED, Key, masked, new_secret
from comet_mcp.sandbox.messages import Refused
from comet_mcp.sandbox.settings import UNITS_PER_USD, Settings
from comet_mcp.sandbox.usage_log import EXPORT_SECONDS, Entry, UsageLog

MAX_KEYS = 1000
FIRST_BALANCE = 100 * UNITS_PER_USD
"""What a new account has, in quota units."""


class Account:
    """One account with its keys. Every method takes the lock, so any thread may call any of them."""

    def __init__(self, dialect: Dialect, clock: Callable[[], float], access_token: str) -> None:
        self.dialect = dialect
        self.clock = clock
        self.access_token = access_token
        self.lock = threading.RLock()
        self.settings = Settings()
        self.user_id = 1
        self.username = "sandbox"
        self.group = "default"
        self.groups: dict[str, dict[str, Any]] = {
            "default": {"desc": "Default group", "ratio": 1},
            "vip": {"desc": "VIP group", "ratio": 0.8},
            "auto": {"desc": "Chooses a group by itself", "ratio": "自动"},
        }
        self.models: tuple[Model, ...] = CATALOG
        self.keys: list[Key] = []
        self.agenda = Agenda()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with an empty database: no keys, ids from 1 on, no log, the first balance; the access token holds."""
        with self.lock:
            self.quota = FIRST_BALANCE
            self.used_quota = 0
            self.request_count = 0
            # The list stays the same object, for tests hold it.
            self.keys.clear()
            self.agenda.clear()
            self.log = UsageLog(self.dialect)
            self.balances = Balances(self, self.dialect.batch_seconds, self.clock)
            self.started = self.clock()
            self._next_id = 1

    def now(self) -> int:
        """The server's clock in whole Unix seconds."""
        return int(self.clock())

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        with self.lock:
            self.agenda.catch_up(self.clock())
            self.balances.write()

    @property
    def exported_until(self) -> float:
        """When the hourly sums were last written, in Unix seconds; each five minutes from the server's start on."""
        return self.started + (self.clock() - self.started) // EXPORT_SECONDS * EXPORT_SECONDS

    @property
    def max_quota(self) -> int:
        """The largest budget of a key that is not unlimited, in quota units."""
        return self.settings.largest_budget(self.dialect.max_quota)

    def add(self, name: str = "", **fields: Any) -> Key:
        """Put a row into the table directly, unchecked; `fields` override the defaults of a fresh key."""
        with self.lock:
            row = Key(
                id=self._next_id,
                key=new_secret(),
                name=name,
                user_id=self.user_id,
                created_time=self.now(),
                accessed_time=self.now(),
                extra=extra_on_create({}, self.dialect),
            )
            for attribute, value in fields.items():
                if attribute not in Key.__dataclass_fields__:
                    raise TypeError(f"A key has no field {attribute!r}.")
                setattr(row, attribute, value)
            self._next_id = max(self._next_id, row.id) + 1
            self.keys.append(row)
            return row

    def create(self, sent: dict[str, Any], *, listed_in: float = 0.0) -> Key:
        """Make the key a create asks for. Lists show it after `listed_in` seconds."""
        with self.lock:
            values = self._created(sent)
            return self.add(**values, listed_from=self.clock() + listed_in if listed_in else 0.0)

    def create_later(self, sent: dict[str, Any], seconds: float) -> None:
        """Check a create now, and make its key so many seconds later."""
        with self.lock:
            values = self._created(sent)

            def make(time: float) -> None:
                self.add(**values, created_time=int(time), accessed_time=int(time))

            self.agenda.add(self.clock() + seconds, make)

    def update(self, sent: dict[str, Any], *, status_only: bool) -> Key:
        """Change a key; what the body leaves out is reset, `status` aside."""
        with self.lock:
            check(sent, self.dialect, self.max_quota)
            row = self.get(sent.get("id", 0))
            status = sent.get("status", 0)
            if status == ENABLED:
                self._check_can_enable(row)
            if status_only and not self.dialect.status_in_put:
                row.status = status
                return row
            values = settable(sent) | group_fields(sent, row.auto_groups, self.dialect, self.groups)
            if self.dialect.status_in_put and "status" in sent:
                row.status = status
            for name, value in values.items():
                setattr(row, name, value)
            row.extra = extra_on_update(sent, row.extra, self.dialect)
            return row

    def get(self, id: int) -> Key:
        """The key with that id."""
        with self.lock:
            if id == 0:
                raise Refused("id.empty")
            for row in self.keys:
                if row.id == id:
                    return row
            raise Refused("id.not_found")

    def delete(self, id: int) -> None:
        """Remove the key for good. Its calls in flight go on, and are billed to the account."""
        with self.lock:
            self.keys.remove(self.get(id))

    def find(self, secret: str) -> Key | None:
        """The key with that value, given without `sk-`."""
        with self.lock:
            return next((row for row in self.keys if row.key == secret), None)

    def newest_first(self) -> list[Key]:
        """The rows that lists and searches show."""
        with self.lock:
            shown = [row for row in self.keys if row.listed_from <= self.clock()]
            return sorted(shown, key=lambda row: row.id, reverse=True)

    def record(self, row: Key) -> dict[str, Any]:
        """The row as the API shows it."""
        with self.lock:
            shown = {
                "id": row.id,
                "user_id": row.user_id,
                "key": masked(row.key) if self.dialect.masked_keys else row.key,
                "status": row.status,
                "name": row.name,
                "created_time": row.created_time,
                "accessed_time": row.accessed_time,
                "expired_time": row.expired_time,
                "remain_quota": row.remain_quota,
                "unlimited_quota": row.unlimited_quota,
                "model_limits_enabled": row.model_limits_enabled,
                "model_limits": row.model_limits,
                "allow_ips": row.allow_ips,
                "used_quota": row.used_quota,
                "group": row.group,
                "cross_group_retry": row.cross_group_retry,
            }
            if self.dialect.gateway_fields:
                shown["DeletedAt"] = None
            if self.dialect.auto_groups:
                shown["auto_groups"] = row.auto_groups
            return shown | row.extra

    def note(self, **fields: Any) -> Entry:
        """Add a row to the log; `fields` override the defaults of an `Entry`."""
        with self.lock:
            always: dict[str, Any] = {"user_id": self.user_id, "created_at": self.now(), "username": self.username}
            entry = Entry(**always | fields)
            self.log.entries.append(entry)
            return entry

    def _created(self, sent: dict[str, Any]) -> dict[str, Any]:
        check(sent, self.dialect, self.max_quota)
        if len(self.keys) >= MAX_KEYS:
            raise Refused("keys.too_many", max=MAX_KEYS)
        values = settable(sent)
        # Measured: the table's defaults replace an expiry of 0 and an absent list of addresses.
        values["expired_time"] = values["expired_time"] or -1
        values["allow_ips"] = values["allow_ips"] or ""
        values["extra"] = extra_on_create(sent, self.dialect)
        return values | group_fields(sent, None, self.dialect, self.groups)

    def _check_can_enable(self, row: Key) -> None:
        if row.status == EXPIRED and row.expired_time != -1 and row.expired_time <= self.now():
            raise Refused("enable.expired")
        if row.status == EXHAUSTED and row.remain_quota <= 0 and not row.unlimited_quota:
            raise Refused("enable.exhausted")
