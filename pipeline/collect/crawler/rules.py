"""Rules for one field, compiled: where its value is and what becomes of it."""

import re
from collections.abc import Callable
from typing import Any

from parsel import Selector, SelectorList

from pipeline.collect.config.crawler import FieldRule, ItemSelector, Rule
from pipeline.collect.crawler.addresses import absolute
from pipeline.collect.crawler.elements import address_of, text_of
from pipeline.collect.crawler.numbers import number_in
from pipeline.collect.crawler.page import Page
from pipeline.collect.errors import ConfigRefused
from pipeline.collect.jsonpaths import Path

_PROBE = Selector(text="<html></html>", type="html")
Finder = Callable[[Page, Selector], list[Any]]


class FieldReader:
    """Reads one field by its rules, the first that finds something."""

    def __init__(self, told: FieldRule) -> None:
        given = told if isinstance(told, list) else [told]
        rules = [Rule(css=each) if isinstance(each, str) else each for each in given]
        self._rules = [(rule, _finder(rule)) for rule in rules]
        self.required = any(rule.required for rule in rules)

    def read(self, page: Page, scope: Selector) -> Any:
        """Return the value, the list of values where many are asked for, or the default."""
        for rule, find in self._rules:
            values = [_converted(each, rule, page) for each in find(page, scope)]
            values = [each for each in values if each not in (None, "")]
            if values:
                return values if rule.many else values[0]
        last = self._rules[-1][0]
        return [] if last.many and last.default is None else last.default


def items_of(selector: str | ItemSelector | None) -> Callable[[Page], list[Selector]]:
    """Return what finds the items of a page: without a selector the whole page is one."""
    if selector is None:
        return lambda page: [page.selector]
    told = ItemSelector(css=selector) if isinstance(selector, str) else selector
    find = _selecting(told.css, told.xpath)
    # Text and attributes hold no fields.
    return lambda page: [each for each in find(page.selector) if hasattr(each.root, "iter")]


def check_css(css: str) -> None:
    """Raises ``ConfigRefused`` for what is no CSS selector."""
    _selecting(css, None)


def _finder(rule: Rule) -> Finder:
    if rule.json_ld:
        path = Path(rule.json_ld)
        return lambda page, scope: [_told for each in page.json_ld for _told in path.all(each)]
    if rule.meta:
        name = rule.meta
        return lambda page, scope: page.selector.xpath(
            "//meta[@property = $name or @name = $name]/@content", name=name
        ).getall()
    if rule.css or rule.xpath:
        find = _selecting(rule.css, rule.xpath)
        return lambda page, scope: list(find(scope))
    return lambda page, scope: [page.text if scope is page.selector else scope.get()]


def _selecting(css: str | None, xpath: str | None) -> Callable[[Selector], SelectorList[Selector]]:
    def find(scope: Selector) -> SelectorList[Selector]:
        return scope.css(css) if css else scope.xpath(str(xpath))

    try:
        find(_PROBE)
    except (ValueError, SyntaxError) as error:
        raise ConfigRefused(f"{css or xpath!r} is no selector: {error}.") from None
    return find


def _converted(found: Any, rule: Rule, page: Page) -> Any:
    value = _as_text(found, rule.kind) if isinstance(found, Selector) else found
    if rule.regex:
        return _kind(_matched(rule.regex, str(value)), rule.kind, page)
    return _kind(value, rule.kind, page)


def _as_text(found: Selector, kind: str) -> str:
    if isinstance(found.root, str) or kind == "html":
        return str(found.get())
    if not hasattr(found.root, "iter"):
        return str(found.root)
    return (address_of(found.root) if kind == "url" else None) or text_of(found.root)


def _matched(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


def _kind(value: Any, kind: str, page: Page) -> Any:
    if not isinstance(value, str):
        return value
    if kind == "html":
        return value
    text = " ".join(value.split())
    if kind == "url":
        return absolute(page.base_url, text) if text else None
    if kind in ("number", "integer"):
        number = number_in(text)
        return int(number) if number is not None and kind == "integer" else number
    return text
