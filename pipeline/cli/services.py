"""``quayline service``: what workers offer, and calls of it."""

import json
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.display import Display
from pipeline.cli.exits import CLEAN, FAILED, UNABLE
from pipeline.cli.faults import note, say
from pipeline.cli.jobs import as_document
from pipeline.cli.options import Deadline, Json, Key, Labels, Owner, Priority, Quiet, Timeout
from pipeline.cli.panels import PanelGroup
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.kinds.service.standing import Standing
    from pipeline.producer import Client, Job, Progress

services = typer.Typer(
    cls=PanelGroup, no_args_is_help=True, help="Named callables, run as background tasks."
)

#: Reasons of a call that did not come to an answer of the service.
NOT_ANSWERED = frozenset({"bad_request", "corrupt", "storage", "cancelled", "deadline"})


@services.command("list")
def list_services(as_json: Json = False) -> None:
    """List what workers have offered."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.tables import brief, print_table, shown

    with open_client() as client:
        found = client.services
    if as_json:
        typer.echo(as_document([asdict(each) for each in found]))
        return
    if not found:
        note("No worker has offered a service yet.")
        return
    rows = [
        [
            *(each.mode, each.name, "heavy" if each.heavy else "fast"),
            ", ".join([*each.tasks, *(["…"] if each.takes_any else [])]),
            shown(each.seen_at),
            brief(each.description),
        ]
        for each in found
    ]
    print_table(["MODE", "SERVICE", "RUNS", "TASKS", "SEEN", "WHAT IT DOES"], rows)


@services.command("run")
def run(
    mode: Annotated[str, typer.Argument(metavar="MODE", help="chat, document, ….")],
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Its name.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its method.")],
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON|@FILE", help="What it is given; @-: stdin."),
    ] = None,
    many: Annotated[
        str | None,
        typer.Option("--inputs", metavar="JSON|@FILE", help="A list: a call for each of it."),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", "-c", metavar="JSON|@FILE", help="Its surroundings."),
    ] = None,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="For whom it is.")] = "",
    step: Annotated[
        int, typer.Option("--step", metavar="N", min=0, help="The number that it is told under.")
    ] = 1,
    heavy: Annotated[
        bool | None,
        typer.Option("--heavy/--fast", help="Where it runs (default: as the service says)."),
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the result, or print the job's id.")
    ] = True,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Tell its progress and output as they come.")
    ] = False,
    timeout: Timeout = None,
    priority: Priority = 5,
    labels: Labels = None,
    owner: Owner = "",
    key: Key = None,
    deadline: Deadline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Call a service and print what it returns; Ctrl-C cancels the call.

    The exit code is 0 when it is completed, 1 when it has failed, 2 when it could not be made.
    """
    from pipeline.cli.clients import open_client
    from pipeline.cli.linting import labels_of

    with open_client(work=waiting) as client:
        job = client.service(
            *(mode, service),
            task=task,
            input=None if given is None else document(given, "--input"),
            inputs=None if many is None else document(many, "--inputs"),
            context=None if context is None else document(context, "--context"),
            user_id=user,
            step=step,
            heavy=heavy,
            priority=5 if priority is None else priority,
            labels=labels_of(labels or ()),
            owner=owner,
            idempotency_key=key,
            deadline_s=deadline,
        )
        if job.warning and not quiet:
            note(job.warning)
        if not waiting:
            typer.echo(job.id)
            return
        followed(client, job, Teller(job, follow=following and not quiet), timeout_s=timeout)
        code = conclude(job, as_json=as_json, quiet=quiet)
    raise typer.Exit(code)


def document(told: str, option: str) -> Any:
    """Return the JSON of an option: the text itself, ``@FILE``'s, or standard input's (``@-``)."""
    text = text_of(told[1:], f"{option} {told}") if told.startswith("@") else told
    found = json_of(text, f"{option}: {told[:60]!r}")
    wanted = list if option == "--inputs" else dict
    members = found if wanted is list and isinstance(found, list) else []
    if not isinstance(found, wanted) or not all(isinstance(each, dict) for each in members):
        what = "a list of objects" if wanted is list else "an object"
        raise Refused(f"{option} takes {what} in JSON.")
    return found


def text_of(place: str, name: str) -> str:
    """Return what stands in the file, or in standard input (``-``); ``Refused`` names it so."""
    try:
        return sys.stdin.read() if place == "-" else Path(place).read_text("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{name}: it is not UTF-8.") from None
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}.") from error


def json_of(text: str, name: str) -> Any:
    """Return what the text is in JSON; ``Refused`` names it so."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is no JSON: {error}.") from error


def followed(client: "Client", job: "Job", teller: Display, *, timeout_s: float | None) -> None:
    """Return once the job has ended; the first signal cancels it."""
    from pipeline.cli.following import cancel_cleanly, follow
    from pipeline.cli.interrupts import Interrupted, Interrupts

    with Interrupts() as interrupts:
        interrupts.raising = False
        try:
            follow(client, job, teller, interrupts, timeout_s=timeout_s)
        except Interrupted:
            cancel_cleanly([job], teller)
            teller.close()
            raise


class Teller:
    """Says on standard error what is new of a call: its state, progress and output so far."""

    def __init__(self, job: "Job", *, follow: bool) -> None:
        self._job = job
        self._follow = follow
        self._told = ""
        self._attempt = 0
        self._seen = 0
        self._in_line = False
        if follow:
            note(f"Job {job.id}")

    def show(self, progress: "Progress") -> None:
        """Look at the call where somebody wants to know."""
        if not self._follow:
            return
        from pipeline.kinds.service.standing import standing

        now = standing(uuid.UUID(self._job.id))
        told = _line(now)
        if told != self._told:
            self._told = told
            self.say(told)
        self._show_output(now)

    def _show_output(self, now: "Standing") -> None:
        if now.attempt != self._attempt:
            # Another run begins its output anew.
            self._attempt, self._seen = now.attempt, 0
        new = now.partial[max(0, self._seen - now.partial_from) :]
        self._seen = now.partial_from + len(now.partial)
        if new:
            self._in_line = not new.endswith("\n")
            sys.stderr.write(new)
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Say it in a line of its own."""
        self.close()
        note(text)

    def close(self) -> None:
        """End the line of output that is begun."""
        if self._in_line:
            self._in_line = False
            note("")


def _line(now: "Standing") -> str:
    progress = now.progress or {}
    parts = [str(now.status)]
    if progress.get("fraction") is not None:
        parts.append(f"{progress['fraction']:.0%}")
    if progress.get("message"):
        parts.append(str(progress["message"]))
    return ", ".join(parts)


def conclude(job: "Job", *, as_json: bool = False, quiet: bool = False) -> int:
    """Print what came of the calls of an ended job; return the exit code."""
    from pipeline.kinds.service.standing import Status, standing

    now = standing(uuid.UUID(job.id))
    result = job.result()
    has_several = "tasks" in result
    if as_json:
        told = {**asdict(now), **({"result": result["tasks"]} if has_several else {})}
        typer.echo(as_document({name: each for name, each in told.items() if name != "owner"}))
    elif has_several:
        _print_calls(result["tasks"])
    elif now.status is Status.COMPLETED:
        _print_result(now.result)
    if now.status is Status.COMPLETED:
        return CLEAN
    if not quiet:
        say(f"{now.error} ({now.reason or now.status.lower()})")
    return UNABLE if now.reason in NOT_ANSWERED else FAILED


def _print_result(result: Any) -> None:
    typer.echo(result if isinstance(result, str) else as_document(result))


def _print_calls(calls: list[dict[str, Any]]) -> None:
    from pipeline.cli.tables import print_table

    rows = [[str(each["name"]), str(each["state"]), _brief(each)] for each in calls]
    print_table(["CALL", "STATE", "RESULT"], rows)


def _brief(call: dict[str, Any]) -> str:
    if call.get("error"):
        return str(call["error"])
    result = call.get("result")
    told = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    told = " ".join(told.split())
    return told if len(told) <= 200 else f"{told[:200]}…"
