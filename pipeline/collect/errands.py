"""Calls that may take long, in threads of their own, so that a stop is heard meanwhile."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar

from pipeline.collect.errors import Stopped
from pipeline.collect.stopping import Stop

T = TypeVar("T")

# How soon a stop is heard.
_LOOK_S = 0.2


class Errands:
    """A few threads; whoever leaves does not wait for calls that still hang."""

    def __init__(self, threads: int, stop: Stop) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="errand")
        self._stop = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def send(self, call: Callable[..., T], *arguments: Any) -> Future[T]:
        """The call runs as soon as a thread is free."""
        return self._pool.submit(call, *arguments)

    def next_done(self, running: set[Future[Any]], within_s: float) -> set[Future[Any]]:
        """Return those that have ended, at the latest after so long, sooner at a stop."""
        done, _ = wait(running, min(_LOOK_S, within_s), FIRST_COMPLETED)
        return done

    def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Return what the call returns; raises ``Stopped`` where the stop comes first."""
        future = self.send(call, *arguments)
        while not wait([future], _LOOK_S).done:
            if self._stop.requested:
                raise Stopped(self._stop.reason)
        return future.result()
