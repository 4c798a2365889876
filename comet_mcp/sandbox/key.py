"""A row of the table of keys."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

ENABLED, DISABLED, EXPIRED, EXHAUSTED = 1, 2, 3, 4
"""What `status` means. Any other number is stored too, and the key does not work (measured)."""

_LENGTH = 48


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
    """Quota units that are left; falls below 0 where a call cost more than was left."""
    unlimited_quota: bool = False
    model_limits_enabled: bool = False
    model_limits: str = ""
    allow_ips: str | None = ""
    used_quota: int = 0
    """Quota units that were spent, or are reserved by calls in flight."""
    group: str = ""
    cross_group_retry: bool = False
    auto_groups: list[str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """The values of `Dialect.extra_fields`."""
    listed_from: float = field(default=0.0, repr=False)
    """Unix seconds from which lists and searches show the row (the fault `late`)."""

    @property
    def models(self) -> dict[str, bool]:
        """The model limits as the API reads them: split at commas, untrimmed (measured)."""
        return dict.fromkeys(self.model_limits.split(","), True) if self.model_limits else {}


def new_secret() -> str:
    """A key's value: 48 letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_LENGTH))


def masked(secret: str) -> str:
    """The key as gateways show it: its first and last four characters around ten asterisks."""
    return f"{secret[:4]}{'*' * 10}{secret[-4:]}"
