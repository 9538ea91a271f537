"""How requests prove who sends them."""

import base64
import time
from abc import ABC, abstractmethod
from urllib.parse import quote_plus

import httpx

from pipeline.collect.config import api as told
from pipeline.collect.errors import CollectFailed
from pipeline.collect.http.answer import Answer, fetch
from pipeline.collect.http.patience import Patience
from pipeline.collect.plainjson import loaded
from pipeline.collect.secrets import reveal
from pipeline.collect.stopping import Stop

_ANSWER_BYTES = 1024 * 1024
# A token is renewed so long before it ends, that a slow request still has a valid one.
_EARLY_S = 30.0
_USUAL_LIFE_S = 3600.0


class Credentials(ABC):
    """What is added to each request."""

    @abstractmethod
    def sign(self, request: httpx.Request) -> None:
        """The request carries the proof."""

    def renew(self) -> bool:
        """Return True where a request that was answered 401 may be sent again with new proof."""
        return False


class Nobody(Credentials):
    """An open API."""

    def sign(self, request: httpx.Request) -> None:
        """Nothing is added."""


class Header(Credentials):
    """The same header each time."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def sign(self, request: httpx.Request) -> None:
        request.headers[self._name] = self._value


class Query(Credentials):
    """The same query parameter each time, once."""

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def sign(self, request: httpx.Request) -> None:
        request.url = request.url.copy_set_param(self._name, self._value)


class ClientCredentials(Credentials):
    """An OAuth 2 token, fetched at the first request and again before it ends, or at a 401."""

    def __init__(
        self, auth: told.OAuth2Auth, client: httpx.Client, timeout_s: float, stop: Stop
    ) -> None:
        self._auth = auth
        self._client = client
        self._timeout_s = timeout_s
        self._stop = stop
        self._id, self._secret = reveal(auth.client_id), reveal(auth.client_secret)
        self._token = ""
        self._until = 0.0

    def sign(self, request: httpx.Request) -> None:
        if time.monotonic() >= self._until:
            self._fetch()
        request.headers["Authorization"] = f"Bearer {self._token}"

    def renew(self) -> bool:
        self._until = 0.0
        return True

    def _fetch(self) -> None:
        patience = Patience(max_retries=4, max_retry_after_s=60.0)

        def attempt() -> Answer:
            request = self._request()
            return patience.heed(
                fetch(self._client, request, limit_bytes=_ANSWER_BYTES, timeout_s=self._timeout_s)
            )

        answer = patience.insist(attempt, self._stop)
        try:
            document = loaded(answer.body)
            token, life_s = document["access_token"], document.get("expires_in")
            life_s = _USUAL_LIFE_S if life_s is None else float(life_s)
        except (ValueError, KeyError, TypeError, AttributeError):
            token, life_s = None, 0.0
        if answer.status != 200 or not isinstance(token, str):
            raise CollectFailed(
                f"The token_url answered {answer.status} and gave no token: check client_id,"
                " client_secret and scope."
            )
        self._token = token
        self._until = time.monotonic() + max(life_s - _EARLY_S, life_s / 2)

    def _request(self) -> httpx.Request:
        form = {"grant_type": "client_credentials"}
        form |= {"scope": self._auth.scope} if self._auth.scope else {}
        form |= {"audience": self._auth.audience} if self._auth.audience else {}
        headers = {"Accept": "application/json"}
        if self._auth.credentials_in == "body":
            form |= {"client_id": self._id, "client_secret": self._secret}
        else:
            # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
            headers["Authorization"] = _basic(quote_plus(self._id), quote_plus(self._secret))
        return self._client.build_request("POST", self._auth.token_url, data=form, headers=headers)


def credentials(auth: told.Auth, client: httpx.Client, timeout_s: float, stop: Stop) -> Credentials:
    """Return what the config asks for; raises ``ConfigRefused`` for a secret that is not set."""
    if isinstance(auth, told.BasicAuth):
        return Header("Authorization", _basic(reveal(auth.username), reveal(auth.password)))
    if isinstance(auth, told.BearerAuth):
        return Header("Authorization", f"Bearer {reveal(auth.token)}")
    if isinstance(auth, told.ApiKeyAuth):
        place = Header if auth.location == "header" else Query
        return place(auth.name, reveal(auth.key))
    if isinstance(auth, told.OAuth2Auth):
        return ClientCredentials(auth, client, timeout_s, stop)
    return Nobody()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
