"""The value that one element stands for."""

from typing import Any

#: An element of lxml, which ships no types.
Element = Any

_ADDRESS = {"a": "href", "area": "href", "link": "href"} | dict.fromkeys(
    ("img", "audio", "video", "source", "embed", "iframe"), "src"
)
_VALUE = {"meta": "content", "time": "datetime", "data": "value", "meter": "value"} | dict.fromkeys(
    ("input", "option", "button"), "value"
)


def text_of(element: Element) -> str:
    """Return what a reader sees of it, with single spaces."""
    words = element.xpath(
        "descendant-or-self::*[not(self::script or self::style or self::template)]/text()"
    )
    return " ".join(" ".join(words).split())


def address_of(element: Element) -> str | None:
    """Return the URL that it links to or shows, where it does."""
    name = _ADDRESS.get(str(element.tag))
    return element.get(name) if name else None


def value_of(element: Element, *, addresses: bool = False) -> str:
    """Return its ``content`` or own value, with ``addresses`` its URL, else its text."""
    name = _VALUE.get(str(element.tag))
    told = element.get("content") or (element.get(name) if name else None)
    if told is None and (addresses or element.tag == "img"):
        told = address_of(element)
    return told.strip() if told else text_of(element)
