"""``quayline workflow``: calls of services that need one another, from a file, as one job."""

import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.faults import note
from pipeline.cli.options import Deadline, Json, Key, Labels, Owner, Priority, Quiet, Timeout
from pipeline.cli.services import conclude, followed, json_of, text_of
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.core.live import Message
    from pipeline.producer import Job, Progress

#: What the file may say beside its steps.
BESIDE = ("on_failure", "user_id")


def workflow(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.json|-",
            help="A list of steps, or an object with steps, on_failure, user_id; -: stdin.",
            show_default=False,
        ),
    ],
    on_failure: Annotated[
        Literal["continue", "stop"] | None,
        typer.Option("--on-failure", help="stop: when a step has failed, none begins any more."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="For whom it is.")
    ] = None,
    heavy: Annotated[
        bool | None,
        typer.Option("--heavy/--fast", help="Where it runs (default: as the services say)."),
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end, or print the job's id.")
    ] = True,
    timeout: Timeout = None,
    priority: Priority = 5,
    labels: Labels = None,
    owner: Owner = "",
    key: Key = None,
    deadline: Deadline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make calls of services, as the steps of one job, and print what each returns.

    A line on standard error tells of each step that begins and ends; Ctrl-C cancels the job.

    The exit code is 0 when all is completed, 1 when a step has failed, 2 when it could not be made.
    """
    from pipeline.cli.clients import open_client
    from pipeline.cli.linting import labels_of

    told = steps_of(file)
    own = {"on_failure": on_failure, "user_id": user}
    told |= {name: each for name, each in own.items() if each is not None}
    with open_client(work=waiting) as client:
        job = client.workflow(
            told.pop("steps"),
            **told,
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
        followed(client, job, Teller(job, quiet=quiet), timeout_s=timeout)
        code = conclude(job, as_json=as_json, quiet=quiet)
    raise typer.Exit(code)


def steps_of(file: str) -> dict[str, Any]:
    """Return what the file says: its ``steps``, and what stands beside them."""
    found = json_of(text_of(file, file), file)
    told = {"steps": found} if isinstance(found, list) else found
    steps = told.get("steps") if isinstance(told, dict) else None
    if not isinstance(steps, list) or not all(isinstance(each, dict) for each in steps):
        raise Refused(f"{file} holds no steps: a list of objects, or an object with it as steps.")
    unknown = sorted({*told} - {"steps", *BESIDE})
    if unknown:
        raise Refused(f"{file}: beside steps there may be {', '.join(BESIDE)}, not {unknown[0]!r}.")
    return dict(told)


class Teller:
    """Says on standard error when a step begins and how it ends."""

    def __init__(self, job: "Job", *, quiet: bool) -> None:
        from pipeline.core.live import Follow

        self._follow = Follow(uuid.UUID(job.id))
        self._quiet = quiet
        self._told: dict[str, str] = {}
        if not quiet:
            note(f"Job {job.id}")

    def show(self, progress: "Progress") -> None:
        """Look what is new of the steps."""
        if self._quiet:
            return
        from pipeline.core.live import look

        for message in self._follow.take(look([self._follow.ask()])[0]):
            if message.event == "progress" and message.data["task_id"] is not None:
                self._tell(message)

    def _tell(self, message: "Message") -> None:
        name, line = message.data["name"], line_of(message.data)
        # That it waits is told where it was begun before.
        if self._told.get(name, "pending") != line:
            self._told[name] = line
            note(f"{name}: {line}")

    def say(self, text: str) -> None:
        """Say it in a line of its own."""
        note(text)

    def close(self) -> None:
        """There is nothing to take away."""


def line_of(data: dict[str, Any]) -> str:
    """Return how a step is, in the words of its ``progress`` message."""
    status = str(data["status"])
    if "error" not in data:
        return status if data["attempt"] < 2 or status == "completed" else f"{status} again"
    return f"{status}: {data['error']} ({data['reason']})"
