"""Heartbeats written in groups: those that arrive while one group is written are the next group.

So one transaction serves as many as there are, without a timer: a lone heartbeat does not wait, and
a flood costs a commit per group. Each is answered after the commit of its own group.
"""

import asyncio
import logging

import anyio
from anyio import to_thread
from peewee import DataError, PeeweeException

from pipeline import jsontext
from pipeline.core import executions
from pipeline.core.executions import UNHEARD_S, Answer, Beat
from pipeline.errors import QuaylineError
from pipeline.web.figures import Figures
from pipeline.web.problems import too_busy

log = logging.getLogger(__name__)

#: Between two words that heartbeats are taken.
LISTENING_S = UNHEARD_S / 3
#: In one transaction, and waiting for theirs.
MOST_IN_GROUP = 500
MOST_WAITING = 20_000
#: Of their progresses.
MOST_BYTES_IN_GROUP = 4 * 1024 * 1024
MOST_BYTES_WAITING = 64 * 1024 * 1024

Waiting = tuple[Beat, asyncio.Future[Answer], int]


class Beats:
    """The heartbeats of one application; it belongs to the event loop that it is first used in."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._waiting: list[Waiting] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        # A thread of its own: a flood of other requests does not keep heartbeats waiting.
        self._limiter = anyio.CapacityLimiter(1)

    async def note(self, beat: Beat) -> Answer:
        """Return what the heartbeat is answered, once it is committed."""
        size = 0 if beat.progress is None else len(jsontext.encoded(beat.progress))
        waiting_bytes = self._waiting_bytes + size
        if len(self._waiting) >= MOST_WAITING or waiting_bytes > MOST_BYTES_WAITING:
            raise too_busy("Too many heartbeats wait to be written; send it again.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((beat, answer, size))
        self._waiting_bytes += size
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await answer

    async def listen(self) -> None:
        """Say again and again that heartbeats are taken, as long as they can be written."""
        while True:
            try:
                await to_thread.run_sync(executions.listening, limiter=self._limiter)
            except (QuaylineError, PeeweeException) as error:
                log.warning("Heartbeats cannot be written", extra={"error": str(error)})
            await asyncio.sleep(LISTENING_S)

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            if not await self._write(group) and len(group) > 1:
                # One that cannot be written costs itself, not its neighbours.
                for each in group:
                    await self._write([each])

    def _next_group(self) -> list[Waiting]:
        """Take the first of those that wait: so many, and of so many bytes, but one at least."""
        number = size = 0
        for *_, each in self._waiting[:MOST_IN_GROUP]:
            size += each
            if number and size > MOST_BYTES_IN_GROUP:
                size -= each
                break
            number += 1
        group = self._waiting[:number]
        del self._waiting[:number]
        self._waiting_bytes -= size
        return group

    async def _write(self, group: list[Waiting]) -> bool:
        """Write the group and answer it; False when it has to be taken apart."""
        beats = [beat for beat, _, _ in group]
        written = asyncio.ensure_future(
            to_thread.run_sync(executions.beat, beats, limiter=self._limiter)
        )
        await asyncio.wait([written])
        error = written.exception()
        if error is not None and len(group) > 1 and isinstance(error, ValueError | DataError):
            return False
        for place, (_, answer, _) in enumerate(group):
            if answer.done():  # Its client has left.
                continue
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(written.result()[place])
        self._figures.group_size.observe(len(group))
        return True
