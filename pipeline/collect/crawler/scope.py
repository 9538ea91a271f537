"""Which links lead to pages that are wanted."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from pipeline.collect.config.crawler import Follow
from pipeline.collect.crawler.addresses import host_of, name_of


class Scope:
    """The hosts and patterns of a crawl; hosts may be added while it runs."""

    def __init__(self, follow: Follow, hosts: Iterable[str]) -> None:
        self._follow = follow
        self._names = {name_of(host) for host in hosts}
        self._allow = [re.compile(each) for each in follow.allow]
        self._deny = [re.compile(each) for each in follow.deny]

    @property
    def names(self) -> list[str]:
        """The hosts of the start pages so far."""
        return sorted(self._names)

    def add(self, url: str) -> None:
        """The host of a start page, or the one that it redirects to."""
        self._names.add(name_of(host_of(url)))

    def admits_host(self, url: str) -> bool:
        """Return True where pages of this host may be asked for."""
        if urlsplit(url).hostname in self._follow.allowed_hosts:
            return True
        if not self._follow.same_host and not self._follow.allowed_hosts:
            return True
        return name_of(host_of(url)) in self._names

    def denies(self, url: str) -> bool:
        """Return True where a pattern says no."""
        return any(each.search(url) for each in self._deny)

    def follows(self, url: str, depth: int) -> bool:
        """Return True where a link of this depth is to be followed."""
        if depth > self._follow.max_depth or not self.admits_host(url) or self.denies(url):
            return False
        return not self._allow or any(each.search(url) for each in self._allow)
