"""What is read from a page, which pages are the same, and which links are followed."""

from typing import Any

import httpx
import pytest

from pipeline.collect.config import CrawlerConfig
from pipeline.collect.config.crawler import Follow
from pipeline.collect.crawler.addresses import absolute, host_of, key_of
from pipeline.collect.crawler.elements import text_of
from pipeline.collect.crawler.extraction import Extraction
from pipeline.collect.crawler.page import Page
from pipeline.collect.crawler.scope import Scope
from pipeline.collect.http.answer import Answer


def page(text: str | bytes, content_type: str = "text/html") -> Page:
    body = text.encode() if isinstance(text, str) else text
    headers = httpx.Headers({"content-type": content_type})
    return Page(Answer("http://h/dir/page", 200, headers, body, {}))


def items(text: str, **config: Any) -> list[dict[str, Any]]:
    return Extraction(CrawlerConfig.model_validate(config)).items(page(text))


def named(text: str, *names: str) -> dict[str, Any]:
    (item,) = items(text, data_fields=list(names))
    return item


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h/a?x=1&y=2", "http://h/a?y=2&x=1"),
        ("http://H:80/a", "http://h/a"),
        ("https://h:443/a", "https://h/a"),
        ("http://h", "http://h/"),
        ("http://h/%7Eme", "http://h/~me"),
    ],
)
def test_pages_are_the_same_however_they_are_written(one: str, other: str) -> None:
    first, second = absolute("", one), absolute("", other)

    assert first is not None
    assert second is not None
    assert key_of(first) == key_of(second)


@pytest.mark.parametrize(
    "link", ["mailto:x@y", "javascript:x()", "file:///x", "http://", "http://[", ""]
)
def test_link_that_is_no_page_is_none(link: str) -> None:
    assert absolute("", link) is None


def test_links_are_whole_once_and_without_fragment() -> None:
    found = page(
        '<base href="/b/"><a href="x#1">1</a><a href=" x ">2</a><area href="../y?a b">'
        '<a>none</a><a href="mailto:m@n">m</a>'
    ).links(None)

    assert found == ["http://h/b/x", "http://h/y?a%20b"]


def test_links_within_a_part_only() -> None:
    found = page('<nav><a href="/1">1</a></nav><main><a href="/2">2</a></main>').links("main")

    assert found == ["http://h/2"]


def test_scope_stays_on_the_hosts_of_the_start_pages() -> None:
    scope = Scope(Follow(), [host_of("https://h/")])

    assert scope.follows("http://h/x", 1)
    assert not scope.follows("http://www.h/x", 1)
    assert not scope.follows("http://h:8080/x", 1)
    assert not scope.follows("http://h/x", 4)
    scope.add("https://www.h/")
    assert scope.follows("http://www.h/x", 1)


def test_scope_takes_named_hosts_or_all() -> None:
    assert Scope(Follow(allowed_hosts=["other"]), ["h:80"]).follows("http://other/x", 1)
    assert not Scope(Follow(allowed_hosts=["other"]), ["h:80"]).follows("http://third/x", 1)
    assert Scope(Follow(same_host=False), ["h:80"]).follows("http://third/x", 1)


def test_names_are_found_in_json_ld_first() -> None:
    text = """<div class="price">9</div><script type="application/ld+json">
      <!-- [{"@type": ["Product", "Thing"], "name": " Tea ", "brand": {"@type": "Brand",
      "name": "Li"}, "offers": [{"price": 3.5}], "image": ["a.png", "b.png"]}] --></script>"""

    told = named(text, "product_name", "brand", "price", "image", "brandName", "nothing")

    assert told == {
        "product_name": "Tea",
        "brand": "Li",
        "price": 3.5,
        "image": "a.png",
        "brandName": "Li",
        "nothing": None,
    }


def test_names_are_found_in_microdata_meta_and_elements() -> None:
    text = """<meta property="og:title" content="T"><meta property="product:price:amount"
      content="5"><meta name="keywords" content="k">
      <div itemscope itemtype="https://schema.org/Product"><b itemprop="name">N</b>
      <a itemprop="url" href="/u">x</a>
      <time itemprop="releaseDate" datetime="2024-01-01">d</time></div>
      <p data-field="stock">many <script>no()</script></p><p id="sku">S</p>
      <p class="x color">red</p>
      <img class="photo" src="p.png"><input id="amount" value="2">"""

    told = named(
        text,
        *("title", "price", "keywords", "product_name", "url", "release_date", "stock"),
        *("SKU", "color", "photo", "amount"),
    )

    assert list(told.values()) == [
        *("T", "5", "k", "N", "/u", "2024-01-01", "many", "S", "red", "p.png", "2"),
    ]


def test_names_within_items_are_those_of_the_item() -> None:
    text = '<p class="price">0</p>' + "".join(f'<li><i class="price">{n}</i></li>' for n in (1, 2))

    assert items(text, data_fields=["price"], item_selector="li") == [
        {"price": "1"},
        {"price": "2"},
    ]


def test_text_is_made_of_the_elements_that_are_wanted_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of nested elements holds the text of all within: together it would have no end."""
    read: list[str] = []

    def noted(element: Any) -> str:
        read.append(element.get("id"))
        return text_of(element)

    monkeypatch.setattr("pipeline.collect.crawler.elements.text_of", noted)
    nested = "".join(f'<div id="d{n}" class="c{n} x{n}" itemprop="p{n}">' for n in range(50))

    assert items(f'{nested}<b id="title">T</b><p id="description" class="title">D</p>') == [
        {"title": "T", "description": "D"}
    ]
    assert len(read) <= 3


def test_without_fields_a_page_has_title_and_description() -> None:
    text = '<title>A  page</title><meta name="description" content="About">'

    assert items(text) == [{"title": "A page", "description": "About"}]


def test_rules_have_defaults_alternatives_and_requirements() -> None:
    text = "<li><b>x</b></li><li><i>y</i></li><li></li>"
    rules = {"v": [{"css": "b"}, {"css": "i", "required": True}], "d": {"css": "u", "default": 0}}

    assert items(text, data_fields=rules, item_selector={"xpath": "//li"}) == [
        {"v": "x", "d": 0},
        {"v": "y", "d": 0},
    ]


def test_regex_takes_its_group_or_all_of_it() -> None:
    rules = {"a": {"regex": "id=([0-9]+)"}, "b": {"css": "p", "regex": "[0-9]+", "kind": "integer"}}

    assert items("<p>id=42</p>", data_fields=rules) == [{"a": "42", "b": 42}]


@pytest.mark.parametrize("text", ["", "\0", "<", "<!--", "<html", "plain", "<svg><foreignObject>"])
def test_broken_pages_have_no_items_and_no_errors(text: str) -> None:
    rules = {"a": "h1", "b": {"json_ld": "$.x"}, "c": {"regex": "never"}}

    assert items(text, data_fields=rules) == []
    assert items(text, data_fields=["x"]) == []
