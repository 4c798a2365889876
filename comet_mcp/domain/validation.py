"""What a key's settings must be, checked before anything is sent.

The API accepts nearly everything in silence: a past expiry, an IP list that matches nobody, a model list it
ignores. Each rule below refuses or warns, and names where it was learned ("measured" is on a live gateway).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from comet_mcp.domain.key import KeySpec
from comet_mcp.domain.lifetimes import CENTURY, NEVER, seconds_from, when
from comet_mcp.domain.money import MAX_QUOTA_NEWER, Units
from comet_mcp.errors import ArgumentError
from comet_mcp.text import quoted

MAX_NAME = 50
"""Longest name in bytes of UTF-8 (measured on every live release; documented are characters)."""

LONGEST_GIVEN = 500
"""Longest name in characters that is answered with one that fits."""

MAX_ENTRIES = 1_000
"""Most entries of either list. No catalog has so many models, and what judges a list looks at each."""

MAX_TEXT = 65_535
"""Longest of any text in characters: what a TEXT column, as the gateway has for its lists, can hold of ASCII."""

_MONTH = 30 * 86_400
_TEN_YEARS = 10 * 365 * 86_400
_LINE_BREAKS = ("Zl", "Zp")
_IP_FORM = (
    "allow_ips is one string with an entry per line, each an IPv4 or IPv6 address or CIDR range: "
    '"198.51.100.10\\n203.0.113.0/24\\n2001:db8::/32"; "" allows every address.'
)


def check_new_key(body: KeySpec, now: float, units: Units, *, known: Collection[str] = ()) -> tuple[KeySpec, list[str]]:
    """The body as it is to be sent, and warnings about what it will do.

    Only white space and doubles inside the two lists are changed.

    Args:
        body: What the caller asked for; types and bounds are already checked.
        now: Unix seconds.
        units: What a quota unit is worth.
        known: Ids of models that the API lists, whatever they look like.

    Raises:
        ArgumentError: The key would not do what was asked for; the message says what to send instead.
    """
    check_name(body.name)
    body = _with_models(_with_addresses(body), known)
    if body.model_limits and not body.model_limits_enabled:
        # documented: "when false, model_limits is ignored"; measured: every model is then allowed
        raise ArgumentError(
            "model_limits is set but model_limits_enabled is false, so the API would ignore the list and allow every "
            'model. Send model_limits_enabled true to restrict the key, or model_limits "" to allow every model.'
        )
    return body, [
        *_quota_warnings(body, units, new=True),
        *_expiry_warnings(body.expired_time, now, new=True),
        *_scope_warnings(body),
    ]


def check_changed_key(
    before: KeySpec, body: KeySpec, named: Collection[str], now: float, units: Units, *, known: Collection[str] = ()
) -> tuple[KeySpec, list[str]]:
    """The body as it is to be written over a key that is `before`, and warnings.

    Only what changes is judged: a key that is odd already can still be changed elsewhere.

    Args:
        before: The key's settings.
        body: What they are to be.
        named: The fields that the caller named, also those that would stay as they are.
        now: Unix seconds.
        units: What a quota unit is worth.
        known: Ids of models that the API lists, whatever they look like.

    Raises:
        ArgumentError: The key would not do what was asked for; the message says what to send instead.
    """
    changed = {name for name in KeySpec.model_fields if getattr(before, name) != getattr(body, name)}
    warnings: list[str] = []
    if "name" in changed:
        check_name(body.name)
    if "model_limits" in changed:
        body = _with_models(body, known)
    if "allow_ips" in changed:
        body = _with_addresses(body)
    _check_effect(before, body, changed, named)
    if "expired_time" in changed:
        warnings += _expiry_warnings(body.expired_time, now, new=False)
    if changed & {"remain_quota", "unlimited_quota"}:
        warnings += _quota_warnings(body, units, new=False)
    if changed & {"model_limits", "model_limits_enabled", "group", "cross_group_retry"}:
        warnings += _scope_warnings(body)
    return body, warnings


def _check_effect(before: KeySpec, body: KeySpec, changed: Collection[str], named: Collection[str]) -> None:
    """Refuse a list of models that would do nothing, and a budget of nothing that nobody asked for."""
    means_models = "model_limits" in changed or ("model_limits" in named and "model_limits_enabled" not in named)
    if body.models.ids and not body.model_limits_enabled and means_models:
        raise ArgumentError(
            "model_limits has no effect on this key while model_limits_enabled is false: it may call every model. Send "
            "model_limits_enabled true too."
        )
    if before.unlimited_quota and not body.unlimited_quota and body.remain_quota <= 0 and "remain_quota" not in named:
        raise ArgumentError(
            "With unlimited_quota false the key would have nothing to spend. Send remain_quota or add_budget_usd too."
        )


def _scope_warnings(body: KeySpec) -> list[str]:
    models, warnings = body.models.ids, []
    if body.model_limits_enabled and not models:
        warnings.append("model_limits_enabled is true and model_limits is empty: the key can call no model.")
    if models and not body.model_limits_enabled:
        warnings.append("model_limits_enabled is false: the API ignores model_limits and allows every model.")
    if body.cross_group_retry and body.group != "auto":
        warnings.append('cross_group_retry does something only with group "auto"; some releases store it as false.')
    return warnings


def check_name(name: str) -> None:
    """Refuse a name that the API would not take, or that a list would show as another one. Raises ArgumentError."""
    if not name.strip():
        raise ArgumentError("name is empty. Give the key a name that says what it is for.")
    if any(unicodedata.category(char) in ("Cc", *_LINE_BREAKS) for char in name):
        # measured: stored as sent; a list or a question to a person would show another name than the key's
        raise ArgumentError("name has a line break or another control character. Give a name of one line without any.")
    length = len(name.encode(errors="surrogatepass"))
    if length > MAX_NAME:
        raise ArgumentError(
            f"name has {length} bytes of UTF-8; the API allows {MAX_NAME}. {quoted(fitting_name(name))} fits."
        )


def fitting_name(name: str) -> str:
    """The beginning of a name that is short enough, cut between characters."""
    cut = name.encode(errors="surrogatepass")[:MAX_NAME]
    return cut.decode(errors="ignore").rstrip(" \u200d")  # no joiner without what it joins


def _with_models(body: KeySpec, known: Collection[str]) -> KeySpec:
    """The body with its list of models in the API's form. Raises ArgumentError for an entry that is no model id."""
    models = body.models
    check_size("model_limits", models.ids, models.text)
    if wrong := [entry for entry in models.wrong if entry not in known]:
        raise ArgumentError(
            f"model_limits has the entry {quoted(wrong[0])}, which is no model id. "
            "model_limits is one string of ids separated by commas; list_models has the account's."
        )
    return body.model_copy(update={"model_limits": models.text})


def _with_addresses(body: KeySpec) -> KeySpec:
    """The body with its list of addresses in the API's form; None stays None.

    The API stores anything, and what is no address locks everybody out (measured: 403).

    Raises:
        ArgumentError: An entry is no address or range.
    """
    check_size("allow_ips", body.addresses.entries, body.addresses.text)
    if wrong := body.addresses.wrong:
        entry = wrong[0]
        separator = " Separate entries by line breaks, not commas or spaces." if re.search(r"[,;\s]", entry) else ""
        raise ArgumentError(
            f"allow_ips has the entry {quoted(entry)}, which is no IP address or range.{separator} {_IP_FORM}"
        )
    return body if body.allow_ips is None else body.model_copy(update={"allow_ips": body.addresses.text})


def check_size(field: str, entries: Collection[str], text: str) -> None:
    """Refuse a list that is too long. Raises ArgumentError."""
    if len(entries) > MAX_ENTRIES or len(text) > MAX_TEXT:
        raise ArgumentError(
            f"{field} has {len(entries)} of at most {MAX_ENTRIES} entries, and {len(text)} of at most {MAX_TEXT} "
            "characters. Give fewer or shorter ones."
        )


def _expiry_warnings(expired_time: int, now: float, *, new: bool) -> list[str]:
    if expired_time == NEVER:
        return [f"The key never expires. To let it end in 30 days, set expired_time to {int(now) + _MONTH}."]
    if expired_time == 0:
        # measured: 0 means never on create, and expired in 1970 on update
        raise ArgumentError(
            "expired_time 0 means never to the API when a key is created, and 1970 when it is changed. Send -1 for a "
            f"key that never expires, or a future time in Unix seconds; 30 days from now is {int(now) + _MONTH}."
        )
    if (meant := seconds_from(expired_time, now)) is not None:
        seconds, unit = meant
        raise ArgumentError(
            f"expired_time {expired_time} looks like {unit}; in seconds it is {seconds}, {when(seconds)}."
        )
    if expired_time > now + CENTURY:
        raise ArgumentError(
            f"expired_time {expired_time} is more than a hundred years away. Send Unix seconds, or -1 for never."
        )
    if 0 < expired_time < _TEN_YEARS:
        raise ArgumentError(
            f"expired_time {expired_time} is {when(expired_time)}. If that many seconds from now were meant, send "
            f"{int(now) + expired_time}."
        )
    if expired_time <= now:
        past = f"expired_time {expired_time} is in the past ({when(expired_time)})"
        if new:
            raise ArgumentError(
                f"{past}, so the key would never work. Send -1 for a key that never expires, or a future time in Unix "
                f"seconds; 30 days from now is {int(now) + _MONTH}."
            )
        return [f"{past}: the key is refused from now on."]
    return []


def _quota_warnings(body: KeySpec, units: Units, *, new: bool) -> list[str]:
    quota = body.remain_quota
    if body.unlimited_quota:
        warnings = ["unlimited_quota is true: the key can spend the account's whole balance."]
        if quota:
            warnings.append(f"remain_quota {quota} has no effect while unlimited_quota is true.")
        return warnings
    if quota == 0:
        # documented: "model requests are refused as exhausted"; usage queries still work
        refused = "remain_quota is 0 and unlimited_quota false: every model request of the key will be refused."
        return [f"{refused} Set it with update_api_key." if new else refused]
    if quota > MAX_QUOTA_NEWER:
        most = f"at most {MAX_QUOTA_NEWER} quota units ({units.usd(MAX_QUOTA_NEWER)}) for one key"
        return [f"Newer releases of the API allow {most}, and may refuse this."]
    if quota < units.per_usd // 100:
        unit = f"the unit is 1/{units.per_usd:,} USD"
        meant = f"If dollars were meant, ${quota} is {quota * units.per_usd}"
        return [f"remain_quota {quota} is only {units.usd(quota)}: {unit}. {meant}."]
    return []
