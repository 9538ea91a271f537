"""The endpoint asked for one page, with proof, at its pace and with patience."""

import copy
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import httpx

from pipeline.collect.api.auth import credentials
from pipeline.collect.api.pace import Pace
from pipeline.collect.api.paging import Paging, Position
from pipeline.collect.config.api import ApiConfig
from pipeline.collect.errors import CollectFailed, ConfigRefused
from pipeline.collect.http.answer import Answer, TryAgain, fetch
from pipeline.collect.http.patience import Patience
from pipeline.collect.plainjson import loaded
from pipeline.collect.secrets import reveal, shown
from pipeline.collect.stopping import Stop

_REDIRECTS = 5
_GONE = frozenset({400, 404, 410, 422})


class PositionGone(CollectFailed):
    """The server does not know the position that it was asked for."""


class Endpoint:
    """Answers pages as JSON; proof never leaves the origin of the endpoint."""

    def __init__(
        self, config: ApiConfig, url: str, paging: Paging, client: httpx.Client, stop: Stop
    ) -> None:
        self._config = config
        self._url = url
        self._paging = paging
        self._client = client
        self._stop = stop
        self._pace = Pace(config.requests_per_second)
        self._patience = Patience(config.max_retries, config.max_retry_after_s)
        self._credentials = credentials(config.auth, client, config.timeout_s, stop)
        self._headers = {name: reveal(value) for name, value in config.headers.items()}
        self._params = {
            name: reveal(value) if not isinstance(value, bool | int | float) else value
            for name, value in config.params.items()
        }

    def ask(self, position: Position, check: Callable[[Any], None]) -> tuple[Answer, Any]:
        """Return the page's answer and its document, one that the check lets pass.

        Raises ``CollectFailed`` where the server does not want to, as ``PositionGone`` where that
        may be the position's fault, and ``Stopped``.
        """

        def attempt() -> tuple[Answer, Any]:
            answer, document = self._attempt(position)
            check(document)
            return answer, document

        return self._patience.insist(attempt, self._stop)

    def _attempt(self, position: Position) -> tuple[Answer, Any]:
        answer = self._signed(position)
        if answer.status == 401 and self._credentials.renew():
            answer = self._signed(position)
        self._patience.heed(answer)
        place = shown(answer.url)
        if not 200 <= answer.status < 300:
            told = re.sub(r"\s+", " ", answer.body[:200].decode("utf-8", "replace")).strip()
            kind = PositionGone if answer.status in _GONE else CollectFailed
            raise kind(f"{place} answered {answer.status}: {told or 'nothing'}.")
        if answer.status == 204 or not answer.body:
            return answer, None
        try:
            return answer, loaded(answer.body)
        except ValueError as error:
            raise TryAgain(f"{place} answered no JSON: {error}.") from error

    def _signed(self, position: Position) -> Answer:
        """The answer to one request, along redirects within the origin."""
        url = self._at(position.get("url", self._url))
        for _ in range(_REDIRECTS + 1):
            self._pace.wait(self._stop)
            request = self._request(url, position)
            self._credentials.sign(request)
            answer = fetch(
                self._client,
                request,
                limit_bytes=self._config.max_answer_bytes,
                timeout_s=self._config.timeout_s,
            )
            if answer.redirect_to is None:
                return answer
            if self._config.method == "POST" and answer.status in (301, 302, 303):
                break
            url = self._at(answer.redirect_to)
        raise CollectFailed(f"{shown(url)} is redirected again and again: name the right endpoint.")

    def _at(self, told: str) -> str:
        """The whole URL; raises ``CollectFailed`` where it leads to another origin."""
        url = urljoin(self._url, told)
        try:
            here, there = httpx.URL(self._url), httpx.URL(url)
        except httpx.InvalidURL as error:
            raise CollectFailed(f"The API leads to {shown(url)}, which is no URL.") from error
        if _origin(here) != _origin(there):
            raise CollectFailed(
                f"The API leads to {shown(url)}, another origin: no credentials go there."
            )
        return url

    def _request(self, url: str, position: Position) -> httpx.Request:
        # A URL that the server made has its parameters in it.
        asked = {} if "url" in position else {**self._params, **self._paging.parameters(position)}
        body = None
        if self._config.method == "POST" and self._config.body is not None:
            body = {**copy.deepcopy(self._config.body), **asked}
            asked = {}
        try:
            whole = httpx.URL(url).copy_merge_params(asked) if asked else httpx.URL(url)
            return self._client.build_request(
                self._config.method, whole, json=body, headers=_encoded(self._headers)
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigRefused(f"The request cannot be made: {error}.") from error


def _encoded(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in headers.items()}


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
