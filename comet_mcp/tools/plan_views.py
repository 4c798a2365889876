"""What a plan returns: the body that create_api_key takes, and what is asked or said of it."""

from __future__ import annotations

from dataclasses import dataclass

from comet_mcp.tools.result import Result


@dataclass(kw_only=True, eq=False, repr=False)
class KeyBody(Result):
    """The arguments of create_api_key, as it takes them."""

    unpublished = frozenset(
        {
            "unlimited_quota",
            "model_limits_enabled",
            "model_limits",
            "allow_ips",
            "group",
            "cross_group_retry",
        }
    )

    name: str
    expired_time: int
    remain_quota: int
    unlimited_quota: bool
    model_limits_enabled: bool
    model_limits: str
    allow_ips: str | None
    group: str
    cross_group_retry: bool


@dataclass(kw_only=True, eq=False, repr=False)
class PlannedKey(Result):
    """A body for create_api_key, and what a key made from it would be. Nothing was created.

    Where something has to be asked first, `ask` has the sentences for it, and there is no body. `understood` says which
    names were taken for what was written. `checked` is what was looked at. `broken_rules` are those of the policy that
    refuse the body, and `nearest_allowed` is the one to send instead.
    `budget` is no promise of what the key costs at most: the API charges a call when it has ended, and one dear call
    may pass what is left (measured: $2.56 on a key of $0.02).
    """

    unpublished = frozenset({"budget", "ends", "understood", "checked", "broken_rules", "nearest_allowed"})

    create_api_key: KeyBody | None = None
    ask: list[str] | None = None
    budget: str | None = None
    ends: str | None = None
    understood: list[str] | None = None
    checked: list[str]
    broken_rules: list[str] | None = None
    nearest_allowed: KeyBody | None = None
    warnings: list[str] | None = None
