"""One look at the rows for all who watch jobs here, as soon as one of those has changed.

A thread of its own hears the hints and reads; what is new goes to each watch in the event loop. It
looks a few times a second however much happens, and now and then though nothing was told.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence

from peewee import PeeweeException

from pipeline import events
from pipeline.core.live import Follow, Message, look
from pipeline.errors import QuaylineError
from pipeline.settings import Settings

log = logging.getLogger(__name__)

#: Between two looks, in seconds: what changes meanwhile is told together.
GAP_S = 0.1
#: A look though nothing was told; shorter where other processes cannot tell.
LOOK_S, LOOK_ALONE_S = 2.0, 0.5
#: In one look.
MOST_ASKS = 500
#: Nobody follows anything for so long: hints are heard no more.
IDLE_S = 30.0
#: While the database is away, in seconds.
PAUSE_S = 1.0

#: Takes what is new, in the event loop.
Sink = Callable[[Sequence[Message]], None]
Scout = Callable[[set[uuid.UUID], asyncio.AbstractEventLoop], None]


class Watch:
    """Somebody who follows a job, until ``Live.leave``."""

    def __init__(self, follow: Follow, sink: Sink) -> None:
        self.follow = follow
        self.sink = sink
        self.is_new = True


class Live:
    """The watches of one application; all but ``_run`` belongs to its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._look_s = LOOK_ALONE_S if settings.embedded else LOOK_S
        #: Asked in the thread at each look, with the jobs that have changed; and whether somebody
        #: may be told of jobs that are not watched yet.
        self.scouts: list[Scout] = []
        self.needed_by: list[Callable[[], bool]] = []
        self._loop: asyncio.AbstractEventLoop
        self._lock = threading.Lock()
        self._watches: defaultdict[uuid.UUID, set[Watch]] = defaultdict(set)
        self._listener = events.Listener()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Begin to look; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Look no more; the thread ends within a look."""
        self._ended.set()
        self._listener.tell()

    def join(self, patience_s: float) -> None:
        """Return when the thread has ended, or after that time."""
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def watch(self, follow: Follow, sink: Sink) -> Watch:
        """Let the sink be told what is new of the job, from what it follows already on."""
        watch = Watch(follow, sink)
        with self._lock:
            self._watches[follow.job_id].add(watch)
        self._listener.tell([follow.job_id])
        return watch

    def leave(self, watch: Watch) -> None:
        """Tell it nothing any more."""
        with self._lock:
            self._watches[watch.follow.job_id].discard(watch)
            if not self._watches[watch.follow.job_id]:
                del self._watches[watch.follow.job_id]

    def wake(self) -> None:
        """Look now at what there is."""
        self._listener.tell()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        """Hear hints as long as somebody follows: what nobody hears is hardly sent."""
        while not self._ended.is_set():
            self._listener.wait(IDLE_S)
            if self._is_needed():
                with self._listener:
                    self._look_on()

    def _is_needed(self) -> bool:
        return bool(self._watches) or any(is_needed() for is_needed in self.needed_by)

    def _look_on(self) -> None:
        """Look until nobody has followed anything for a while."""
        with self._lock:
            changed = {*self._watches}
        needed_at = time.monotonic()
        all_at = needed_at + self._look_s
        while not self._ended.is_set() and time.monotonic() - needed_at < IDLE_S:
            if self._is_needed():
                needed_at = time.monotonic()
            wait_s = 0.0 if changed else max(0.0, all_at - time.monotonic())
            changed |= self._listener.wait(wait_s)
            is_due = time.monotonic() >= all_at
            if is_due:
                all_at = time.monotonic() + self._look_s
            changed = self._look_with_care(changed, everything=is_due)
            self._ended.wait(GAP_S)

    def _look_with_care(self, changed: set[uuid.UUID], *, everything: bool) -> set[uuid.UUID]:
        """Look; return the jobs that are to be looked at again."""
        try:
            for scout in self.scouts:
                scout(changed, self._loop)
            return self._look(changed, everything=everything)
        except (QuaylineError, PeeweeException) as error:
            log.warning("What goes on cannot be read", extra={"error": str(error)})
        except Exception:
            # Whatever it is: those who watch wait for the next look.
            log.exception("What goes on could not be told")
        self._ended.wait(PAUSE_S)
        return changed

    def _look(self, changed: set[uuid.UUID], *, everything: bool) -> set[uuid.UUID]:
        """Look at these jobs; return those of which more is to be read at once."""
        with self._lock:
            wanted = [
                watch
                for job_id, watches in self._watches.items()
                if everything or job_id in changed
                for watch in watches
            ]
        # Who is behind by a long history comes last, and takes nothing from the others.
        wanted.sort(key=lambda watch: watch.is_new)
        again: set[uuid.UUID] = set()
        for at in range(0, len(wanted), MOST_ASKS):
            again |= self._tell(wanted[at : at + MOST_ASKS], late=everything)
        return again

    def _tell(self, watches: list[Watch], *, late: bool) -> set[uuid.UUID]:
        asks = [watch.follow.ask(late=late) for watch in watches]
        # Those who know the same of a job are told the same.
        distinct = list(dict.fromkeys(asks))
        news = dict(zip(distinct, look(distinct), strict=True))
        told = [
            (watch, watch.follow.take(news[ask])) for watch, ask in zip(watches, asks, strict=True)
        ]
        for watch in watches:
            watch.is_new = not watch.follow.is_whole
        self._hand_over([(watch, messages) for watch, messages in told if messages])
        return {
            watch.follow.job_id for watch in watches if watch.is_new and not watch.follow.has_ended
        }

    def _hand_over(self, told: list[tuple[Watch, list[Message]]]) -> None:
        if not told:
            return

        def deliver() -> None:
            for watch, messages in told:
                if watch in self._watches.get(watch.follow.job_id, ()):
                    watch.sink(messages)

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            # The loop has ended, and with it whoever watched.
            self._ended.set()
