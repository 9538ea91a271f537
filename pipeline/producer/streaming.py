"""A job's messages as they come, for a program that follows it in a loop."""

import time
import uuid
from collections.abc import Iterator

from pipeline import events
from pipeline.core.live import Follow, Message, look
from pipeline.core.live.cursor import Cursor
from pipeline.errors import WaitTimeout
from pipeline.settings import Settings

#: A look in between costs little, and finds what no hint has told.
LOOK_S = 2.0
#: Without a broker another process on this database tells nothing.
LOOK_ALONE_S = 0.25
#: Between two looks, however much happens, in seconds.
GAP_S = 0.05


def stream(
    job_id: uuid.UUID, settings: Settings, *, since: str | None, timeout_s: float | None
) -> Iterator[Message]:
    """Yield the job's messages from its begin, or from after the message with that id, to its end;
    ``WaitTimeout`` when that takes longer."""
    follow = Follow(job_id, None if since is None else Cursor.read(since))
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    look_s = LOOK_ALONE_S if settings.embedded else LOOK_S
    with events.Listener() as listener:
        while True:
            yield from follow.take(look([follow.ask()])[0])
            if follow.has_ended:
                return
            left_s = look_s if deadline is None else min(look_s, deadline - time.monotonic())
            if left_s <= 0:
                raise WaitTimeout(f"The job has not ended after {timeout_s} s.")
            if follow.is_whole:
                _wait(listener, job_id, left_s)


def _wait(listener: events.Listener, job_id: uuid.UUID, most_s: float) -> None:
    """Return when the job has changed, or after the time."""
    time.sleep(GAP_S)
    until = time.monotonic() + most_s
    while (left_s := until - time.monotonic()) > 0:
        if job_id in listener.wait(left_s):
            return
