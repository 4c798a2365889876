"""How the servers that speak this API differ, as data: one `Dialect` per release, one field per difference."""

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ExtraField:
    """A field of a record that no documentation has, as releases to come may bring."""

    name: str
    default: Any = None
    """Its value in a key whose create did not name it, or whose create cannot."""
    on_create: bool = True
    """Whether a create sets it; elsewhere only an update does."""
    survives_put: bool = True
    """Whether a full update that leaves it out keeps it; elsewhere such an update resets it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of speaking the API; the defaults are CometAPI's documentation.

    The gateway dialects were measured on live new-api servers of three releases.
    """

    name: str

    # What a record shows.
    masked_keys: bool = False
    """Records hold `gLEC**********DQNw` instead of the whole key."""
    gateway_fields: bool = False
    """Records also hold `DeletedAt`."""
    auto_groups: bool = False
    """Records also hold `auto_groups` (null or a list; survives an update that leaves it out)."""
    extra_fields: tuple[ExtraField, ...] = ()
    """More fields of a record, of the sandbox's own making."""
    reveal: bool = False
    """`POST /api/token/{id}/key` and `/api/token/batch/keys` exist; elsewhere they are a wrong path (404)."""

    # What a create or update does.
    name_limit: Literal["characters", "bytes"] = "characters"
    """What is counted of a name; 50 are allowed. Bytes are those of UTF-8: 17 kanji are too many."""
    max_quota: int = 500_000_000_000_000
    """The largest budget of a key that is not unlimited, in quota units. Since 11 August 2026 what 32 bits hold."""
    groups_checked: bool = True
    """A group that is not the account's is refused at once; elsewhere it is stored and each use answers 403."""
    status_in_put: bool = True
    """A full PUT minds `status` in its body; elsewhere only `?status_only=1` does, and changes nothing else."""
    cross_group_retry_needs_auto: bool = False
    """`cross_group_retry` is stored as false unless the group is `auto`."""
    go_type: str = "model.Token"
    """How the message about a body that is no object names the structure."""
    go_path: str = "Token"
    """How the message about a field of the wrong type names the structure."""

    # Who is asking.
    user_header: Literal["ignored", "required"] = "ignored"
    """Whether `New-Api-User` must name the token's account."""
    bearer_in_any_case: bool = True
    """`bearer` and the like are taken as well; elsewhere only `Bearer` or nothing may precede the access token."""
    wrong_token_status: int = 401
    """HTTP status for a wrong access token."""
    wrong_token_code: str | None = None
    """`code` in the answer to a wrong or missing access token."""

    # What is written, and when.
    redis: bool = False
    """With Redis the statuses 3 and 4 are never written: an expired or exhausted key keeps 1 (measured)."""
    batch_seconds: float = 0
    """With batched updates records and the account's balance show what calls cost at the next multiple of so many
    seconds (measured: 5); reservations and a key's own usage query know it at once. 0 for at once everywhere."""

    # Lists and reports.
    page_cap: int = 100
    """Rows on a page at most, whatever `page_size` was asked."""
    page_fixed: int | None = None
    """Every page has so many rows, whatever `page_size` was asked."""
    quota_flow: bool = False
    """`GET /api/data/flow/self` exists, and rows of `/api/data/self` have its fields, empty (since 20 June 2026)."""
    log_models_like: bool = False
    """`model_name=` finds models in any case without a wildcard too; elsewhere then the exact name (measured)."""
    models_by_group: bool = False
    """`GET /api/user/models` minds `group=`."""

    # Everything else.
    search_pages: bool = False
    """Search answers a page and matches whole names, `%` being a wildcard; elsewhere a list, and parts of names."""
    usage_without_slash: bool = True
    """`GET /api/usage/token` answers; elsewhere it redirects to `/api/usage/token/`."""
    usage_when_disabled: bool = True
    """A disabled key may ask for its usage; elsewhere 401."""
    public_catalog: bool = True
    """`GET /api/models` needs no authorization and lists prices; elsewhere ids by channel type, for the account."""
    reasons_for_dead_keys: bool = False
    """A model call with a dead key says in Chinese why it is refused; elsewhere only `Invalid token`."""
    chinese_auth: bool = False
    """Refused authorization is explained in Chinese whatever the client's `Accept-Language`."""
    gzips: bool = False
    """Answers below /api are packed for clients that accept gzip."""
    retry_after: bool = False
    """A 429 carries `Retry-After`, in seconds."""


_GATEWAY_2026_03 = Dialect(
    name="gateway-2026-03",
    gateway_fields=True,
    name_limit="bytes",
    groups_checked=False,
    status_in_put=False,
    user_header="required",
    bearer_in_any_case=False,
    wrong_token_status=200,
    search_pages=True,
    usage_without_slash=False,
    public_catalog=False,
    reasons_for_dead_keys=True,
    gzips=True,
    chinese_auth=True,
    log_models_like=True,
)
_GATEWAY_2026_06 = replace(
    _GATEWAY_2026_03,
    name="gateway-2026-06",
    masked_keys=True,
    reveal=True,
    reasons_for_dead_keys=False,
    chinese_auth=False,
    log_models_like=False,
    quota_flow=True,
)
_GATEWAY = replace(
    _GATEWAY_2026_06,
    name="gateway",
    auto_groups=True,
    max_quota=2**31 - 1,
    cross_group_retry_needs_auto=True,
    go_type="controller.tokenRequest",
    go_path="tokenRequest.Token",
    user_header="ignored",
    bearer_in_any_case=True,
    wrong_token_status=401,
    wrong_token_code="AUTH_UNAUTHORIZED",
    usage_when_disabled=False,
    retry_after=True,
    models_by_group=True,
)

_GATEWAY_REDIS = replace(_GATEWAY, name="gateway-redis", redis=True)
_GATEWAY_BATCHED = replace(_GATEWAY_REDIS, name="gateway-batched", batch_seconds=5)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(name="documented"),
        _GATEWAY,
        _GATEWAY_2026_06,
        _GATEWAY_2026_03,
        _GATEWAY_REDIS,
        _GATEWAY_BATCHED,
    )
}
"""The dialects by name: `documented`, `gateway` (18 August 2026) and its releases of mid and March 2026, and that of
August as big installations run it: with Redis, and with Redis and batched updates."""


def dialect_named(name: str | Dialect, **changes: Any) -> Dialect:
    """The dialect of that name, with some of its fields changed; a `Dialect` is its own answer.

    Raises:
        ValueError: no dialect has that name; the message lists those there are.
        TypeError: a dialect has no field of that name.
    """
    if not isinstance(name, Dialect) and name not in DIALECTS:
        raise ValueError(f"There is no dialect {name!r}. The dialects are: {', '.join(DIALECTS)}.")
    dialect = name if isinstance(name, Dialect) else DIALECTS[name]
    return replace(dialect, **changes) if changes else dialect
