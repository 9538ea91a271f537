"""A fetched page: its text, its elements, its JSON-LD and its links."""

import re
from functools import cached_property
from typing import Any

from charset_normalizer import from_bytes
from parsel import Selector
from w3lib.encoding import html_to_unicode
from w3lib.html import get_base_url

from pipeline.collect.crawler.addresses import absolute
from pipeline.collect.errors import CollectFailed
from pipeline.collect.http.answer import Answer
from pipeline.collect.plainjson import loaded

# What its head says, or its first kilobytes look like, is the encoding of the whole.
_DETECT_BYTES = 64 * 1024
_WRAPPING = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|<!\[CDATA\[)|(?:-->|//\s*\]\]>|\]\]>)\s*$")


class Page:
    """One HTML page; raises ``CollectFailed`` where no parser can make sense of it."""

    def __init__(self, answer: Answer) -> None:
        self.url = answer.url
        told = answer.headers.get("content-type")
        _, self.text = html_to_unicode(told, answer.body, auto_detect_fun=_detected)
        try:
            self.selector = Selector(text=self.text, type="html", huge_tree=True)
        except (ValueError, AssertionError) as error:
            raise CollectFailed(f"The page cannot be parsed: {error}.") from error

    @cached_property
    def base_url(self) -> str:
        """What relative links are relative to."""
        return str(get_base_url(self.text, self.url))

    @cached_property
    def json_ld(self) -> list[dict[str, Any]]:
        """Every JSON-LD object of the page; a block that is no JSON is passed over."""
        found: list[dict[str, Any]] = []
        for text in self.selector.xpath(
            '//script[starts-with(normalize-space(@type), "application/ld+json")]/text()'
        ).getall():
            try:
                found.extend(_objects(loaded(_WRAPPING.sub("", text))))
            except ValueError:
                continue
        return found

    def links(self, within: str | None) -> list[str]:
        """Return the URLs that the page links to, each once, in their order."""
        parts = self.selector.css(within) if within else [self.selector]
        found = (
            absolute(self.base_url, href)
            for part in parts
            for href in part.xpath("descendant-or-self::*[self::a or self::area]/@href").getall()
        )
        return list(dict.fromkeys(url for url in found if url is not None))


def _objects(told: Any) -> list[dict[str, Any]]:
    if isinstance(told, list):
        return [each for part in told for each in _objects(part)]
    if not isinstance(told, dict):
        return []
    graph = told.get("@graph")
    return _objects(graph) if isinstance(graph, list) else [told]


def _detected(body: bytes) -> str | None:
    """UTF-8 where it is one, else the likeliest."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        best = from_bytes(body[:_DETECT_BYTES]).best()
        return best.encoding if best is not None else None
    return "utf-8"
