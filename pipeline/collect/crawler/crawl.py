"""A crawl on an open state: which page is next, and what becomes of each."""

import logging
from concurrent.futures import Future
from typing import Any

import httpx

from pipeline.collect.config.crawler import CrawlerConfig
from pipeline.collect.crawler import frontier
from pipeline.collect.crawler.addresses import absolute, host_of
from pipeline.collect.crawler.extraction import URL_COLUMN, Extraction
from pipeline.collect.crawler.frontier import Frontier, PageRow
from pipeline.collect.crawler.hosts import Hosts
from pipeline.collect.crawler.robots import Robots, read_robots
from pipeline.collect.crawler.scope import Scope
from pipeline.collect.crawler.visit import Visit, Visitor
from pipeline.collect.errands import Errands
from pipeline.collect.errors import Stopped
from pipeline.collect.progress import Progress
from pipeline.collect.secrets import shown
from pipeline.collect.state import State
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

# Pages beyond this are never asked for; a trap of endless links shall not fill the disk.
_SLACK_PAGES = 1000
_SLACK_FACTOR = 10


class Crawl:
    """One crawl on an open state."""

    def __init__(
        self,
        config: CrawlerConfig,
        state: State,
        client: httpx.Client,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._config = config
        self._state = state
        self._client = client
        self._progress = progress
        self._stop = stop
        self.extraction = Extraction(config)
        self.frontier = Frontier(state)
        self._hosts = Hosts(config.delay)
        self._visitor = Visitor(config, client, self.extraction, self._hosts, stop)
        self._pages: dict[Future[Visit], PageRow] = {}
        self._robots: dict[Future[Robots], str] = {}
        # Counted along, since counting rows takes longer with each page.
        self._asked = self._known = self._open = self._records = 0

    def run(self, start_urls: list[str]) -> None:
        """Every page that is wanted has been dealt with; raises ``Stopped`` before that."""
        self._begin(start_urls)
        self._progress.stage("crawling")
        with Errands(self._config.concurrency, self._stop) as errands:
            while not self._stop.requested:
                self._send(errands)
                running: set[Future[Any]] = {*self._pages, *self._robots}
                if not running and self._next() is None and not self._hosts_in_the_way():
                    return
                wait_s = min(self._hosts.waiting().values(), default=1.0)
                if running:
                    self._take(errands.next_done(running, wait_s if self._has_room() else 1.0))
                else:
                    self._stop.wait(wait_s)
        raise Stopped(self._stop.reason)

    def figures(self) -> dict[str, Any]:
        """Return what there is so far."""
        counts = self.frontier.counts()
        return {
            "processed_records": self._state.count(),
            "pages": counts.get(frontier.DONE, 0),
            "failed_pages": counts.get(frontier.FAILED, 0),
            "skipped_pages": counts.get(frontier.SKIPPED, 0),
            "refused_by_robots": counts.get(frontier.REFUSED, 0),
            "pages_left": counts.get(frontier.PENDING, 0),
            "failures": self.frontier.failures(),
        }

    def _begin(self, start_urls: list[str]) -> None:
        known = self._state.note("hosts")
        self._scope = Scope(self._config.follow, [host_of(url) for url in start_urls])
        for name in known or ():
            self._scope.add(f"http://{name}")
        with self._state.transaction():
            for url in start_urls:
                self.frontier.add(url, depth=0, hops=0)
        counts = self.frontier.counts()
        self._asked = sum(counts.get(each, 0) for each in frontier.ASKED)
        self._known = sum(counts.values())
        self._open = counts.get(frontier.PENDING, 0)
        self._records = self._state.count()
        if self._state.resumed:
            logger.info("Going on after %d pages", self._asked)

    def _has_room(self) -> bool:
        return (
            len(self._pages) + len(self._robots) < self._config.concurrency
            and self._asked + len(self._pages) < self._config.max_pages
        )

    def _next(self) -> PageRow | None:
        if self._asked + len(self._pages) >= self._config.max_pages:
            return None
        waiting = {*self._hosts.waiting(), *self._robots.values()}
        return self.frontier.next([row.id for row in self._pages.values()], waiting)

    def _hosts_in_the_way(self) -> bool:
        """True where a page is due, only its host has to wait."""
        if self._asked >= self._config.max_pages:
            return False
        return self.frontier.next([], []) is not None

    def _send(self, errands: Errands) -> None:
        while self._has_room() and (row := self._next()) is not None:
            robots = self._hosts.robots(row.host) if self._config.obey_robots else None
            if self._config.obey_robots and robots is None:
                self._robots[errands.send(self._read_robots, row.url)] = row.host
            elif robots is not None and not robots.allows(row.url):
                with self._state.transaction():
                    self.frontier.close(row, frontier.REFUSED, "robots.txt")
                self._open -= 1
            else:
                self._hosts.reserve(row.host)
                self._pages[errands.send(self._visitor.visit, row)] = row

    def _read_robots(self, url: str) -> Robots:
        config = self._config
        return read_robots(self._client, url, config.user_agent, config.timeout_s, self._stop)

    def _take(self, done: set[Future[Any]]) -> None:
        for future in done:
            try:
                told = future.result()
            except Stopped:
                self._pages.pop(future, None)
                self._robots.pop(future, None)
                continue
            if future in self._robots:
                self._hosts.learn(self._robots.pop(future), told)
            else:
                self._keep(self._pages.pop(future), told)

    def _keep(self, row: PageRow, visit: Visit) -> None:
        """The page, its items and its links are stored together."""
        new = 0
        with self._state.transaction():
            if visit.redirect_to is not None:
                visit = self._redirected(row, visit.redirect_to)
            self.frontier.close(row, visit.state, visit.detail)
            for item in visit.items:
                told = {**item, URL_COLUMN: row.url} if self._config.include_url else item
                new += self._state.add_record(told, identity=item)
            self._add_links(row, visit.links)
        self._open -= 1
        self._records += new
        self._asked += visit.state in frontier.ASKED
        if visit.state == frontier.FAILED:
            logger.warning("Page not read: %s", visit.detail)
        elif visit.state != frontier.REDIRECTED:
            logger.info("Page %d: %s, %d new items", self._asked, shown(row.url), new)
        self._tell()

    def _redirected(self, row: PageRow, target: str) -> Visit:
        url = absolute(row.url, target)
        if url is None:
            return Visit(frontier.FAILED, f"{shown(row.url)} is redirected to no web page.")
        # Whoever names a start page also means the host that it has moved to.
        if row.depth == 0 and not self._scope.admits_host(url):
            self._scope.add(url)
            self._state.set_note("hosts", self._scope.names)
        if not self._scope.admits_host(url) or self._scope.denies(url):
            return Visit(frontier.SKIPPED, f"{shown(row.url)} leads away to {shown(url)}.")
        if not self._add(url, row.depth, row.hops + 1):
            return Visit(frontier.REDIRECTED, f"to {shown(url)}, known")
        return Visit(frontier.REDIRECTED, f"to {shown(url)}")

    def _add_links(self, row: PageRow, links: list[str]) -> None:
        most = _SLACK_PAGES + _SLACK_FACTOR * self._config.max_pages
        for url in links:
            if self._known >= most:
                return
            if self._scope.follows(url, row.depth + 1):
                self._add(url, row.depth + 1, hops=0)

    def _add(self, url: str, depth: int, hops: int) -> bool:
        added = self.frontier.add(url, depth, hops)
        self._known += added
        self._open += added
        return added

    def _tell(self) -> None:
        total = min(self._config.max_pages, self._asked + self._open)
        self._progress.update(
            done=self._asked, total=total, pages=self._asked, records=self._records
        )
