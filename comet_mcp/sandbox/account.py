"""The account behind the sandbox: its keys, groups and balance in memory, and what each call does to them.

No HTTP here. The rules are those measured on live servers; where servers differ, the `Dialect` decides.
"""

import secrets
import string
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from comet_mcp.sandbox.catalog import CATALOG, Model
from comet_mcp.sandbox.dialects import Dialect
from comet_mcp.sandbox.gojson import Kind
from comet_mcp.sandbox.messages import Refused

ENABLED, DISABLED, EXPIRED, EXHAUSTED = 1, 2, 3, 4
"""What `status` means. Any other number is stored too, and the key does not work (measured)."""

UNITS_PER_USD = 500_000
MAX_NAME = 50
MAX_KEYS = 1000
MAX_AUTO_GROUPS = 5
KEY_LENGTH = 48

BODY_FIELDS: dict[str, Kind] = {
    "id": "int",
    "user_id": "int",
    "key": "string",
    "status": "int",
    "name": "string",
    "created_time": "int64",
    "accessed_time": "int64",
    "expired_time": "int64",
    "remain_quota": "int",
    "unlimited_quota": "bool",
    "model_limits_enabled": "bool",
    "model_limits": "string",
    "allow_ips": "string",
    "used_quota": "int",
    "group": "string",
    "cross_group_retry": "bool",
}
"""Every field whose type every server checks in a create or update, with its Go type."""

# What a create or update sets, and what an omitted field becomes in an update.
_SETTABLE: dict[str, Any] = {
    "name": "",
    "expired_time": 0,
    "remain_quota": 0,
    "unlimited_quota": False,
    "model_limits_enabled": False,
    "model_limits": "",
    "allow_ips": None,
    "group": "",
    "cross_group_retry": False,
}


@dataclass(slots=True)
class Key:
    """A row of the table of keys, with the API's field names; tests read and change it."""

    id: int
    key: str = field(repr=False)
    """The whole key: 48 letters and digits, without `sk-`."""
    user_id: int = 1
    status: int = ENABLED
    name: str = ""
    created_time: int = 0
    """Unix seconds."""
    accessed_time: int = 0
    """Unix seconds."""
    expired_time: int = -1
    """Unix seconds; -1 for never."""
    remain_quota: int = 0
    """Quota units; 500,000 are one US dollar."""
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str | None = ""
    used_quota: int = 0
    """Quota units."""
    group: str = ""
    cross_group_retry: bool = False
    auto_groups: list[str] | None = None
    listed_from: float = field(default=0.0, repr=False)
    """`time.monotonic()` from which lists and searches show the row (the fault `late`)."""

    @property
    def models(self) -> dict[str, bool]:
        """The model limits as the API reads them: split at commas, untrimmed (measured)."""
        return dict.fromkeys(self.model_limits.split(","), True) if self.model_limits else {}


def new_secret() -> str:
    """A key's value: 48 letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(KEY_LENGTH))


class Account:
    """One account with its keys. Every method takes the lock, so any thread may call any of them."""

    def __init__(self, dialect: Dialect, clock: Callable[[], float]) -> None:
        self.dialect = dialect
        self.clock = clock
        self.lock = threading.RLock()
        self.user_id = 1
        self.username = "sandbox"
        self.group = "default"
        self.groups: dict[str, dict[str, Any]] = {
            "default": {"desc": "Default group", "ratio": 1},
            "vip": {"desc": "VIP group", "ratio": 0.8},
            "auto": {"desc": "Chooses a group by itself", "ratio": "自动"},
        }
        self.models: tuple[Model, ...] = CATALOG
        self.quota = 100 * UNITS_PER_USD
        self.used_quota = 0
        self.request_count = 0
        self.keys: list[Key] = []
        self.log: list[dict[str, Any]] = []
        self._next_id = 1

    def now(self) -> int:
        """The server's clock in whole Unix seconds."""
        return int(self.clock())

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
            self._check_body(sent)
            if len(self.keys) >= MAX_KEYS:
                raise Refused("keys.too_many", max=MAX_KEYS)
            values = _SETTABLE | {name: sent[name] for name in _SETTABLE if name in sent}
            # Measured: the table's defaults replace an expiry of 0 and an absent list of addresses.
            values["expired_time"] = values["expired_time"] or -1
            values["allow_ips"] = values["allow_ips"] or ""
            values |= self._group_fields(values, sent, None)
            return self.add(**values, listed_from=time.monotonic() + listed_in if listed_in else 0.0)

    def update(self, sent: dict[str, Any], *, status_only: bool) -> Key:
        """Change a key; what the body leaves out is reset, `status` aside."""
        with self.lock:
            self._check_body(sent)
            row = self.get(sent.get("id", 0))
            status = sent.get("status", 0)
            if status == ENABLED:
                self._check_can_enable(row)
            if status_only and not self.dialect.status_in_put:
                row.status = status
                return row
            values = _SETTABLE | {name: sent[name] for name in _SETTABLE if name in sent}
            values |= self._group_fields(values, sent, row.auto_groups)
            if self.dialect.status_in_put and "status" in sent:
                row.status = status
            for name, value in values.items():
                setattr(row, name, value)
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
        """Remove the key for good."""
        with self.lock:
            self.keys.remove(self.get(id))

    def find(self, secret: str) -> Key | None:
        """The key with that value, given without `sk-`."""
        with self.lock:
            return next((row for row in self.keys if row.key == secret), None)

    def newest_first(self) -> list[Key]:
        """The rows that lists and searches show."""
        with self.lock:
            shown = [row for row in self.keys if row.listed_from <= time.monotonic()]
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
            return shown

    def _check_body(self, sent: dict[str, Any]) -> None:
        name = sent.get("name", "")
        if self.dialect.name_limit == "bytes":
            if len(name.encode()) > MAX_NAME:
                raise Refused("name.too_long")
        elif len(name) > MAX_NAME:
            raise Refused("name.too_long.documented")
        if not sent.get("unlimited_quota", False):
            if sent.get("remain_quota", 0) < 0:
                raise Refused("quota.negative")
            if sent.get("remain_quota", 0) > self.dialect.max_quota:
                raise Refused("quota.too_large", max=self.dialect.max_quota)

    def _check_can_enable(self, row: Key) -> None:
        if row.status == EXPIRED and row.expired_time != -1 and row.expired_time <= self.now():
            raise Refused("enable.expired")
        if row.status == EXHAUSTED and row.remain_quota <= 0 and not row.unlimited_quota:
            raise Refused("enable.exhausted")

    def _group_fields(
        self, values: dict[str, Any], sent: dict[str, Any], auto_groups: list[str] | None
    ) -> dict[str, Any]:
        group = values["group"]
        if self.dialect.groups_checked and group and group not in self.groups:
            raise Refused("group.refused")
        if group != "auto":
            if self.dialect.cross_group_retry_needs_auto:
                return {"cross_group_retry": False, "auto_groups": None}
            return {}
        if self.dialect.auto_groups and "auto_groups" in sent:
            return {"auto_groups": self._checked_auto_groups(sent["auto_groups"])}
        return {"auto_groups": auto_groups}

    def _checked_auto_groups(self, wanted: Iterable[str]) -> list[str] | None:
        groups: list[str] = []
        names = list(wanted)
        if len(names) > MAX_AUTO_GROUPS:
            raise Refused("auto_groups.too_many", max=MAX_AUTO_GROUPS)
        for group in names:
            if group in groups:
                raise Refused("auto_groups.duplicate", group=group)
            if group == "auto" or group not in self.groups:
                raise Refused("auto_groups.invalid", group=group)
            groups.append(group)
        return groups or None


def masked(secret: str) -> str:
    """The key as gateways show it: its first and last four characters around ten asterisks."""
    return f"{secret[:4]}{'*' * 10}{secret[-4:]}"
