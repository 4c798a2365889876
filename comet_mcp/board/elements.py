"""HTML as a tree: what is put in as text stays text, whatever is in it."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring


def element(tag: str, *children: Element | str | None, **attributes: str | float | bool | None) -> Element:
    """An element.

    Args:
        tag: Its name.
        children: What is in it, in order; None for nothing.
        attributes: They. A name's `_` stands for `-`, one at its end for nothing. None and False leave one out, and
            True gives one without a value.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else f"{value}")
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child:
            _add_text(made, child)
    return made


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def html_of(made: Element) -> str:
    """The element as HTML."""
    return tostring(made, encoding="unicode", method="html")
