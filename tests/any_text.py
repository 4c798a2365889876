"""Any text: what hypothesis' own `text` gives, without a second of processor for it in a new clone."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy


def any_text(*, min_size: int = 0, max_size: int | None = None) -> SearchStrategy[str]:
    """All that UTF-8 can write, which is everything but surrogates; `text` tries each character to find that."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=max_size)
