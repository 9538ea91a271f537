"""robots.txt (RFC 9309): what a host wants crawlers to leave alone."""

import logging
from dataclasses import dataclass
from functools import partial

import httpx
from protego import Protego

from pipeline.collect.crawler.addresses import absolute
from pipeline.collect.errors import CollectFailed
from pipeline.collect.http.answer import Answer, fetch, get
from pipeline.collect.http.patience import Patience
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

# As much as RFC 9309 (2.5) asks for, and some more.
_LIMIT_BYTES = 512 * 1024
_REDIRECTS = 5
# A host whose rules cannot be read is not hammered for them.
_PATIENCE = Patience(max_retries=2, max_retry_after_s=30.0)


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one host; without ``rules`` everything, or nothing, is allowed."""

    rules: Protego | None
    open: bool
    user_agent: str

    def allows(self, url: str) -> bool:
        """Return True where the page may be asked for."""
        if self.rules is None:
            return self.open
        return bool(self.rules.can_fetch(url, self.user_agent))

    @property
    def delay_s(self) -> float:
        """The seconds between two requests that the host asks for, or 0."""
        told = self.rules.crawl_delay(self.user_agent) if self.rules is not None else None
        return float(told or 0.0)


def read_robots(
    client: httpx.Client, page_url: str, user_agent: str, timeout_s: float, stop: Stop
) -> Robots:
    """Return the rules of a page's host: all is open without a file, nothing while it is down."""
    url: str | None = absolute(page_url, "/robots.txt")
    try:
        for _ in range(_REDIRECTS + 1):
            assert url is not None
            request = get(client, url)
            answer = _PATIENCE.insist(partial(_attempt, client, request, timeout_s), stop)
            if answer.redirect_to is None:
                break
            url = absolute(url, answer.redirect_to)
            if url is None:
                return Robots(None, True, user_agent)
    except CollectFailed as error:
        logger.warning("robots.txt cannot be read, so its host is left alone: %s", error)
        return Robots(None, False, user_agent)
    if answer.status != 200:
        return Robots(None, True, user_agent)
    return Robots(Protego.parse(_text(answer.body)), False, user_agent)


def _text(body: bytes) -> str:
    """The rules; those beyond the limit do not count, nor does the line that it cuts."""
    if len(body) >= _LIMIT_BYTES:
        body = body[: body.rfind(b"\n") + 1]
    return body.decode("utf-8-sig", "replace")


def _attempt(client: httpx.Client, request: httpx.Request, timeout_s: float) -> Answer:
    answer = fetch(client, request, limit_bytes=_LIMIT_BYTES, timeout_s=timeout_s, cut=True)
    return _PATIENCE.heed(answer)
