"""Commands on jobs that exist: ``jobs``, ``show``, ``wait``, ``cancel``, ``retry``, ``report``."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.asking import Form
from pipeline.cli.faults import note
from pipeline.cli.options import JobId, Json, Quiet, Timeout
from pipeline.states import TERMINAL_JOB, JobState

if TYPE_CHECKING:
    from pipeline.producer import Client, Job

#: What `jobs` tells of a job.
BRIEF = ("id", "kind", "state", "reason", "done", "total", "priority", "owner", "labels")


def list_jobs(
    state: Annotated[
        JobState | None,
        typer.Option("--state", metavar="STATE", help=f"Only those: {', '.join(JobState)}."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most.")
    ] = 20,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Only of this owner.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.tables import print_table

    with open_client() as client:
        told = [
            job.info()
            for job in client.jobs(
                state=None if state is None else str(state), owner=owner, limit=limit
            )
        ]
    if as_json:
        typer.echo(as_document([_brief(info) for info in told]))
        return
    if not told:
        note("There are no jobs.")
        return
    rows = [
        [
            str(info["id"]),
            str(info["state"]),
            f"{_done(info)}/{info['total']}",
            _age(info["created_at"]),
            _gate(info),
            str((info["source"] or {}).get("name", "")),
        ]
        for info in told
    ]
    print_table(["JOB", "STATE", "DONE", "AGE", "GATE", "SOURCE"], rows)


def show(
    job: JobId,
    events: Annotated[bool, typer.Option("--events", help="Its history, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show one job: state, progress, verdict, and its history."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        found = client.job(job)
        info = found.info()
        history = found.events() if events else []
    if as_json:
        typer.echo(as_document({**info, **({"events": history} if events else {})}))
        return
    _print_job(info)
    for event in history:
        at = event["at"].astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        moved = f"{event['from_state'] or '·'} → {event['to_state']}"
        what = event["subject"]
        if event.get("tasks"):
            count = sum(last - first + 1 for first, last in event["tasks"])
            what = f"{count} task{'s' if count != 1 else ''}"
        why = " ".join(str(each) for each in (event["reason"], event["message"]) if each)
        typer.echo(f"{at}  {what:10} {moved:22} {event['actor']}  {why}".rstrip())


def wait(
    job: JobId,
    timeout: Timeout = None,
    quiet: Quiet = False,
) -> None:
    """Wait for a job's end; the exit code is lint's, or whether it succeeded.

    Embedded, this process does the work.

    Ctrl-C ends the waiting, not the job.
    """
    from pipeline.cli.clients import open_client

    with open_client(work=True) as client:
        code = wait_for(client, client.job(job), timeout_s=timeout, quiet=quiet)
    raise typer.Exit(code)


def wait_for(
    client: "Client", job: "Job", *, timeout_s: float | None = None, quiet: bool = False
) -> int:
    """Follow the job, tell how it ended, and return the exit code."""
    from pipeline.cli.display import display_for
    from pipeline.cli.following import follow
    from pipeline.cli.interrupts import Interrupted, Interrupts

    title = str((job.info()["source"] or {}).get("name") or job.id)
    with Interrupts() as interrupts:
        interrupts.raising = False
        client.start()
        display = display_for(title, quiet=quiet)
        try:
            follow(client, job, display, interrupts, timeout_s=timeout_s)
        except Interrupted:
            note(f"The job was not cancelled; `quayline cancel {job.id}` does that.")
            raise
        return _conclude(job, quiet=quiet)


def _conclude(job: "Job", *, quiet: bool) -> int:
    """Tell how the job ended, as its kind does, and return the exit code."""
    from pipeline.cli import containers, services, verdicts
    from pipeline.kinds.service.spec import KIND_NAMES

    kind = job.info()["kind"]
    if kind == "container":
        return containers.conclude(job, containers.Teller(quiet=quiet))
    if kind in KIND_NAMES:
        return services.conclude(job, quiet=quiet)
    return verdicts.conclude(job, (), quiet=quiet)


def cancel(
    told: Annotated[
        list[str], typer.Argument(metavar="JOB...", help="Their ids.", show_default=False)
    ],
) -> None:
    """Cancel jobs: what waits ends at once, what runs within seconds."""
    from pipeline.cli.clients import open_client

    with open_client() as client:
        for job in [client.job(each) for each in told]:
            if job.cancel(actor="command line"):
                typer.echo(f"{job.id} is cancelled.")
            else:
                typer.echo(f"{job.id} had ended or was cancelled before ({job.status}).")


def retry(
    job: JobId,
    waiting: Annotated[
        bool, typer.Option("--wait", help="Wait for its end, as wait does.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run an ended job again as a new one; what it reached is reused. Prints the new job's id."""
    from pipeline.cli.clients import open_client

    code = 0
    with open_client(work=waiting) as client:
        again = client.job(job).retry(actor="command line")
        typer.echo(again.id)
        if waiting:
            code = wait_for(client, again, quiet=quiet)
        elif client.settings.embedded:
            note("The job waits until `quayline run` or `quayline wait` works on it.")
    raise typer.Exit(code)


def report(
    job: JobId,
    form: Annotated[
        Form, typer.Option("--format", "-f", metavar="NAME", help="The report's format.")
    ] = Form.TEXT,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="A file, or a folder for it."),
    ] = None,
) -> None:
    """Write a report of an ended job."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.outputs import planned_outputs, write

    [outputs] = planned_outputs([str(form)], [output] if output else [])
    with open_client() as client:
        for path in write(client.job(job), outputs):
            note(f"Report: {path}")


def as_document(value: Any) -> str:
    """Return indented JSON; times as ISO text."""
    return json.dumps(value, indent=2, ensure_ascii=not _utf8(), default=_plain)


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _brief(info: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: info.get(key) for key in BRIEF}
    told["done"] = _done(info)
    for key in ("created_at", "started_at", "finished_at"):
        told[key] = info[key]
    told["source"] = (info["source"] or {}).get("name")
    verdict = (info["result"] or {}).get("verdict") or {}
    return {**told, "gate_failed": verdict.get("failed")}


def _done(info: Mapping[str, Any]) -> int:
    return int(info["succeeded"] + info["failed"] + info["timed_out"] + info["cancelled"])


def _gate(info: Mapping[str, Any]) -> str:
    verdict = (info["result"] or {}).get("verdict")
    return "" if verdict is None else "failed" if verdict["failed"] else "passed"


def _age(created_at: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - created_at).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _print_job(info: Mapping[str, Any]) -> None:
    from pipeline.cli.verdicts import summary

    def line(name: str, value: object) -> None:
        if value not in (None, "", {}):
            typer.echo(f"{name + ':':12} {value}")

    line("Job", info["id"])
    line("Kind", info["kind"])
    reason = f" ({info['reason']})" if info["reason"] else ""
    line("State", f"{info['state']}{reason}")
    if info["state"] not in TERMINAL_JOB:
        line("Stage", info["stage"])
    line("Message", info["message"])
    line("Source", (info["source"] or {}).get("name"))
    line("Files", f"{_done(info)}/{info['total']} done, {info['reused']} from the cache")
    line("Priority", info["priority"])
    line("Owner", info["owner"])
    line("Labels", ", ".join(f"{key}={value}" for key, value in (info["labels"] or {}).items()))
    for name in ("created_at", "started_at", "finished_at", "deadline_at"):
        if info[name] is not None:
            moment = info[name].astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
            line(name.removesuffix("_at").capitalize(), moment)
    line("Error", (info["result"] or {}).get("error"))
    if info["kind"] == "sql_lint":
        for sentence in summary(info):
            typer.echo(sentence)
