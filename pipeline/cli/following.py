"""Follows a job to its end, or to its clean cancel."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol

from pipeline.cli.display import Display
from pipeline.cli.exits import UNABLE
from pipeline.cli.faults import say
from pipeline.cli.interrupts import Interrupted, Interrupts, leave_at_once
from pipeline.errors import DatabaseUnavailable, StorageUnavailable, WaitTimeout

if TYPE_CHECKING:
    from pipeline.producer import Client, Job, Progress

POLL_S = 0.1
#: With workers elsewhere, silence for so long is told, once.
IDLE_S = 15.0
#: A database that is away for so long ends the waiting; the job itself goes on.
AWAY_S = 60.0
#: With work in this process that cannot be written, its disk is looked at after so long.
TROUBLE_S = 5.0
#: How long a cancel waits for running files to stop.
PATIENCE_S = 10.0

NO_WORKER = (
    "No worker has taken the job; is `quayline worker` or `dramatiq actors` running? The job waits."
)
STUCK = f"Nothing has moved for {IDLE_S:.0f} s. The job goes on by itself when a worker is back."


class Followed(Protocol):
    """What is looked at: a job, wherever it is worked on."""

    def progress(self) -> "Progress":
        """Return how far it is; ``DatabaseUnavailable`` when nobody can tell."""


class Follower:
    """Watches one job; ``embedded`` says that this process does the work.

    Then ``check_room`` is asked when nothing moves, soon where ``in_trouble`` tells that work could
    not be written within so many seconds; it raises when there is no room to work.
    """

    def __init__(
        self,
        job: Followed,
        display: Display,
        interrupts: Interrupts,
        *,
        embedded: bool,
        check_room: Callable[[], None] = lambda: None,
        in_trouble: Callable[[float], bool] = lambda _within_s: False,
    ) -> None:
        self._job = job
        self._display = display
        self._interrupts = interrupts
        self._embedded = embedded
        self._check_room = check_room
        self._in_trouble = in_trouble
        self._seen: tuple[object, ...] = ()
        self._moved_at = time.monotonic()
        self._told_idle = embedded

    def to_end(self, timeout_s: float | None = None) -> "Progress":
        """Return the progress once the reports stand; ``Interrupted`` at the first signal."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._interrupts.signum is not None:
                raise Interrupted(self._interrupts.signum)
            progress = self._patiently()
            self._display.show(progress)
            if progress.finalized:
                return progress
            self._look_after(progress)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"The job is still {progress.state} after {timeout_s:g} s.")
            self._interrupts.wait(POLL_S)

    def _patiently(self) -> "Progress":
        """Look at the job; a database that is away for a while is waited for."""
        away_since = None
        while True:
            try:
                return self._job.progress()
            except DatabaseUnavailable as error:
                if away_since is None:
                    away_since = time.monotonic()
                    self._display.say(f"{error.message} Waiting for it; the job is not lost.")
                if time.monotonic() - away_since > AWAY_S:
                    raise
                self._interrupts.wait(1.0)
                if self._interrupts.signum is not None:
                    raise Interrupted(self._interrupts.signum) from None

    def _look_after(self, progress: "Progress") -> None:
        """Tell once that nothing moves; end the waiting where nothing can."""
        seen = (progress.state, progress.stage, progress.done, progress.total)
        if seen != self._seen:
            self._seen, self._moved_at = seen, time.monotonic()
            return
        idle_s = time.monotonic() - self._moved_at
        if not self._told_idle and idle_s >= IDLE_S:
            self._told_idle = True
            self._display.say(NO_WORKER if progress.state == "pending" else STUCK)
        hindered = idle_s >= TROUBLE_S and self._in_trouble(idle_s)
        if self._embedded and (hindered or idle_s >= AWAY_S):
            self._check_room()


def follow(
    client: "Client",
    job: "Job",
    display: Display,
    interrupts: Interrupts,
    *,
    timeout_s: float | None = None,
) -> None:
    """Return once the job's reports stand, and the display is closed; ``Interrupted`` at the first
    signal. Where this process does the work, a full disk ends it."""
    try:
        Follower(
            *(job, display, interrupts),
            embedded=client.settings.embedded,
            check_room=client.check_room,
            in_trouble=client.in_trouble,
        ).to_end(timeout_s)
    except StorageUnavailable as error:
        leave_full(error, job.id, display)
    finally:
        display.close()


def leave_full(error: StorageUnavailable, job_id: str, display: Display) -> NoReturn:
    """End this process, whose disk is full; the job is not lost.

    At once: threads that try to write would hold up a gentle end, and write nothing.
    """
    display.close()
    say(f"{error.message} Make room, then `quayline wait {job_id}` goes on with it.")
    leave_at_once(UNABLE)


def cancel_cleanly(jobs: "list[Job]", display: Display) -> bool:
    """Cancel the jobs and wait until their running files have stopped; False when some did not."""
    open_jobs = [job for job in jobs if job.cancel(actor="command line")]
    for job in open_jobs:
        display.say(f"Cancelling job {job.id}; once more to leave at once.")
    until = time.monotonic() + PATIENCE_S
    while any(job.status in ("pending", "running") for job in open_jobs):
        if time.monotonic() > until:
            display.say(f"Some files did not stop within {PATIENCE_S:.0f} s.")
            return False
        time.sleep(POLL_S)
    for job in open_jobs:
        progress = job.progress()
        done = progress.succeeded + progress.failed + progress.timed_out
        display.say(f"Cancelled job {job.id}: {done} of {progress.total} files were done.")
    return True
