"""Values by nothing but a field's name: JSON-LD, microdata, meta, then elements so called.

Names are compared without case and separators: ``product_name`` is ``productName``. A property of
a typed thing also answers to type and name: ``name`` of a ``Product`` is ``product_name``.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.collect.crawler.elements import Element, value_of
from pipeline.collect.crawler.page import Page

_SCALARS = (str, int, float, bool)


def normal(name: str) -> str:
    """Return what names that are compared have in common."""
    return "".join(each for each in name.casefold() if each.isalnum())


class _Found(dict[str, str]):
    """The first values of the names that are wanted; the text of other elements is never made."""

    def __init__(self, wanted: frozenset[str]) -> None:
        super().__init__()
        self._wanted = wanted

    def keep(self, name: str, element: Element, *, addresses: bool = False) -> None:
        """The element's value is the name's, if it has one and is the first."""
        if name in self._wanted and name not in self:
            value = value_of(element, addresses=addresses)
            if value:
                self[name] = value


class Named:
    """The values of one page, or of one item on it, by name; the first place that has one wins."""

    def __init__(self, page: Page, scope: Element, names: Iterable[str]) -> None:
        wanted = frozenset(map(normal, names)) - {""}
        microdata = _Found(wanted)
        attributes = {name: _Found(wanted) for name in ("data-field", "id", "class")}
        for element in scope.iter("*"):
            _read_microdata(element, microdata)
            for attribute, found in attributes.items():
                for name in (element.get(attribute) or "").split():
                    found.keep(normal(name), element)
        self._json_ld: dict[str, Any] = {}
        meta: dict[str, str] = {}
        if scope is page.selector.root:
            for name, value in _properties(page.json_ld):
                self._json_ld.setdefault(name, value)
            _read_meta(page, meta)
        self._places: list[dict[str, str]] = [microdata, meta, *attributes.values()]

    def value(self, name: str) -> Any:
        """Return the value of that name, or None."""
        wanted = normal(name)
        if wanted in self._json_ld:
            return self._json_ld[wanted]
        return next((place[wanted] for place in self._places if wanted in place), None)


def _read_microdata(element: Element, found: _Found) -> None:
    for name in (element.get("itemprop") or "").split():
        found.keep(normal(name), element, addresses=True)
        owner = next((each for each in element.iterancestors() if each.get("itemtype")), None)
        if owner is not None:
            kind = owner.get("itemtype", "").rstrip("/").rpartition("/")[2]
            found.keep(normal(kind + name), element, addresses=True)


def _read_meta(page: Page, found: dict[str, str]) -> None:
    for element in page.selector.xpath("//meta[@content]"):
        told = element.attrib.get("property") or element.attrib.get("name") or ""
        parts = told.split(":")
        # og:price:amount beside og:price:currency.
        if len(parts) > 1 and parts[-1] == "amount":
            parts.pop()
        value = element.attrib["content"].strip()
        for name in (normal(told), normal(parts[-1])):
            if name and value:
                found.setdefault(name, value)


def _properties(objects: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Names and values of all objects, outer ones first."""
    todo: deque[Any] = deque(objects)
    while todo:
        thing = todo.popleft()
        if isinstance(thing, list):
            todo.extend(thing)
        if not isinstance(thing, dict):
            continue
        kind = thing.get("@type")
        kinds = [each for each in (kind if isinstance(kind, list) else [kind]) if each]
        for name, told in thing.items():
            todo.append(told)
            value = _scalar(told)
            if value is not None and not name.startswith("@"):
                yield normal(name), value
                yield from ((normal(f"{each}{name}"), value) for each in kinds)


def _scalar(told: Any) -> Any:
    if isinstance(told, list):
        return next((each for each in map(_scalar, told) if each is not None), None)
    if isinstance(told, dict):
        return _scalar(told.get("@value", told.get("name")))
    value = told.strip() if isinstance(told, str) else told
    return value if isinstance(value, _SCALARS) and value != "" else None
