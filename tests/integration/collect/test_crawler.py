"""The crawler against a real web site with all its faults."""

import csv
import gzip
import io
import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.integration.collect.collectors import crawler
from tests.integration.collect.local_server import Asked, LocalServer, Reply, html
from tests.support.waiting import eventually


def shop(site: LocalServer, pages: int, *, links: int = 2) -> None:
    """A tree of product pages: each links to the next ones, and back to the first."""

    def product(asked: Asked) -> Reply:
        number = int(asked.path.rpartition("/")[2])
        children = [number * links + each for each in range(1, links + 1)]
        anchors = "".join(f'<a href="/p/{each}#x">more</a>' for each in children if each < pages)
        return html(f'<h1 class="title">Product {number}</h1>{anchors}<a href="/p/0?">home</a>')

    site.otherwise = product


def fields(**rules: Any) -> dict[str, Any]:
    return {"data_fields": rules or {"title": "h1"}}


def titles(records: list[dict[str, Any]]) -> list[str]:
    return sorted(each["title"] for each in records)


def test_every_linked_page_is_read_once(site: LocalServer, tmp_path: Path) -> None:
    shop(site, 15)
    run = crawler(tmp_path, {"target_urls": [f"{site.url}/p/0"], **fields()})

    code, said = run.run()

    assert code == 0, said
    assert titles(run.records()) == sorted(f"Product {each}" for each in range(15))
    assert sorted(set(site.paths())) == sorted(site.paths())
    assert run.result()["success"] is True
    assert run.result()["result_data"]["processed_records"] == 15
    assert run.result()["result_data"]["output_files"] == ["records.json"]
    assert sorted(each.name for each in run.output.iterdir()) == ["records.json", "result.json"]


def test_guides_document_is_crawled_as_it_stands(site: LocalServer, tmp_path: Path) -> None:
    page = """<script type="application/ld+json">{"@type": "Product", "name": "Tea", "category":
      "drinks", "offers": {"price": "3.50", "availability": "https://schema.org/InStock"}}</script>
      <meta property="og:description" content="Green &amp; good">"""
    site.routes["/products"] = lambda asked: html(page)
    document = {
        "task_name": "电商网站爬虫",
        "base_url": site.url,
        "docker_image": "data-collection-crawler:latest",
        "storage_config": {"output_path": "/app/output", "filename_prefix": "ecommerce_products"},
    }
    config = {
        "target_urls": [f"{site.url}/products"],
        "max_pages": 100,
        "delay": 0,
        "user_agent": "Mozilla/5.0 (compatible; DataCollector/1.0)",
        "output_format": "json",
        "data_fields": ["product_name", "price", "description", "category", "availability"],
    }
    run = crawler(tmp_path, config, **document)

    code, said = run.run()

    assert code == 0, said
    assert run.records("ecommerce_products.json") == [
        {
            "product_name": "Tea",
            "price": "3.50",
            "description": "Green & good",
            "category": "drinks",
            "availability": "https://schema.org/InStock",
            "_url": f"{site.url}/products",
        }
    ]
    assert site.asked[0].headers["user-agent"] == config["user_agent"]


def test_max_pages_is_never_passed_by_a_link_trap(site: LocalServer, tmp_path: Path) -> None:
    site.otherwise = lambda asked: html(
        "<h1>trap</h1>" + "".join(f'<a href="{asked.path}/{each}">x</a>' for each in range(50))
    )
    config = {"target_urls": [f"{site.url}/t"], "max_pages": 30, "follow": {"max_depth": 1000}}
    run = crawler(tmp_path, {**config, **fields(), "concurrency": 8})

    code, said = run.run()

    assert code == 0, said
    assert len(site.paths()) == 30
    # Equal items of many pages are one item.
    assert len(run.records()) == 1


def test_max_depth_and_patterns_say_which_links_are_followed(
    site: LocalServer, tmp_path: Path
) -> None:
    links = "".join(f'<a href="/{each}">x</a>' for each in ("a/1", "a/secret", "b/1"))
    away = '<a href="http://127.0.0.2:1/x">away</a><a href="mailto:x@y">mail</a>'
    site.otherwise = lambda asked: html(f"<h1>{asked.path}</h1>{links}{away}")
    follow = {"max_depth": 1, "allow": ["/a/"], "deny": ["secret"]}
    run = crawler(tmp_path, {"target_urls": [site.url], "follow": follow, **fields()})

    code, said = run.run()

    assert code == 0, said
    assert site.paths() == ["/", "/a/1"]


def test_robots_txt_is_honoured_with_its_delay(site: LocalServer, tmp_path: Path) -> None:
    shop(site, 4)
    site.routes["/robots.txt"] = lambda asked: Reply(
        b"User-agent: *\nDisallow: /p/2\nCrawl-delay: 0.3\n"
    )
    config = {"target_urls": [f"{site.url}/p/0"], "obey_robots": True, **fields()}
    run = crawler(tmp_path, config)

    code, said = run.run()

    assert code == 0, said
    assert sorted(site.paths()) == ["/p/0", "/p/1", "/p/3", "/robots.txt"]
    moments = [each.at for each in site.asked]
    assert all(b - a > 0.25 for a, b in pairwise(moments))
    assert run.result()["result_data"]["refused_by_robots"] == 1


@pytest.mark.parametrize(
    "robots",
    [
        b"\xef\xbb\xbfUser-agent: *\nDisallow: /p/2\n",
        b"User-agent: *\nDisallow: /p/2\n" + b"Disallow: /long/way/out\n" * 50_000,
    ],
    ids=["byte order mark", "beyond the limit"],
)
def test_robots_txt_is_read_whatever_its_first_bytes_and_size(
    site: LocalServer, tmp_path: Path, robots: bytes
) -> None:
    shop(site, 4)
    site.routes["/robots.txt"] = lambda asked: Reply(robots)
    config = {"target_urls": [f"{site.url}/p/0"], "obey_robots": True, **fields()}

    code, said = crawler(tmp_path, config).run()

    assert code == 0, said
    assert sorted(site.paths()) == ["/p/0", "/p/1", "/p/3", "/robots.txt"]


def test_host_whose_robots_txt_fails_is_left_alone(site: LocalServer, tmp_path: Path) -> None:
    shop(site, 4)
    site.routes["/robots.txt"] = lambda asked: Reply(status=503)
    run = crawler(tmp_path, {"target_urls": [f"{site.url}/p/0"], "obey_robots": True})

    code, _ = run.run()

    assert code == 1
    assert set(site.paths()) == {"/robots.txt"}
    assert "robots.txt" in run.result()["error_message"]


def test_delay_lies_between_two_requests_to_a_host(site: LocalServer, tmp_path: Path) -> None:
    shop(site, 4)
    config = {"target_urls": [f"{site.url}/p/0"], "delay": 0.2, "concurrency": 4, **fields()}
    run = crawler(tmp_path, config)

    code, said = run.run()

    assert code == 0, said
    moments = [each.at for each in site.asked]
    assert len(moments) == 4
    assert all(b - a > 0.15 for a, b in pairwise(moments))


def test_delay_lies_between_tries_and_redirects_of_a_page_too(
    site: LocalServer, tmp_path: Path
) -> None:
    def moody(asked: Asked) -> Reply:
        if asked.times == 1:
            return Reply(status=503)
        if asked.times == 2:
            return Reply(status=302, headers={"Location": "/moody"})
        return html("<h1>At last</h1>")

    site.routes["/moody"] = moody
    run = crawler(tmp_path, {"target_urls": [f"{site.url}/moody"], "delay": 0.6, **fields()})

    code, said = run.run()

    assert code == 0, said
    moments = [each.at for each in site.asked]
    assert len(moments) == 3
    assert all(b - a > 0.55 for a, b in pairwise(moments))


def test_busy_server_is_asked_again_when_it_said(site: LocalServer, tmp_path: Path) -> None:
    def busy(asked: Asked) -> Reply:
        if asked.times == 1:
            return Reply(status=429, headers={"Retry-After": "1"})
        if asked.times == 2:
            return Reply(status=500)
        return html("<h1>At last</h1>")

    site.routes["/busy"] = busy
    run = crawler(tmp_path, {"target_urls": [f"{site.url}/busy"], **fields()})

    code, said = run.run()

    assert code == 0, said
    assert titles(run.records()) == ["At last"]
    assert site.asked[1].at - site.asked[0].at >= 0.95


def test_one_bad_page_does_not_stop_its_neighbours(site: LocalServer, tmp_path: Path) -> None:
    bomb = gzip.compress(b"<p>" + b"x" * 30_000_000)
    page = {"Content-Type": "text/html"}
    twice = gzip.compress(gzip.compress(b"<h1>x</h1>"))
    site.routes.update(
        {
            "/good": lambda asked: html("<h1>good</h1>"),
            "/500": lambda asked: Reply(status=500),
            "/404": lambda asked: Reply(status=404),
            "/endless": lambda asked: Reply(headers=page, endless=True),
            "/bomb": lambda asked: Reply(bomb, headers={**page, "Content-Encoding": "gzip"}),
            "/twice": lambda asked: Reply(
                twice, headers={**page, "Content-Encoding": "gzip, gzip"}
            ),
            "/liar": lambda asked: Reply(b"no gzip", headers={**page, "Content-Encoding": "gzip"}),
            "/image": lambda asked: Reply(b"\x89PNG", headers={"Content-Type": "image/png"}),
            "/empty": lambda asked: html(""),
            "/zeros": lambda asked: html("\0" * 1000),
            "/deep": lambda asked: html("<div>" * 50_000),
        }
    )
    urls = [f"{site.url}{path}" for path in site.routes]
    config = {"target_urls": [*urls, "http://127.0.0.1:1/refused", "http://a..b/x"]}
    run = crawler(tmp_path, {**config, "max_page_bytes": 1_000_000, "max_retries": 1, **fields()})

    code, said = run.run()

    assert code == 0, said
    assert titles(run.records()) == ["good"]
    told = run.result()["result_data"]
    assert (told["failed_pages"], told["skipped_pages"], told["pages"]) == (8, 1, 4)
    assert "Traceback" not in said


def test_redirects_are_pages_of_their_own_and_end(site: LocalServer, tmp_path: Path) -> None:
    def to(place: str) -> Any:
        return lambda asked: Reply(status=302, headers={"Location": place})

    def chain(asked: Asked) -> Reply:
        return Reply(status=301, headers={"Location": asked.path + "x"})

    def cookie(asked: Asked) -> Reply:
        if "seen=1" in asked.headers.get("cookie", ""):
            return html("<h1>cookie</h1>")
        return Reply(status=302, headers={"Location": "/cookie", "Set-Cookie": "seen=1"})

    site.otherwise = chain
    site.routes.update(
        {
            "/moved": to("/new"),
            "/new": lambda asked: html("<h1>new</h1>"),
            "/loop": to("/loop2"),
            "/loop2": to("/loop"),
            "/self": to("/self"),
            "/cookie": cookie,
            "/file": to("file:///etc/passwd"),
        }
    )
    paths = ["/moved", "/loop", "/self", "/cookie", "/chain", "/file"]
    run = crawler(tmp_path, {"target_urls": [f"{site.url}{path}" for path in paths], **fields()})

    code, said = run.run()

    assert code == 0, said
    assert titles(run.records()) == ["cookie", "new"]
    assert len(site.paths()) < 40


def test_encodings_are_read_as_they_are_meant(site: LocalServer, tmp_path: Path) -> None:
    text = "<h1>电商 café</h1>"
    meta = '<meta charset="gb2312">'
    site.routes.update(
        {
            "/header": lambda asked: Reply(
                text.encode("gbk"), headers={"Content-Type": "text/html; charset=GBK"}
            ),
            "/meta": lambda asked: Reply(
                (meta + "<h1>电商二</h1>").encode("gbk"), headers={"Content-Type": "text/html"}
            ),
            "/bom": lambda asked: Reply(
                "\ufeff<h1>电商三</h1>".encode("utf-16"), headers={"Content-Type": "text/html"}
            ),
            "/wrong": lambda asked: Reply(
                "<h1>电商四</h1>".encode(), headers={"Content-Type": "text/html; charset=nonsense"}
            ),
        }
    )
    urls = [f"{site.url}{path}" for path in site.routes]
    run = crawler(tmp_path, {"target_urls": urls, **fields()})

    code, said = run.run()

    assert code == 0, said
    assert titles(run.records()) == sorted(["电商 café", "电商二", "电商三", "电商四"])


def test_many_items_of_a_page_by_every_kind_of_rule(site: LocalServer, tmp_path: Path) -> None:
    page = """<base href="/shop/"><meta name="author" content="Li">
    <script type="application/ld+json">{"@graph": [{"@type": "Store", "name": "Corner"}]}</script>
    <li class="item" data-id="7"><a href="tea"> Green
      <b>tea</b></a><span>1.299,50 €</span></li>
    <li class="item" data-id="8"><a href="../cup">Cup</a><span>n/a</span></li><li>no item</li>"""
    site.routes["/list"] = lambda asked: html(page)
    rules = {
        "name": {"css": "a"},
        "link": {"css": "a", "kind": "url"},
        "id": {"xpath": "./@data-id", "kind": "integer"},
        "price": [{"css": "span.none"}, {"css": "span", "kind": "number"}],
        "raw": {"css": "span", "regex": r"[a-z€]"},
        "store": {"json_ld": "$.name"},
        "author": {"meta": "author"},
        "words": {"xpath": ".//a//text()", "many": True},
    }
    config = {"target_urls": [f"{site.url}/list"], "item_selector": "li.item"}
    run = crawler(tmp_path, {**config, **fields(**rules), "output_format": "csv"})

    code, said = run.run()

    assert code == 0, said
    text = (run.output / "records.csv").read_text("utf-8")
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first == {
        "name": "Green tea",
        "link": f"{site.url}/shop/tea",
        "id": "7",
        "price": "1299.5",
        "raw": "€",
        "store": "Corner",
        "author": "Li",
        "words": '["Green", "tea"]',
        "_url": f"{site.url}/list",
    }
    assert (second["name"], second["link"], second["price"]) == ("Cup", f"{site.url}/cup", "")


def test_killed_crawl_goes_on_without_loss_or_doubles(site: LocalServer, tmp_path: Path) -> None:
    gate = threading.Event()
    shop(site, 40)
    free = site.otherwise
    held = {"/p/9", "/p/17", "/p/31"}

    def holding(asked: Asked) -> Reply:
        reply = free(asked)
        if asked.path in held and asked.times == 1:
            reply.gate = gate
        return reply

    site.otherwise = holding
    config = {"target_urls": [f"{site.url}/p/0"], "concurrency": 2, "follow": {"max_depth": 20}}
    run = crawler(tmp_path, {**config, **fields(), "output_format": "jsonl"})
    for path in sorted(held, key=lambda each: int(each[3:])):
        with run.started() as process:
            eventually(lambda path=path: path in site.paths(), within_s=20)  # type: ignore[misc]
            run.kill(process)

    code, said = run.run()

    assert code == 0, said
    lines = (run.output / "records.jsonl").read_text("utf-8").splitlines()
    assert titles([json.loads(each) for each in lines]) == sorted(
        f"Product {each}" for each in range(40)
    )
    # Only what was in flight at a kill is asked for again.
    assert len(site.paths()) <= 40 + 2 * len(held)


def test_another_config_in_the_same_folder_begins_anew(site: LocalServer, tmp_path: Path) -> None:
    shop(site, 3)
    first = crawler(tmp_path, {"target_urls": [f"{site.url}/p/0"], **fields()})
    gate = threading.Event()
    free, site.otherwise = site.otherwise, lambda asked: html("<h1>x</h1>", gate=gate)
    with first.started() as process:
        eventually(site.paths, within_s=20)
        first.kill(process)
    site.otherwise = free
    second = crawler(tmp_path, {"target_urls": [f"{site.url}/p/1"], **fields()})

    code, said = second.run()

    assert code == 0, said
    assert "Product 1" in titles(second.records())
    assert second.result()["result_data"]["pages"] == 3


def test_selector_that_is_none_is_refused_before_anything_is_asked(
    site: LocalServer, tmp_path: Path
) -> None:
    run = crawler(tmp_path, {"target_urls": [site.url], **fields(title={"xpath": "//h1["})})

    code, said = run.run()

    assert code == 2
    assert "//h1[" in run.result()["error_message"]
    assert site.paths() == []
    assert "Traceback" not in said
