"""What containers have written: from their host while they run, from the storage afterwards.

A cursor is the time of the last entry that was seen, as Docker writes it (RFC 3339, nanoseconds):
it holds across the end of a container and across its runs.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

from pipeline.adapters.engines.errors import EngineUnavailable
from pipeline.adapters.engines.model import LogEntry
from pipeline.core import executions, hosts, jobs
from pipeline.core.context import Context
from pipeline.core.executions import Execution
from pipeline.errors import NotFound
from pipeline.kinds.container.engines import engine_of
from pipeline.kinds.container.keeping import entry_of, log_name, run_log_name
from pipeline.states import TERMINAL_JOB

#: Between two looks for more, where none can be waited for.
PAUSE_S = 0.5


def entries(
    job_id: uuid.UUID, context: Context, *, since: str = "", read: set[str] | None = None
) -> Iterator[LogEntry]:
    """Yield what the job's containers have written after the cursor, up to now.

    ``read``: logs of earlier runs that were read to their end; this adds to it.
    """
    read = set() if read is None else read
    for execution in executions.of_job(job_id):
        for run in range(1, execution.run):
            name = run_log_name(execution, run)
            if name not in read:
                yield from _stored(name, since, context)
                read.add(name)
        yield from _of(execution, since, context)


def followed(
    job_id: uuid.UUID,
    context: Context,
    *,
    since: str = "",
    is_wanted: Callable[[], bool] = lambda: True,
) -> Iterator[LogEntry]:
    """Yield them as they come, until the job has ended or nobody wants them any more."""
    pause = threading.Event()
    read: set[str] = set()
    while is_wanted():
        has_ended = jobs.get(job_id).state in TERMINAL_JOB
        for entry in entries(job_id, context, since=since, read=read):
            since = entry.timestamp
            yield entry
        if has_ended:
            return
        pause.wait(PAUSE_S)


def _of(execution: Execution, since: str, context: Context) -> Iterator[LogEntry]:
    if context.blobs.has_named(log_name(execution)):
        yield from _stored(log_name(execution), since, context)
        return
    if execution.launched_at is None:
        return
    host = hosts.get(execution.host, context.settings)
    if host.away_since is not None:
        return
    engine = engine_of(host, context.settings)
    try:
        yield from engine.logs(execution.container, since=since)
    except (EngineUnavailable, NotFound):
        # Stored meanwhile, or told when its host is back.
        return


def _stored(name: str, since: str, context: Context) -> Iterator[LogEntry]:
    try:
        stream = context.blobs.open_named(name)
    except NotFound:
        return
    with closing(stream):
        for line in stream:
            entry = entry_of(line)
            if entry.timestamp > since:
                yield entry
