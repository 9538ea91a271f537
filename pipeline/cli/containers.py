"""Commands on containers: ``run FILE``, ``logs``, ``output`` and ``kill``."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.exits import CLEAN, FAILED, UNABLE
from pipeline.cli.faults import note, say
from pipeline.cli.options import JobId
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.adapters.engines.model import LogEntry
    from pipeline.core.executions import Execution
    from pipeline.producer import Job

#: Reasons of a job whose program did not come to an answer.
NOT_RUN = frozenset(
    {
        *("not_started", "image_missing", "cannot_create", "cannot_start", "host_lost"),
        *("bad_request", "corrupt", "storage"),
    }
)
POLL_S = 0.3
#: Progress is told at most this often, in seconds.
TELL_S = 1.0


def run_file(path: Path, *, quiet: bool = False) -> int:
    """Run one container job, its log and progress shown as they come; return the exit code.

    0: it succeeded, 1: it failed, 2: it could not be run. Ctrl-C stops it.
    """
    from pipeline.cli.callbacks import called_back
    from pipeline.cli.clients import open_client
    from pipeline.cli.display import Silence
    from pipeline.cli.following import cancel_cleanly
    from pipeline.cli.interrupts import Interrupted, Interrupts

    with Interrupts() as interrupts, open_client(work=True) as client, called_back(client):
        job = client.run(path)
        interrupts.raising = False
        teller = Teller(quiet=quiet)
        teller.tell(f"Job {job.id}")
        followed(job, teller, is_wanted=lambda: interrupts.signum is None, pause=interrupts.wait)
        if interrupts.signum is not None:
            cancel_cleanly([job], Silence())
            raise Interrupted(interrupts.signum)
        return conclude(job, teller)


class Teller:
    """Says on standard error what is new of a job: its state, and what its container tells."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._told = ""
        self._told_at = 0.0

    def tell(self, text: str) -> None:
        """Say it, unless nothing but the log is wanted."""
        if not self._quiet:
            note(text)

    def show(self, execution: "Execution | None") -> None:
        """Say how far the container is, when that is new."""
        if execution is None or time.monotonic() - self._told_at < TELL_S:
            return
        told = described(execution)
        if told != self._told:
            self._told, self._told_at = told, time.monotonic()
            self.tell(told)


def followed(
    job: "Job",
    teller: Teller,
    *,
    is_wanted: Callable[[], bool],
    pause: Callable[[float], None],
    since: str = "",
) -> None:
    """Write the job's log as it comes, until its end or until nobody wants more."""
    while is_wanted():
        progress = job.progress()
        for execution in job.executions():
            teller.show(execution)
        for entry in job.logs(since=since):
            since = entry.timestamp
            _write(entry)
        if progress.finalized:
            return
        pause(POLL_S)


def described(execution: "Execution") -> str:
    """Return one line about where an execution is."""
    where = f"{execution.container} on {execution.host}"
    if execution.finished_at is not None:
        return f"{where}: ended"
    if execution.launched_at is None:
        return f"{where}: starting"
    told = execution.progress or {}
    parts = [str(told["stage"])] if told.get("stage") else []
    if isinstance(told.get("percentage"), (int, float)):
        parts.append(f"{told['percentage']:.0f} %")
    if told.get("total_steps"):
        parts.append(f"{told.get('current_step', 0)} of {told['total_steps']}")
    return f"{where}: {', '.join(parts) or execution.status or 'running'}"


def conclude(job: "Job", teller: Teller) -> int:
    """Say how the job ended; return the exit code."""
    info = job.info()
    told = ((info["result"] or {}).get("executions") or [{}])[0]
    if info["state"] == "succeeded":
        files = told.get("output_files") or 0
        teller.tell(f"Succeeded; {files} output files: quayline output {job.id} -o FILE.tar")
        return CLEAN
    reason = told.get("reason") or info["reason"]
    say(f"{told.get('message') or info['message']} ({reason})")
    return UNABLE if reason in NOT_RUN else FAILED


def _write(entry: "LogEntry") -> None:
    stream: Any = sys.stdout if entry.stream == "stdout" else sys.stderr
    stream.flush()
    stream.buffer.write(entry.data)
    stream.buffer.flush()


def logs(
    job: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="After this entry's time (RFC 3339).")
    ] = "",
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="The time of each entry before it.")
    ] = False,
) -> None:
    """Write what a job's container wrote, standard output and standard error apart."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.interrupts import Interrupted, Interrupts

    with Interrupts() as interrupts, open_client() as client:
        interrupts.raising = False
        found = client.job(job)
        wanted = lambda: interrupts.signum is None  # noqa: E731
        for entry in found.logs(since=since, follow=follow, is_wanted=wanted):
            if timestamps:
                stream: Any = sys.stdout if entry.stream == "stdout" else sys.stderr
                stream.buffer.write(f"{entry.timestamp} ".encode())
            _write(entry)
        if interrupts.signum is not None:
            raise Interrupted(interrupts.signum)


def output(
    job: JobId,
    path: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The tar archive to write.")
    ],
) -> None:
    """Write the output files of a job's container as a tar archive."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.outputs import whole_file

    with open_client() as client, whole_file(path) as stream:
        client.job(job).write_output(stream)
    note(f"Output: {path}")


def kill(
    told: Annotated[
        list[str], typer.Argument(metavar="JOB...", help="Their ids.", show_default=False)
    ],
) -> None:
    """Kill the containers of jobs at once, without their grace."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        if client.settings.embedded:
            raise Refused(
                "Containers of the embedded service are stopped by `quayline cancel`; `kill` needs"
                " workers on a broker."
            )
        for job in [client.job(each) for each in told]:
            job.kill()
            typer.echo(f"{job.id} is being killed.")
