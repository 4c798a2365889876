"""What the API sets aside for a model call at its start: where less is left, it refuses the call (measured: 403).

It is `max(tokens of the prompt, 500) + max_tokens` tokens at the model's price in the key's group, or a fixed price. So
there is a least sum without which no call of a model is made, though the key is enabled and lists its models.
"""

from __future__ import annotations

from decimal import Decimal

from comet_mcp.domain.money import Units

LEAST_TOKENS = 500
"""A shorter prompt is taken for so many tokens (measured)."""

LEAST_OF_GPT_4O = 625
"""Quota units for any call of gpt-4o (measured), for where the API tells no prices."""

_RATIO_1 = 2
"""US dollars for a million tokens at a ratio of 1: a quota unit a token, whatever a dollar's units are (measured)."""


def least_reserved(
    *, input_price: float | None, per_request: float | None, group_ratio: float, units: Units
) -> int | None:
    """The quota units that the cheapest call of a model reserves; None where its price is not known.

    Args:
        input_price: US dollars for a million tokens of a prompt.
        per_request: US dollars for a call, where that is its price.
        group_ratio: What the key's group pays of a price.
        units: What a quota unit is worth.
    """
    ratio = Decimal(str(group_ratio))
    if per_request is not None:
        return int(Decimal(str(per_request)) * units.per_usd * ratio)
    if input_price is None:
        return None
    return int(LEAST_TOKENS * Decimal(str(input_price)) / _RATIO_1 * ratio)
