"""One request and its answer, within a size and a time."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from pipeline.collect.errors import CollectFailed
from pipeline.collect.http.deadline import OutOfTime, deadline, heed_deadline
from pipeline.collect.secrets import shown

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class TryAgain(CollectFailed):
    """The server, or the way to it, has trouble that may pass; ``after_s``: as it asked for."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``body`` is empty where nobody wanted it, ``links`` go by relation."""

    url: str
    status: int
    headers: httpx.Headers
    body: bytes
    links: dict[str | None, dict[str, str]]

    @property
    def redirect_to(self) -> str | None:
        """The whole URL that it points to instead of answering."""
        if self.status not in _REDIRECTS or "location" not in self.headers:
            return None
        try:
            return str(httpx.URL(self.url).join(self.headers["location"]))
        except (httpx.InvalidURL, ValueError):
            return None


def open_client(timeout_s: float, headers: dict[str, str], connections: int = 10) -> httpx.Client:
    """Return a client that keeps connections and follows no redirect."""
    return httpx.Client(
        timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
        headers={"Accept-Encoding": "gzip, deflate", **headers},
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
    )


def get(client: httpx.Client, url: str) -> httpx.Request:
    """Return a request for a page; raises ``CollectFailed`` for a URL that names none."""
    try:
        return client.build_request("GET", url)
    except (httpx.InvalidURL, ValueError) as error:
        raise CollectFailed(f"{shown(url)} is no URL: {error}.") from error


def fetch(
    client: httpx.Client,
    request: httpx.Request,
    *,
    limit_bytes: int,
    timeout_s: float,
    cut: bool = False,
    wanted: Callable[[httpx.Response], bool] = lambda response: True,
) -> Answer:
    """Return the answer, whatever its status; the body only where it is ``wanted``.

    A body that passes the limit is a failure, or with ``cut`` ends there.

    Raises ``TryAgain`` where the network fails or is too slow, ``CollectFailed`` for what will
    not be better next time: too large, or encoded in a way that nobody could have asked for.
    """
    place = shown(str(request.url))
    request.extensions["trace"] = heed_deadline
    try:
        with deadline(timeout_s):
            response = client.send(request, stream=True)
            try:
                body = _body(response, place, limit_bytes, cut) if wanted(response) else b""
            finally:
                response.close()
    except OutOfTime:
        raise TryAgain(f"{place} took longer than {timeout_s:g} s.") from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.DecodingError) as error:
        raise CollectFailed(f"{place} cannot be read ({type(error).__name__}).") from error
    except httpx.HTTPError as error:
        told = str(error) or type(error).__name__
        raise TryAgain(f"{place} did not answer: {told}.") from error
    url = str(response.url)
    return Answer(url, response.status_code, response.headers, body, response.links)


def _body(response: httpx.Response, place: str, limit_bytes: int, cut: bool) -> bytes:
    # Each further coding multiplies how far a small answer can blow up.
    if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
        raise CollectFailed(f"{place} is compressed more than once.")
    chunks, size_bytes = [], 0
    for chunk in response.iter_bytes():
        size_bytes += len(chunk)
        chunks.append(chunk)
        if size_bytes > limit_bytes:
            if cut:
                break
            raise CollectFailed(f"{place} has more than {limit_bytes} bytes.")
    return b"".join(chunks)[:limit_bytes]
