"""One job, followed, read and stopped."""

import io
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pipeline.adapters.engines.model import LogEntry
from pipeline.core import executions, jobs
from pipeline.core.executions import Execution
from pipeline.core.jobs import Progress
from pipeline.core.live import Message
from pipeline.errors import Refused, WaitTimeout
from pipeline.kinds.container import logs as container_logs
from pipeline.kinds.container import output as container_output
from pipeline.kinds.container.doorbell import ring_stop
from pipeline.kinds.service import finish as service_finish
from pipeline.kinds.service.spec import KIND_NAMES
from pipeline.kinds.sql_lint import finish as lint_finish
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.kinds.sql_lint.reports import FileReport
from pipeline.producer.streaming import stream
from pipeline.states import TERMINAL_JOB

if TYPE_CHECKING:
    from pipeline.producer.client import Client


class Job:
    """One submitted job, looked up afresh at every call."""

    def __init__(self, client: "Client", job_id: uuid.UUID, *, warning: str = "") -> None:
        self._client = client
        self._id = job_id
        #: What its submitter should know though it was taken; empty for most.
        self.warning = warning

    @property
    def id(self) -> str:
        """The job's id, a UUIDv7."""
        return str(self._id)

    @property
    def status(self) -> str:
        """pending, running, succeeded, partial, failed, timed_out or cancelled."""
        return str(jobs.get(self._id).state)

    def info(self) -> dict[str, Any]:
        """Return the job's row as a plain mapping; times are aware datetimes."""
        row = dict(jobs.get(self._id).__data__)
        row["id"] = str(row["id"])
        return row

    def progress(self) -> Progress:
        """Return how far the job is."""
        return jobs.progress(self._id)

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        poll_s: float = 0.1,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Return once the job has ended and its reports stand, or raise ``WaitTimeout``."""
        self._client.start()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            progress = self.progress()
            if on_progress is not None:
                on_progress(progress)
            if progress.finalized:
                return self
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"The job is still {progress.state} after {timeout_s} s.")
            time.sleep(poll_s)

    def stream(
        self, *, since: str | None = None, timeout_s: float | None = None
    ) -> Iterator[Message]:
        """Yield what happens to the job, as it happens, until its reports stand.

        A message has ``event`` and ``data``: ``transition`` (a row of the history), ``progress``
        (how a call or a container is: status, message, partial output, result or error), ``job``
        (its counts) and ``end``. A stream begins with what has happened already; with the last
        ``id`` as ``since`` it goes on after that. ``WaitTimeout`` after ``timeout_s``.
        """
        self._client.start()
        return stream(self._id, self._client.settings, since=since, timeout_s=timeout_s)

    def results(self) -> Iterator[FileReport]:
        """Yield every file as its task stands, in the order of the archive."""
        return lint_finish.lint_report(jobs.get(self._id), self._client.context.blobs).files()

    def verdict(self) -> dict[str, Any] | None:
        """Return the gate's verdict: failed, counts and reasons; None until the reports stand."""
        result = jobs.get(self._id).result
        return None if result is None else result.get("verdict")

    def result(self) -> dict[str, Any]:
        """Return how the calls of a service job ended: ``status`` (completed or failed), ``task``,
        and ``result`` or ``error``; of several calls each under ``tasks``, in their order. Of a job
        of another kind, the document that its end has left.

        Raises ``Refused`` while the job is open.
        """
        row = jobs.get(self._id)
        if row.state not in TERMINAL_JOB:
            raise Refused(f"The job is still {row.state}; its result comes at its end.")
        if row.kind not in KIND_NAMES:
            return dict(row.result or {})
        return service_finish.result(row)

    def write_report(self, name: str, out: BinaryIO) -> None:
        """Write a report (json, sarif, junit, gitlab, github, csv, text, html, fixed, diff)."""
        row = jobs.get(self._id)
        if row.state not in TERMINAL_JOB:
            raise Refused(f"The job is still {row.state}; its reports come at its end.")
        lint_finish.write_report(row, name, out, self._client.context.blobs)

    def report(self, name: str) -> bytes:
        """Return a report as bytes."""
        out = io.BytesIO()
        self.write_report(name, out)
        return out.getvalue()

    def baseline(self) -> bytes:
        """Return the baseline that knows all of this job's violations."""
        return Baseline.of(self.results()).to_bytes()

    def cancel(self, *, actor: str = "client") -> bool:
        """Cancel the job; False when it had ended or was cancelled before."""
        return jobs.cancel(self._id, actor=actor)

    def retry(self, *, actor: str = "client") -> "Job":
        """Submit the ended job again; what it reached is reused."""
        client = self._client
        again = jobs.retry(self._id, client.settings, actor=actor, heard=client.heard)
        client.start()
        return Job(client, again)

    def executions(self) -> list[Execution]:
        """Return what runs, or ran, in containers for the job: place, progress, heartbeat, end."""
        return executions.of_job(self._id)

    def logs(
        self,
        *,
        since: str = "",
        follow: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[LogEntry]:
        """Yield what the job's containers wrote: timestamp, stream and bytes of each entry.

        ``since`` is the timestamp of the last entry seen; ``follow`` goes on until the job's end,
        or until nobody wants more.
        """
        context = self._client.context
        if follow:
            return container_logs.followed(self._id, context, since=since, is_wanted=is_wanted)
        return container_logs.entries(self._id, context, since=since)

    def write_output(self, out: BinaryIO) -> None:
        """Write the output files of the job's container as a tar archive."""
        container_output.write(self._id, out, self._client.context)

    def kill(self) -> None:
        """Kill the job's containers without their grace; the job fails."""
        for execution in self.executions():
            ring_stop(execution.task_id, kill=True)

    def events(self) -> list[dict[str, Any]]:
        """Return the job's history, oldest first."""
        return jobs.events(self._id)

    def __repr__(self) -> str:
        """Return the job's id."""
        return f"<Job {self._id}>"
