"""A light call: a thread of this process. One that is async is really cancelled; another that does
not come to its end is left alone."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from pipeline.kinds.service import calling
from pipeline.kinds.service.calling import Answer
from pipeline.kinds.service.registry import Offer
from pipeline.kinds.service.runs import Run
from pipeline.kinds.service.surroundings import Note, Surroundings
from pipeline.states import Reason

log = logging.getLogger(__name__)


class ThreadCall:
    """One run in a thread; ``ended`` is told its answer, once, from there."""

    is_mortal: ClassVar[bool] = False

    def __init__(self, offer: Offer, run: Run, note: Note, *, most_bytes: int) -> None:
        self._offer = offer
        self._run = run
        self._most_bytes = most_bytes
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._lock = threading.Lock()
        self._cancel: Callable[[], Any] | None = None
        self._surroundings = Surroundings(run, note, self._stop.is_set)

    def start(self, ended: Callable[[Answer], None], *, after_s: float = 0.0) -> None:
        """Begin, after so many seconds."""

        def told() -> None:
            ended(self._answer(after_s))

        # Its log lines are about the same job as those of the thread that starts it.
        target = contextvars.copy_context().run
        threading.Thread(target=target, args=(told,), name="service", daemon=True).start()

    def ask_to_stop(self) -> None:
        """Let the service see that it should end."""
        self._stop.set()

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._stop.set()
        with self._lock:
            self._abandoned.set()
            if self._cancel is not None:
                self._cancel()

    def _answer(self, after_s: float) -> Answer:
        if after_s > 0:
            self._stop.wait(after_s)
        try:
            return calling.answer(
                *(self._offer, self._run.task, self._run.input, self._surroundings),
                awaiting=self._awaited,
                most_bytes=self._most_bytes,
            )
        except asyncio.CancelledError:
            return Answer(None, Reason.CANCELLED, "The call was cancelled.")
        except BaseException as error:
            # A thread that ended without a word would be waited for.
            log.exception("A service broke off")
            return Answer(None, Reason.ERROR, type(error).__name__)
        finally:
            self._surroundings.close()

    def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner() as runner:
            return runner.run(self._cancellable(coroutine))

    async def _cancellable(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(coroutine)
        with self._lock:
            if self._abandoned.is_set():
                task.cancel()
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await task
        finally:
            with self._lock:
                self._cancel = None
