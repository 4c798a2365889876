"""Names of models and groups as people write them: "GPT 4.1 Mini" is gpt-4.1-mini.

Case, spaces, dots, hyphens and the order of whole words do not count; numbers stay in their order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable


class KnownNames:
    """The names there are, to be found by what people write."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._by_form: dict[object, list[str]] = defaultdict(list)
        for name in self._names:
            for form in _forms(name):
                self._by_form[form].append(name)

    def matching(self, written: str) -> list[str]:
        """The names that this can be: the very one, else those that differ in nothing that counts."""
        if written in self._names:
            return [written]
        return next((found for form in _forms(written) if (found := self._by_form.get(form))), [])


def _forms(name: str) -> tuple[object, ...]:
    """What two spellings of a name have in common, the closer likeness first."""
    words = re.findall(r"[^\W_]+", name.casefold())
    numbers = tuple(word for word in words if word.isdigit())
    others = tuple(sorted(word for word in words if not word.isdigit()))
    return ("".join(words), (others, numbers)) if words else ()
