"""The jobs that rooms of clients are told of: each is followed once, however many listen."""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pipeline.core.live import Follow, Message
from pipeline.core.live.scouting import Known, going_on, known
from pipeline.web.live import Live, Watch

#: Between two looks at jobs that nobody has told of, in seconds, and how far each looks back.
SCOUT_S, SCOUT_BACK_S = 2.0, 10.0
#: Jobs of which it is remembered whose they are, and that they were told to their end.
MOST_KNOWN = 20_000

T = TypeVar("T")

#: Sends messages to rooms, or to one client.
Send = Callable[[Sequence[str], Sequence[Message]], None]


class Followed:
    """What one application follows for rooms; all but ``scout`` belongs to its event loop.

    ``rooms`` names the rooms of a job, ``hears`` tells whether somebody is in one of them.
    """

    def __init__(
        self,
        live: Live,
        send: Send,
        *,
        rooms: Callable[[Known], list[str]],
        hears: Callable[[Sequence[str]], bool],
        owners: Callable[[], Collection[str] | None],
    ) -> None:
        self._live = live
        self._send = send
        self._rooms = rooms
        self._hears = hears
        self._owners = owners
        self._known: OrderedDict[uuid.UUID, Known] = OrderedDict()
        self._ended: OrderedDict[uuid.UUID, None] = OrderedDict()
        self._watches: dict[uuid.UUID, Watch] = {}
        self._scouted_at = -SCOUT_S

    def show(self, client: str, job: Known) -> None:
        """Tell the client how the job stands; what happens to it then its rooms are told."""
        self._remember(job)
        if job.id not in self._watches and job.id not in self._ended:
            self._follow(job)
            return
        follow = Follow(job.id)

        def sink(messages: Sequence[Message]) -> None:
            self._send([client], messages)
            if follow.is_whole:
                self._live.leave(watch)

        watch = self._live.watch(follow, sink)

    def _follow(self, job: Known) -> None:
        """Tell the job's rooms what happens to it, from its begin to its end."""
        if job.id in self._watches or job.id in self._ended or not self._hears(self._rooms(job)):
            return
        rooms = self._rooms(job)

        def sink(messages: Sequence[Message]) -> None:
            self._send(rooms, messages)
            if messages[-1].event == "end":
                self._leave(job.id)
                _note(self._ended, job.id, None)

        self._watches[job.id] = self._live.watch(Follow(job.id), sink)

    def _leave(self, job_id: uuid.UUID) -> None:
        self._live.leave(self._watches.pop(job_id))

    def leave_unheard(self) -> None:
        """Follow no more what nobody is told of."""
        for job_id in [*self._watches]:
            job = self._known.get(job_id)
            if job is None or not self._hears(self._rooms(job)):
                self._leave(job_id)

    def _remember(self, job: Known) -> None:
        _note(self._known, job.id, job)

    def scout(self, changed: set[uuid.UUID], loop: asyncio.AbstractEventLoop) -> None:
        """In the thread that looks: follow those of the jobs that somebody may be told of."""
        # A look at a dictionary that the event loop changes is safe, a walk through it is not.
        mine = {job_id: job for job_id in changed if (job := self._known.get(job_id))}
        found = known(changed - mine.keys())
        if time.monotonic() - self._scouted_at >= SCOUT_S:
            self._scouted_at = time.monotonic()
            since = datetime.now(UTC) - timedelta(seconds=SCOUT_BACK_S)
            found += going_on(self._owners(), ended_since=since)
        loop.call_soon_threadsafe(self._take, [*found, *mine.values()])

    def _take(self, found: Sequence[Known]) -> None:
        for job in found:
            self._remember(job)
            self._follow(job)


def _note(memory: OrderedDict[uuid.UUID, T], job_id: uuid.UUID, told: T) -> None:
    memory[job_id] = told
    memory.move_to_end(job_id)
    if len(memory) > MOST_KNOWN:
        memory.popitem(last=False)
