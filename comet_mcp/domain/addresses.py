"""The list of IP addresses of a key: what it names, and what it lets through, as the gateway reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Self

MOST_IPV4, MOST_IPV6 = 2**24, 2**112
"""The most addresses of a list that restricts anything: those of one /8, in IPv6 of one /16."""

_MOST = {4: MOST_IPV4, 6: MOST_IPV6}
_BITS = {4: 32, 6: 128}
_MAPPED = int(IPv6Address("::ffff:0:0"))
"""The first of the 2**32 IPv6 addresses that mean IPv4 ones."""


class _Range(NamedTuple):
    """Adjoining addresses of one version of IP, as whole numbers, the last one included."""

    version: int
    first: int
    last: int


@dataclass(frozen=True)
class AddressList:
    """The entries of `allow_ips`, trimmed, each once, as they were written."""

    entries: tuple[str, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """The list of these entries."""
        return cls(tuple(dict.fromkeys(entry.strip() for entry in entries)))

    @classmethod
    def parse(cls, allow_ips: str | None) -> AddressList:
        """The list that the API's text has, one entry a line. None and "" are no list: they let everything through."""
        return _parsed(allow_ips or "")

    @property
    def text(self) -> str:
        """The list in the API's form."""
        return "\n".join(self.entries)

    @property
    def wrong(self) -> list[str]:
        """The entries that are no address or range. The API stores them; most lock everybody out (measured: 403)."""
        return [
            entry
            for entry, its_range in zip(self.entries, self._ranges, strict=True)
            if its_range is None or _as_read(entry) != entry
        ]

    @property
    def restricts(self) -> bool:
        """Whether it lets only some addresses through.

        All ranges count together: neither two /1 nor each second /8 are a restriction. Nor is a list of which nothing
        is an address: the gateway takes some of them for no list.
        """
        sums = {4: 0, 6: 0}
        for version, first, last in self._merged:
            sums[version] += last - first + 1
        return bool(self._merged) and all(sums[version] <= most for version, most in _MOST.items())

    def covers(self, other: AddressList) -> bool:
        """Whether it lets everything through that the other one does."""
        if not any(map(_as_read, self.entries)) or self.entries == other.entries:
            return True
        return bool(other._merged) and _merge([*self._merged, *other._merged]) == self._merged

    def widest_first(self) -> list[str]:
        """The entries by how many addresses they let through; what is no address comes last."""
        shares = {
            entry: 0.0 if its is None else (its.last - its.first + 1) / _MOST[its.version]
            for entry, its in zip(self.entries, self._ranges, strict=True)
        }
        return sorted(self.entries, key=lambda entry: -shares[entry])

    @cached_property
    def _ranges(self) -> tuple[_Range | None, ...]:
        """What each entry lets through; None where it is no address, which lets nobody through (measured: 403)."""
        return tuple(map(_range_of, self.entries))

    @cached_property
    def _merged(self) -> list[_Range]:
        """All that it lets through."""
        return _merge(its for its in self._ranges if its is not None)


@lru_cache(maxsize=4)
def _parsed(text: str) -> AddressList:
    """One call judges the same text several times, and it may have 200,000 lines."""
    return AddressList.of(line for line in text.split("\n") if line.strip())


def _merge(ranges: Iterable[_Range]) -> list[_Range]:
    """The same addresses, sorted, in ranges without overlaps and seams."""
    merged: list[_Range] = []
    for found in sorted(ranges):
        before = merged[-1] if merged else None
        if before and before.version == found.version and found.first <= before.last + 1:
            merged[-1] = before._replace(last=max(before.last, found.last))
        else:
            merged.append(found)
    return merged


def _as_read(entry: str) -> str:
    """Spaces and commas vanish (measured: `a,b` becomes `ab`, and what is only commas is no list)."""
    return entry.replace(" ", "").replace(",", "").strip()


def _range_of(entry: str) -> _Range | None:
    """What Go's ParseIP and ParseCIDR read: no zone, no netmask in dots; host bits may be set.

    An IPv4 address that is written as IPv6 is IPv4.
    """
    address, slash, prefix = _as_read(entry).partition("/")
    if "%" in address or (slash and not re.fullmatch(r"[0-9]{1,3}", prefix)):
        return None
    version = 6 if ":" in address else 4
    try:
        number = int(IPv6Address(address) if version == 6 else IPv4Address(address))
    except ValueError:
        return None
    free = _BITS[version] - int(prefix) if slash else 0
    if free < 0:
        return None
    first = number >> free << free
    last = first + (1 << free) - 1
    if version == 6 and first >= _MAPPED and last < _MAPPED + 2**32:
        return _Range(4, first - _MAPPED, last - _MAPPED)
    return _Range(version, first, last)
