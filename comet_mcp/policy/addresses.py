"""What a key's list of addresses lets through, as the gateway reads it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

WIDEST_IPV4, WIDEST_IPV6 = 8, 16
"""The shortest prefix of a range that still restricts anything."""

_MAPPED = IPv6Network("::ffff:0:0/96")


def restricts(allow_ips: str | None) -> bool:
    """Whether the list lets only some addresses through. A /0 written as two /1 does not."""
    if not (allow_ips or "").strip():
        return False
    four, six = _networks(allow_ips)
    return all(net.prefixlen >= WIDEST_IPV4 for net in collapse_addresses(four)) and all(
        net.prefixlen >= WIDEST_IPV6 for net in collapse_addresses(six)
    )


def covers(allow_ips: str | None, other: str | None) -> bool:
    """Whether the list lets everything through that the other one does. None and "" let everything through."""
    if not (allow_ips or "").strip():
        return True
    if not (other or "").strip():
        return False
    four, six = _networks(allow_ips)
    other_four, other_six = _networks(other)
    wide_four, wide_six = list(collapse_addresses(four)), list(collapse_addresses(six))
    return all(any(net.subnet_of(wide) for wide in wide_four) for net in other_four) and all(
        any(net.subnet_of(wide) for wide in wide_six) for net in other_six
    )


def _networks(allow_ips: str | None) -> tuple[list[IPv4Network], list[IPv6Network]]:
    """The ranges. What is no address matches nobody (measured: 403), an IPv4 address written as IPv6 is IPv4 (Go)."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for entry in (allow_ips or "").splitlines():
        try:
            net = ip_network(entry.strip(), strict=False)
        except ValueError:
            continue
        if isinstance(net, IPv4Network):
            four.append(net)
        elif net.subnet_of(_MAPPED):
            four.append(IPv4Network((int(net.network_address) & 0xFFFFFFFF, net.prefixlen - 96)))
        else:
            six.append(net)
    return four, six
