from __future__ import annotations

from ipaddress import IPv4Network
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_mcp.domain.addresses import AddressList


def parse(*entries: str) -> AddressList:
    return AddressList.parse("\n".join(entries))


@given(st.lists(st.ip_addresses(v=4).map(str)), st.lists(st.ip_addresses(v=4).map(str), min_size=1))
def test_a_list_of_addresses_covers_exactly_its_parts(some: list[str], others: list[str]) -> None:
    assert parse(*some, *others).covers(parse(*others))
    assert parse(*others).covers(parse(*some, *others)) is (set(some) <= set(others))
    assert parse(*some, *others).restricts


NETWORKS = st.builds(
    lambda bits, number: str(IPv4Network((number << (32 - bits) & 0xFFFFFFFF, bits))),
    st.integers(0, 32),
    st.integers(0),
)


@given(st.lists(NETWORKS, max_size=6), NETWORKS)
def test_a_range_is_covered_exactly_where_each_of_its_addresses_is(networks: list[str], other: str) -> None:
    wanted = IPv4Network(other)
    outside = {wanted}
    for network in map(IPv4Network, networks):
        left: set[IPv4Network] = set()
        for part in outside:
            if part.subnet_of(network):
                continue
            left |= set(part.address_exclude(network)) if network.subnet_of(part) else {part}
        outside = left
    assert parse(*networks, "192.0.2.1").covers(parse(other)) is (outside <= {IPv4Network("192.0.2.1")})


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("::/0", "2001:db8::1"),
        ("::ffff:192.0.2.0/120", "192.0.2.7"),
        ("192.0.2.0/24", "::ffff:192.0.2.7"),
        ("2001:db8::/32", "2001:db8::/33"),
    ],
)
def test_versions_are_told_apart_as_the_gateway_does(wide: str, narrow: str) -> None:
    assert parse(wide).covers(parse(narrow))
    assert not parse("::/0").covers(parse("192.0.2.1"))
    assert not parse("0.0.0.0/0").covers(parse("2001:db8::1"))


def test_entries_are_sorted_by_what_they_let_through() -> None:
    entries = ("192.0.2.1", "abc", "10.0.0.0/8", "2001:db8::/32", "::/0", "192.0.2.0/24")
    assert parse(*entries).widest_first() == [
        "::/0",
        "10.0.0.0/8",
        "2001:db8::/32",
        "192.0.2.0/24",
        "192.0.2.1",
        "abc",
    ]


def test_what_is_no_address_as_it_stands_is_named_though_the_gateway_may_read_it() -> None:
    assert parse("192.0.2.1,", "abc", " 192.0.2.2 ", "10.0.0.0 /8", "10.0.0.0/8").wrong == [
        "192.0.2.1,",
        "abc",
        "10.0.0.0 /8",
    ]


@pytest.mark.long
def test_two_lists_of_two_hundred_thousand_entries_are_compared_in_seconds() -> None:
    one = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(0, 400_000, 2)]
    begun = process_time()
    wide, narrow = parse(*one), parse(*reversed(one))
    assert not wide.wrong
    assert wide.restricts
    assert wide.covers(narrow)
    assert process_time() - begun < 20  # an n x m comparison takes hours
