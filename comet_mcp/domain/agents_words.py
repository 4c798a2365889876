"""What a text for a language model has that no person is told, as regular expressions of Python and of JavaScript."""

from __future__ import annotations

CODE = r"^\[[a-z_]+\] "
"""The word for programs with which an error begins."""
ADVICE = (
    r"(?<!\S)(?:Tell the user|Do not call again|Do not ask|Never ask|Ask them|Call again"
    r"|A key that is made from recreate|It had expired: create_api_key)[^.]*\.(?:\s|$)"
)
"""Sentences that tell a language model what to do in its conversation."""
RAW = (
    r",? so remain_quota may be \d+ at most| \(expired_time \d+\)| To let it end in 30 days, set expired_time to \d+\."
)
"""Figures in the API's own units, which are said in dollars and days beside."""
TIME = r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
"""A time in UTC."""
AGAIN = rf"(UTC[+-]\d\d:\d\d|UTC) \({TIME}\)"
"""A zone at the end of a time in it, and the same time in UTC once more."""
