"""Names of settings that nobody would read: mistyped ones, and right ones in a wrong place. None is ignored in silence.

The tables [mcp] and [policy] of the config file and the variables COMETAPI_MCP_... are ours alone, so whatever stands
there has to be a setting. The top of the file, its other tables and the other variables COMETAPI_... belong to the
official cli too: only what is a setting elsewhere, or is spelt nearly like one, is taken for ours there. The table of
a profile is judged as the top of the file is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice
from typing import Any

from comet_mcp.text import quoted

_VENDOR = "COMETAPI_"
_OURS = "COMETAPI_MCP"
PROFILES = "profiles"
"""The table of the config file that has those of the profiles."""
_TOP = "at the top of the config file, above the first [table]"
_LIKE = 0.6
"""How alike a mistyped name and a setting are, where only settings may stand."""
_NEARLY = 0.85
"""The same where names of others stand too."""
_MOST_NAMED = 20
"""Each of them is in the answer to every call, and one is enough to refuse it."""
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Stray:
    """A name that is not read, in a sentence with the fix; `table` has the setting that was meant, "" for none."""

    table: str
    text: str


class Names:
    """Where each setting stands.

    Args:
        keys: The dotted key in the config file of each variable, "" where it has none.
        guards: The variables that hold agents back. Without the MCP in their names they are taken for ours too.
    """

    def __init__(self, keys: Mapping[str, str], guards: Collection[str]) -> None:
        self._table = {key.rpartition(".")[2]: key.rpartition(".")[0] for key in keys.values() if key}
        self._tables = [table for table in dict.fromkeys(self._table.values()) if table]
        self._keys = keys
        self._guards = {variable.replace(f"{_OURS}_", _VENDOR) for variable in guards}
        self._guard_keys = [keys[variable].rpartition(".")[2] for variable in guards]
        self._by_word = {_word(variable): variable for variable in keys}
        self._alone = [_word(variable) for variable in (*guards, *(name for name in keys if _OURS not in name))]

    def strays(
        self, environ: Mapping[str, str], config: Mapping[str, Any], profile: str = "", own: Mapping[str, Any] = _EMPTY
    ) -> list[Stray]:
        """Each name in the environment, in the parsed config file and in the table of a profile that is not read.

        Args:
            environ: All variables.
            config: What is in the config file.
            profile: The dotted name of the profile's table, "" for none.
            own: What is in that table.
        """
        top = {name: value for name, value in config.items() if name != PROFILES or not isinstance(value, dict)}
        in_files = chain(self._in_file(top, ""), self._in_file(own, profile))
        return list(islice(chain(in_files, self._in_environment(environ)), _MOST_NAMED))

    def _in_file(self, config: Mapping[str, Any], above: str) -> Iterator[Stray]:
        """What is not read in the file, or in the table `above` of a profile."""
        for name, value in config.items():
            table = name if name in self._tables else self._nearest_table(name)
            if name in self._tables and isinstance(value, dict):
                yield from (self._in_table(key, name, above) for key in value if self._table.get(key) != name)
            elif name in self._tables or (table and table == _folded(name)):
                written = f"must be a table that is written [{_dotted(above, table)}]"
                yield Stray(table, f"{quoted(name)} in the config file {written}.")
            elif not _is_table(value):
                yield from self._in_top(name, above)
            elif table:
                yield Stray(table, _unread_table(_dotted(above, quoted(name)), _dotted(above, table)))
            else:
                yield from self._in_foreign(name, value, above)

    def _in_top(self, name: str, above: str) -> Iterator[Stray]:
        """What is wrong with a name at the top of the file or of a profile's table, where others' may stand too."""
        if (right := self._table.get(name)) is not None:
            if right:
                here = f"in [{above}]" if above else "at its top"
                yield Stray(right, f"{name} belongs {_place(right, above)}, not {here}.")
        elif (dotted := _folded(name).rpartition("."))[0] in self._tables:
            table, _, key = dotted
            text = f"{quoted(name)} in the config file is a name with a dot in it, which is not read: write {key} in"
            yield Stray(table, f"{text} the [{_dotted(above, table)}] table, or the name without quotation marks.")
        elif near := self._nearest(_folded(name), self._table):
            here = f"in [{above}]" if above else "at the top"
            text = f"{quoted(name)} {here} of the config file is no setting. {self._meant(near[0], '', above)}"
            yield Stray(self._table[near[0]], text)

    def _in_foreign(self, name: str, value: Any, above: str) -> Iterator[Stray]:
        """What holds agents back and stands in a table of others, where nobody reads it."""
        within = [(_dotted(above, quoted(name)[1:-1]), value)]
        while within:
            path, table = within.pop()
            if isinstance(table, list):
                within += [(path, entry) for entry in table if _is_table(entry)]
                continue
            for key, entry in table.items():
                inner = f"{path}.{quoted(key)[1:-1]}"
                if _is_table(entry):
                    if (ours := _folded(key)) in self._tables:
                        yield Stray(ours, _unread_table(inner, _dotted(above, ours)))
                    else:
                        within.append((inner, entry))
                elif near := self._nearest(_folded(key), self._guard_keys):
                    right = self._table[near[0]]
                    place = _place(right, above)
                    yield Stray(right, f"{near[0]} belongs {place}; {quoted(key)} in [{path}] is not read.")

    def _in_table(self, name: str, table: str, above: str) -> Stray:
        """What is wrong with a name in one of our tables, of which it is no setting."""
        shown = _dotted(above, table)
        if (right := self._table.get(name)) is not None:
            return Stray(right, f"{name} belongs {_place(right, above)}, not in [{shown}].")
        if (meant := _folded(name)) in self._tables:
            return Stray(meant, _unread_table(f"{shown}.{name}", _dotted(above, meant)))
        text = f"{quoted(name)} {_place(table, above)} is no setting."
        if near := get_close_matches(_folded(name), self._table, 1, _LIKE):
            return Stray(self._table[near[0]], f"{text} {self._meant(near[0], table, above)}")
        there = ", ".join(key for key, its in self._table.items() if its == table)
        return Stray(table, f"{text} The settings there are {there}.")

    def _in_environment(self, environ: Mapping[str, str]) -> Iterator[Stray]:
        for variable, text in environ.items():
            if not text or variable in self._keys:
                continue
            upper = variable.upper()
            word = _word(upper)
            is_ours = upper.startswith(_OURS) or upper in self._guards
            is_near = upper.startswith(_VENDOR) and get_close_matches(word, self._alone, 1, _NEARLY)
            if not (is_ours or is_near):
                continue
            near = [word] if word in self._by_word else get_close_matches(word, self._by_word, 1, _LIKE)
            fix = f"Did you mean {self._by_word[near[0]]}?" if near else "docs/settings.md lists the settings."
            table = next((table for table in self._tables if word.startswith(table.upper())), "")
            yield Stray(table, f"The variable {quoted(variable)} is no setting. {fix}")

    def _nearest(self, name: str, settings: Collection[str]) -> list[str]:
        """The setting that a name where others stand too probably means: nearly the same, or words of a guard."""
        cut = [key for key in self._guard_keys if "_" in name and f"_{name}_" in f"_{key}_"]
        return get_close_matches(name, settings, 1, _NEARLY) or cut[:1]

    def _nearest_table(self, name: str) -> str:
        """The table of ours that a table's name probably means, "" for none: [MCP], [mpc], [cometapi-mcp]."""
        folded = _folded(name)
        for table in self._tables:
            if table in folded.split("_") or sorted(table) == sorted(folded):
                return table
        return (get_close_matches(folded, self._tables, 1, 0.7) or [""])[0]

    def _meant(self, name: str, table: str, above: str) -> str:
        right = self._table[name]
        return f"Did you mean {name}{'' if right == table else f', which belongs {_place(right, above)}'}?"


def _word(variable: str) -> str:
    """The part of a variable's name that tells it from others, for names that are all alike in the rest."""
    return variable.removeprefix(_OURS).removeprefix(_VENDOR).strip("_")


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(entry, dict) for entry in value))


def _unread_table(name: str, meant: str) -> str:
    return f"The table [{name}] of the config file is not read. Did you mean [{meant}]?"


def _dotted(above: str, table: str) -> str:
    return ".".join(part for part in (above, table) if part)


def _place(table: str, above: str) -> str:
    shown = _dotted(above, table)
    return f"in the [{shown}] table of the config file" if shown else _TOP
