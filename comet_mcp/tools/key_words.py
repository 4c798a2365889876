"""A key in words and dollars: the same ones in every result that speaks of one.

What a key does not limit is said ("any", "never", "unlimited"), not left out: nobody has to know the API's defaults.
"""

from __future__ import annotations

import re
from decimal import Decimal

from comet_mcp.domain.addresses import AddressList
from comet_mcp.domain.forecast import HOUR, Forecast
from comet_mcp.domain.key import Key
from comet_mcp.domain.lifetimes import expiry, when
from comet_mcp.domain.models import ModelList
from comet_mcp.domain.money import Units
from comet_mcp.text import quoted

ANY, NONE, UNUSED = "any", "none", "never"

_LEFT = re.compile(r"(-?)\$([\d,.]+)(?: of \$([\d,.]+))? left")
_LONGEST = 200
"""Characters of a name: the API's own have 50 bytes."""


def words_of(row: Key, units: Units, now: float) -> dict[str, str]:
    """What a key is and may do, by the field's word. `now` is in Unix seconds."""
    return {
        "state": row.state(now).word,
        "ends": expiry(row.expired_time),
        "budget": budget(row, units),
        "spent": units.cost(row.used_quota),
        "last_used": last_used(row),
        "models": models(row),
        "addresses": ", ".join(AddressList.parse(row.allow_ips).entries) or ANY,
        "group": row.group or NONE,
    }


def budget(row: Key, units: Units) -> str:
    """What the key may still spend, "$4.98 of $5.00 left"; only the first figure while nothing is spent."""
    if row.unlimited_quota:
        return "unlimited"
    of = f" of {units.usd(row.total)}" if row.used_quota else ""
    return f"{units.usd(row.remain_quota)}{of} left"


def left_of(words: str) -> tuple[Decimal, Decimal] | None:
    """The dollars that a budget in words has left, and those it had; None where it has no limit."""
    found = _LEFT.fullmatch(words)
    if found is None:
        return None
    left = Decimal(found[2].replace(",", "")) * (-1 if found[1] else 1)
    return left, Decimal(found[3].replace(",", "")) if found[3] else left


def runs_out(found: Forecast | None, units: Units) -> str | None:
    """When something is used up, and by which pace: "about 2026-12-03T05:00:00Z at $0.40 a day"."""
    if found is None:
        return None
    pace = round(found.pace, 2 - len(str(found.pace)))
    return f"about {when(found.at // HOUR * HOUR)} at {units.usd(pace)} {'a day' if found.each == 'day' else 'an hour'}"


def dry_of(words: str) -> tuple[str, str]:
    """The time and the pace of `runs_out`: "2026-12-03T05:00:00Z", "at $0.40 a day"."""
    time, _, pace = words.removeprefix("about ").partition(" ")
    return time, pace


def models(row: Key) -> str:
    """The models that the key may call; a list that the API does not mind is named, and said to be so."""
    listed = ", ".join(ModelList.parse(row.model_limits).ids)
    if row.model_limits_enabled:
        return listed or NONE
    return f"{ANY}; a list that is switched off: {listed}" if listed else ANY


def last_used(row: Key) -> str:
    """When a model was last called, "never" where none was."""
    return UNUSED if row.is_unused else when(row.accessed_time)


def changes_of(before: Key, after: Key, units: Units, now: float) -> dict[str, str]:
    """What of a key is another now, as "old -> new" by the field's word; its spending is no change."""
    old, new = words_of(before, units, now), words_of(after, units, now)
    pairs = {
        "name": (quoted(before.name, _LONGEST), quoted(after.name, _LONGEST)),
        **{word: (old[word], new[word]) for word in ("state", "ends", "models", "addresses", "group")},
        "cross_group_retry": (_yes(before.cross_group_retry), _yes(after.cross_group_retry)),
    }
    if before.unlimited_quota != after.unlimited_quota or (not after.unlimited_quota and before.total != after.total):
        pairs["budget"] = (_left(before, units), _left(after, units))
    return {word: f"{was} -> {is_now}" for word, (was, is_now) in pairs.items() if was != is_now}


def _left(row: Key, units: Units) -> str:
    return "unlimited" if row.unlimited_quota else f"{units.exact(row.remain_quota)} left"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
