"""What a key's list of addresses lets through, as the gateway reads it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from comet_mcp.rules import is_ip

MOST_IPV4, MOST_IPV6 = 2**24, 2**112
"""The most addresses of a list that restricts anything: those of one /8, in IPv6 of one /16."""

_MAPPED = IPv6Network("::ffff:0:0/96")


def restricts(allow_ips: str | None) -> bool:
    """Whether the list lets only some addresses through.

    All its ranges count together: neither two /1 nor each second /8 are a restriction. Nor is a list of which nothing
    is an address: the gateway takes some of them for no list.
    """
    four, six = _networks(_entries(allow_ips))
    return (
        bool(four or six)
        and sum(net.num_addresses for net in collapse_addresses(four)) <= MOST_IPV4
        and sum(net.num_addresses for net in collapse_addresses(six)) <= MOST_IPV6
    )


def covers(allow_ips: str | None, other: str | None) -> bool:
    """Whether the list lets everything through that the other one does. None and "" let everything through."""
    entries, others = _entries(allow_ips), _entries(other)
    if not entries or entries == others:
        return True
    four, six = _networks(entries)
    other_four, other_six = _networks(others)
    if not (other_four or other_six):
        return False
    wide_four, wide_six = list(collapse_addresses(four)), list(collapse_addresses(six))
    return all(any(net.subnet_of(wide) for wide in wide_four) for net in other_four) and all(
        any(net.subnet_of(wide) for wide in wide_six) for net in other_six
    )


def _entries(allow_ips: str | None) -> list[str]:
    """One a line; spaces and commas vanish (measured: `a,b` becomes `ab`, and what is only commas is no list)."""
    lines = (allow_ips or "").replace(" ", "").replace(",", "").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _networks(entries: list[str]) -> tuple[list[IPv4Network], list[IPv6Network]]:
    """The ranges. What is no address matches nobody (measured: 403), an IPv4 address written as IPv6 is IPv4 (Go)."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for entry in entries:
        if not is_ip(entry):
            continue
        net = ip_network(entry, strict=False)
        if isinstance(net, IPv4Network):
            four.append(net)
        elif net.subnet_of(_MAPPED):
            four.append(IPv4Network((int(net.network_address) & 0xFFFFFFFF, net.prefixlen - 96)))
        else:
            six.append(net)
    return four, six
