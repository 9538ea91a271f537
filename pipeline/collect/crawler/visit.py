"""One page asked for: what it holds, where it leads, or why it could not be read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import httpx

from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.crawler import frontier
from pipeline.collect.crawler.extraction import Extraction
from pipeline.collect.crawler.frontier import PageRow
from pipeline.collect.crawler.hosts import Hosts
from pipeline.collect.crawler.page import Page
from pipeline.collect.errors import CollectFailed, Stopped
from pipeline.collect.http.answer import Answer, TryAgain, fetch, get
from pipeline.collect.http.patience import Patience
from pipeline.collect.secrets import shown
from pipeline.collect.stopping import Stop


@dataclass(frozen=True, slots=True)
class Visit:
    """What becomes of a page; ``redirect_to`` and ``links`` are whole URLs."""

    state: str
    detail: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    redirect_to: str | None = None


class Visitor:
    """Visits pages; used by many threads."""

    def __init__(
        self,
        config: CrawlerConfig,
        client: httpx.Client,
        extraction: Extraction,
        hosts: Hosts,
        stop: Stop,
    ) -> None:
        self._config = config
        self._client = client
        self._extraction = extraction
        self._hosts = hosts
        self._stop = stop
        self._patience = Patience(config.max_retries, config.max_retry_after_s)
        self._types = {each.strip().lower() for each in config.content_types}

    def visit(self, page: PageRow) -> Visit:
        """Return what became of it; raises ``Stopped`` where a stop came before that.

        The caller has reserved the host for the first request; each further one takes its turn.
        """
        reserved = chain([True], repeat(False))
        try:
            answer = self._patience.insist(lambda: self._attempt(page, reserved), self._stop)
            return self._read(page, answer)
        except CollectFailed as error:
            return Visit(frontier.FAILED, str(error))
        except (ValueError, LookupError, RecursionError, SyntaxError) as error:
            # What a parser does with a stranger's page shall not end the crawl.
            told = f"{shown(page.url)} cannot be parsed ({type(error).__name__})."
            return Visit(frontier.FAILED, told)

    def _attempt(self, page: PageRow, reserved: Iterator[bool]) -> Answer:
        """One try; a redirect to the same page is gone along with, since it may set a cookie."""
        for _ in range(self._config.max_redirects + 1):
            if not next(reserved):
                self._await_turn(page.host)
            answer = fetch(
                self._client,
                get(self._client, page.url),
                limit_bytes=self._config.max_page_bytes,
                timeout_s=self._config.timeout_s,
                wanted=self._wants,
            )
            if answer.redirect_to != answer.url:
                break
        try:
            return self._patience.heed(answer)
        except TryAgain as error:
            self._hosts.postpone(page.host, error.after_s or 0.0)
            raise

    def _await_turn(self, host: str) -> None:
        while wait_s := self._hosts.claim(host):
            if self._stop.wait(wait_s):
                raise Stopped(self._stop.reason)

    def _wants(self, response: httpx.Response) -> bool:
        return response.status_code == 200 and self._is_page(response.headers)

    def _is_page(self, headers: httpx.Headers) -> bool:
        told = headers.get("content-type", "").partition(";")[0].strip().lower()
        return not told or told in self._types

    def _read(self, row: PageRow, answer: Answer) -> Visit:
        place = shown(row.url)
        if answer.redirect_to is not None:
            if answer.redirect_to == answer.url or row.hops >= self._config.max_redirects:
                return Visit(frontier.FAILED, f"{place} is redirected again and again.")
            return Visit(frontier.REDIRECTED, redirect_to=answer.redirect_to)
        if answer.status != 200:
            return Visit(frontier.FAILED, f"{place} answered {answer.status}.")
        if not self._is_page(answer.headers):
            kind = re.sub(r"[^ -~]", "?", answer.headers["content-type"])[:100]
            return Visit(frontier.SKIPPED, f"{place} is {kind}.")
        page = Page(answer)
        items = self._extraction.items(page)
        deeper = row.depth < self._config.follow.max_depth
        links = page.links(self._config.follow.within) if deeper else []
        return Visit(frontier.DONE, items=items, links=links)
