"""Tells the service that the work goes on, how far it is and how it ended; learns of a cancel."""

import logging
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from pipeline.collect.environment import Environment
from pipeline.collect.errors import Unanswered
from pipeline.collect.progress import Progress
from pipeline.collect.refusals import Refusals
from pipeline.collect.result import Result
from pipeline.collect.stopping import Stop

logger = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
# Between two beats, however often the stage changes.
_LEAST_GAP_S = 1.0
_LONGEST_RETRY_WAIT_S = 15.0
_COMPLETION_S = 300.0
# Whoever sends TERM sends KILL soon after; the exit code and result.json tell the rest.
_COMPLETION_AFTER_STOP_S = 3.0
_AGAIN_LATER = frozenset({408, 425, 429})


class Heartbeat:
    """Beats from its own thread from ``start`` on; without ``api_base_url`` it keeps silent.

    A cancel in an answer, and the service's word that the execution is not ours any more, or
    refusals in a row that may not be its own (``Refusals``), request the stop. An API that is away
    changes nothing for the work: beats are tried until it is back.
    """

    def __init__(self, environment: Environment, progress: Progress, stop: Stop) -> None:
        self._environment = environment
        self._progress = progress
        self._stop = stop
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._beats = threading.Lock()
        self._disowned = False
        self._refusals = Refusals()
        self._client: httpx.Client | None = None
        if environment.api_base_url is not None:
            # A transport of its own: proxies of the environment shall not see the token.
            self._client = httpx.Client(
                transport=httpx.HTTPTransport(), timeout=_TIMEOUT, follow_redirects=False
            )
            progress.on_stage(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """The first beat goes out at once."""
        if self._client is not None:
            logger.info("Heartbeats go to %s", _place(self._environment.api_base_url))
            self._thread.start()

    def complete(self, result: Result) -> bool:
        """The service knows the end when this returns True; no beat follows it.

        While the API is away it is asked for up to five minutes, after a stop for five seconds.
        """
        self._closed.set()
        self._wake.set()
        if self._client is None or self._disowned:
            return False
        # A beat in flight ends first, so that none comes after the end; one that hangs is let be.
        self._beats.acquire(timeout=_COMPLETION_AFTER_STOP_S)
        body = {**self._identity(), **result.document()}
        try:
            self._patiently(_COMPLETION_S, self._stop.event)(self._post, "completion", body)
        except RetryError:
            return self._last_words(body)
        return not self._disowned

    def _last_words(self, body: dict[str, Any]) -> bool:
        try:
            if self._stop.requested:
                never = threading.Event()
                again = self._patiently(_COMPLETION_AFTER_STOP_S, never)
                again(self._post, "completion", body)
                return not self._disowned
        except RetryError:
            pass
        logger.error("The service could not be told the end; result.json holds it.")
        return False

    def _run(self) -> None:
        while not self._closed.is_set() and not self._disowned:
            self._wake.clear()
            with self._beats:
                try:
                    self._patiently(None, self._closed)(self._beat)
                except RetryError:
                    return
            if self._closed.wait(_LEAST_GAP_S):
                return
            self._wake.wait(max(0.0, self._environment.heartbeat_interval_s - _LEAST_GAP_S))

    def _beat(self) -> None:
        if self._closed.is_set():
            return
        self._post(
            "heartbeat",
            {
                **self._identity(),
                "status": "running",
                "progress": self._progress.snapshot(),
                "timestamp": int(time.time()),
            },
        )

    def _identity(self) -> dict[str, str]:
        return {
            "execution_id": self._environment.execution_id,
            "container_name": self._environment.container_name,
        }

    def _post(self, what: str, body: dict[str, Any]) -> None:
        """The service took it or refused it; raises ``Unanswered`` where asking again may help."""
        assert self._client is not None
        url = f"{self._environment.api_base_url}/api/v1/monitoring/{what}"
        try:
            timeout = _TIMEOUT if not self._stop.requested else _COMPLETION_AFTER_STOP_S
            answer = self._client.post(url, json=body, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._refusals.note(None, time.monotonic())
            logger.warning("No answer to the %s: %s", what, type(error).__name__)
            raise Unanswered(f"No answer to the {what}.") from None
        now_s = time.monotonic()
        refused = self._refusals.note(answer, now_s)
        if answer.is_success:
            self._heed(answer)
        elif refused and self._refusals.final(answer, now_s):
            self._disowned = True
            logger.warning("The %s was answered %d", what, answer.status_code)
            self._stop.request("the service does not know this execution any more")
        elif answer.is_client_error and not refused and answer.status_code not in _AGAIN_LATER:
            logger.error("The %s was refused: HTTP %d", what, answer.status_code)
        else:
            logger.warning("The %s was answered %d", what, answer.status_code)
            raise Unanswered(f"The {what} was answered {answer.status_code}.")

    def _heed(self, answer: httpx.Response) -> None:
        try:
            told = answer.json()
        except (ValueError, RecursionError):
            return
        if isinstance(told, dict) and told.get("cancel") is True:
            self._stop.request("cancelled")

    def _patiently(self, limit_s: float | None, ends: threading.Event) -> Retrying:
        longest_s = min(_LONGEST_RETRY_WAIT_S, self._environment.heartbeat_interval_s)
        until = stop_when_event_set(ends)
        return Retrying(
            retry=retry_if_exception_type(Unanswered),
            wait=wait_random_exponential(multiplier=0.5, max=longest_s),
            stop=until if limit_s is None else until | stop_after_delay(limit_s),
            sleep=sleep_using_event(ends),
        )


def _place(url: str | None) -> str:
    """The host alone: a token may ride in the path."""
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
