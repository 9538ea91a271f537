"""The items of a page, as the config's fields describe them."""

from typing import Any

from parsel import Selector

from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.crawler.named import Named
from pipeline.collect.crawler.page import Page
from pipeline.collect.crawler.rules import FieldReader, check_css, items_of

URL_COLUMN = "_url"
_PAGE_FIELDS = ("title", "description")


class Extraction:
    """The compiled fields; raises ``ConfigRefused`` for a selector or path that is none."""

    def __init__(self, config: CrawlerConfig) -> None:
        fields = config.data_fields or list(_PAGE_FIELDS)
        self._names = list(fields)
        self._readers = (
            {name: FieldReader(rule) for name, rule in fields.items()}
            if isinstance(fields, dict)
            else {}
        )
        self._items = items_of(config.item_selector)
        if config.follow.within:
            check_css(config.follow.within)
        self.columns = [*self._names, *([URL_COLUMN] if config.include_url else [])]

    def items(self, page: Page) -> list[dict[str, Any]]:
        """Return the items in their order; those without any value are left out."""
        found = (self._item(page, scope) for scope in self._items(page))
        return [item for item in found if item is not None]

    def _item(self, page: Page, scope: Selector) -> dict[str, Any] | None:
        if self._readers:
            item = {name: each.read(page, scope) for name, each in self._readers.items()}
        else:
            named = Named(page, scope.root, self._names)
            item = {name: named.value(name) for name in self._names}
            if "title" in item and item["title"] is None and scope is page.selector:
                item["title"] = page.selector.xpath("normalize-space(//title)").get() or None
        missing = [name for name, value in item.items() if value in (None, "", [])]
        if len(missing) == len(item):
            return None
        if any(each.required and name in missing for name, each in self._readers.items()):
            return None
        return item
