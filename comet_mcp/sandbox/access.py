"""What a key may do: who is refused a model call, and why."""

import ipaddress
from collections.abc import Iterable

from comet_mcp.sandbox.account import Account
from comet_mcp.sandbox.catalog import Model
from comet_mcp.sandbox.key import DISABLED, ENABLED, EXHAUSTED, EXPIRED, Key
from comet_mcp.sandbox.messages import Refused

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def admitted(account: Account, secret: str, ip: str) -> Key:
    """The key with that value, where it may call models from that address.

    Using a key past its expiry or without quota sets its status to 3 or 4, as on the live servers without Redis. One
    whose quota is all reserved at that moment stays exhausted, whatever comes back (measured).
    """
    with account.lock:
        row = account.find(secret) if secret else None
        if row is None:
            raise _dead(account, "key.invalid" if secret else "key.missing")
        _check_alive(account, row)
        allowed = addresses(row.allow_ips)
        if allowed and not _on_list(allowed, ip):
            raise Refused("key.ip", status=403, code="access_denied")
        if row.group and row.group not in account.groups:
            raise Refused("key.group", status=403, group=row.group)
        return row


def key_itself(account: Account, authorization: str) -> Key:
    """The key that asks about itself: expired and exhausted ones may, disabled ones by dialect."""
    if not authorization:
        raise Refused("key.missing", status=401)
    row = account.find(secret_in(authorization))
    if row is None:
        raise Refused("key.invalid", status=401)
    if row.status == DISABLED and not account.dialect.usage_when_disabled:
        raise Refused("key.disabled", status=401)
    return row


def usage_key(account: Account, authorization: str) -> Key:
    """The key that asks for its own usage, which takes it as a bearer only."""
    row = key_itself(account, authorization)
    words = authorization.split(" ")
    if len(words) != 2 or words[0] not in ("Bearer", "bearer"):
        raise Refused("key.not_bearer", status=401)
    return row


def secret_in(authorization: str) -> str:
    """The key in an `Authorization` header: what follows `Bearer` and `sk-`, either of which may be missing."""
    secret = authorization.removeprefix("Bearer ").removeprefix("bearer ").strip().removeprefix("sk-")
    # What a hyphen introduces chooses a channel of the gateway.
    return secret.split("-")[0]


def callable_models(account: Account, row: Key) -> list[Model]:
    """The models the key may call."""
    return [model for model in account.models if not row.model_limits_enabled or model.id in row.models]


def addresses(allow_ips: str | None) -> list[str]:
    """The entries of an address list: one a line; spaces and commas vanish (measured: `a,b` becomes `ab`)."""
    lines = (allow_ips or "").replace(" ", "").replace(",", "").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _on_list(entries: Iterable[str], ip: str) -> bool:
    address = _plain(ipaddress.ip_address(ip))
    for entry in entries:
        host, slash, bits = entry.partition("/")
        try:
            if slash and not (bits.isascii() and bits.isdecimal()):
                continue
            # Host bits may be set: 127.0.0.5/8 works there.
            if address in ipaddress.ip_network(entry if slash else _plain(ipaddress.ip_address(host)), strict=False):
                return True
        except ValueError:
            continue
    return False


def _plain(address: _Address) -> _Address:
    # ::ffff:127.0.0.1 is 127.0.0.1.
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _check_alive(account: Account, row: Key) -> None:
    if row.status == EXHAUSTED:
        raise _dead(account, "key.exhausted", row)
    if row.status == EXPIRED:
        raise _dead(account, "key.expired", row)
    if row.status != ENABLED:
        raise _dead(account, "key.disabled", row)
    if row.expired_time != -1 and row.expired_time < account.now():
        _write_status(account, row, EXPIRED)
        raise _dead(account, "key.expired", row)
    if not row.unlimited_quota and account.balances.left_of(row) <= 0:
        _write_status(account, row, EXHAUSTED)
        raise _dead(account, "key.just_exhausted", row)


def _write_status(account: Account, row: Key, status: int) -> None:
    if not account.dialect.redis:
        row.status = status


def _dead(account: Account, reason: str, row: Key | None = None) -> Refused:
    if not account.dialect.reasons_for_dead_keys:
        return Refused("key.invalid", status=401)
    if row is None:
        return Refused(reason, status=401)
    return Refused(reason, status=401, head=row.key[:3], tail=row.key[-3:], remain_quota=account.balances.left_of(row))
