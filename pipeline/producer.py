"""The producer library: what other programs import to submit jobs and follow them.

>>> from pipeline import Client
>>> with Client() as client:
...     job = client.lint("repo.zip", dialect="postgres").wait()
...     print(job.status, job.verdict()["counts"])

Usable from threads and web applications: every call takes a pooled connection and gives it back.
Neither SQLFluff nor Docker is imported. A broker that is away neither loses a job nor holds up
the caller for longer than ``QUAYLINE_BROKER_TIMEOUT_S``.
"""

import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.adapters.engines.model import LogEntry
from pipeline.core import executions, jobs, trouble
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.embedded import Embedded
from pipeline.core.executions import Execution
from pipeline.core.jobs import Progress, Submission
from pipeline.core.kinds import get_kind
from pipeline.core.schedules import book, fires, rows, turn
from pipeline.core.schedules.fires import Fire
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleChange, ScheduleRequest
from pipeline.core.sweep import sweep
from pipeline.core.templates import book as template_book
from pipeline.core.templates import rows as template_rows
from pipeline.core.templates import submitting
from pipeline.core.templates.rows import Template
from pipeline.core.templates.spec import TemplateJob, TemplateRequest
from pipeline.errors import Refused, WaitTimeout
from pipeline.kinds.container import logs as container_logs
from pipeline.kinds.container import output as container_output
from pipeline.kinds.container.doorbell import ring_stop
from pipeline.kinds.service import choosing, registry
from pipeline.kinds.service import finish as service_finish
from pipeline.kinds.service import offers as services
from pipeline.kinds.service.offers import Offered
from pipeline.kinds.service.spec import ServiceParameters
from pipeline.kinds.service.standing import KINDS as SERVICE_KINDS
from pipeline.kinds.sql_lint import finish as lint_finish
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.kinds.sql_lint.reports import FileReport
from pipeline.kinds.sql_lint.source import Source, as_stream
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.settings import Settings, get_settings
from pipeline.states import TERMINAL_JOB
from pipeline.store.room import check_room

__all__ = [
    "Client",
    "Fire",
    "Job",
    "Progress",
    "Schedule",
    "Schedules",
    "Template",
    "Templates",
]

M = TypeVar("M", bound=BaseModel)


class Client:
    """The way to one Quayline: its database, storage and broker, from the settings.

    On the embedded default (no ``QUAYLINE_BROKER_URL``) the client also does the work, in threads
    of this process, from the first submission on. One process works on one database.
    """

    def __init__(self, settings: Settings | None = None, *, work: bool = True) -> None:
        self.settings = settings or get_settings()
        self._context = open_context(self.settings)
        self._work = work and self.settings.embedded
        self._embedded: Embedded | None = None
        self._lock = threading.Lock()

    @property
    def context(self) -> Context:
        """The open surroundings, for the entry points."""
        return self._context

    @property
    def heard(self) -> bool:
        """True when somebody hears this client's messages: a broker, or its own threads."""
        return self._work or not self.settings.embedded

    def lint(
        self,
        source: Source,
        *,
        dialect: str | None = None,
        rules: str | Sequence[str] | None = None,
        exclude_rules: str | Sequence[str] | None = None,
        templater: str | None = None,
        config: Path | bytes | str | None = None,
        base_configs: Sequence[tuple[str, str]] = (),
        overrides: Mapping[str, Any] | None = None,
        fix: bool = False,
        cache: bool = True,
        disable_noqa: bool = False,
        local_config: bool = True,
        fail_on: str = "any",
        baseline: Path | bytes | None = None,
        reports: Sequence[str] = ("json",),
        name: str | None = None,
        root: Path | None = None,
        priority: int = 5,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> "Job":
        """Store the source, write the job and ring; return at once.

        ``source`` is an archive (ZIP, tar, tar.gz), a folder, a file, several of those, bytes or a
        binary stream of an archive, or a mapping of names to content; names of files are told from
        ``root``, whose configuration counts as SQLFluff's working folder's would.
        Raises ``Refused`` for what the caller can mend, ``StorageUnavailable`` or
        ``DatabaseUnavailable`` when nothing was accepted; once this returns, the job is kept.
        """
        told = _lint_parameters(
            dialect=dialect,
            rules=_joined(rules),
            exclude_rules=_joined(exclude_rules),
            templater=templater,
            base_configs=list(base_configs),
            overrides=dict(overrides or {}),
            fix=fix,
            cache=cache,
            disable_noqa=disable_noqa,
            local_config=local_config,
            fail_on=fail_on,
            reports=list(reports),
            **_config(config),
            baseline=self._baseline(baseline),
        )
        with as_stream(source, name, root, parameters=told, settings=self.settings) as stream:
            blob = self._context.blobs.put(stream.file, limit_bytes=self.settings.max_source_bytes)
        # The source may have taken hours, and a blob that no row needs goes when it is old.
        self._baseline(baseline)
        job_id = jobs.submit(
            Submission(
                kind="sql_lint",
                parameters=told.model_dump(mode="json"),
                source={
                    "name": stream.name,
                    "size_bytes": blob.size_bytes,
                    "digest": blob.digest,
                    "blobs": [each for each in (blob.digest, told.baseline) if each],
                },
                priority=priority,
                owner=owner,
                labels=labels,
                idempotency_key=idempotency_key,
                deadline_s=deadline_s,
            ),
            heard=self.heard,
        )
        self.start()
        return Job(self, job_id)

    def run(
        self,
        document: Path | Mapping[str, Any],
        *,
        priority: int = 5,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> "Job":
        """Submit a container job (a crawler, API, database or custom task) and return at once.

        ``document`` is the task as its submitter writes it (``task_name``, ``task_type``, …), or
        the path of a JSON file of it. Raises ``Refused`` for an unknown key, an image off the
        allow-list, or more memory than a container may have; nothing is stored then.
        """
        told = read_document(document) if isinstance(document, Path) else document
        kind = get_kind("container")
        parameters = _validated(kind.parameters, told)
        kind.admit(parameters, self.settings)
        name = str(document) if isinstance(document, Path) else str(told["task_name"])
        job_id = jobs.submit(
            Submission(
                kind=kind.name,
                parameters=dict(told),
                source={"name": name},
                priority=priority,
                owner=owner,
                labels=labels,
                idempotency_key=idempotency_key,
                deadline_s=deadline_s,
            ),
            heard=self.heard,
        )
        self.start()
        return Job(self, job_id)

    def service(
        self,
        mode: str,
        name: str,
        *,
        task: str,
        input: Mapping[str, Any] | None = None,
        inputs: Sequence[Mapping[str, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        user_id: str = "",
        step: int = 1,
        heavy: bool | None = None,
        on_failure: str = "continue",
        priority: int = 5,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> "Job":
        """Submit a call of a service, or one for each of ``inputs``; return at once.

        >>> client.service("chat", "text_analyzer", task="analyze_text", input={"text": "…"})

        ``heavy``: on ``heavy_tasks``, in a child process; None: as workers say of the service.
        Raises ``Refused`` for what is no JSON, or more than a call may have.
        """
        told = {
            **{"mode": mode, "service": name, "task": task, "user_id": user_id, "step": step},
            **({} if input is None else {"input": dict(input)}),
            **({} if inputs is None else {"inputs": [dict(each) for each in inputs]}),
            **{"context": dict(context or {}), "on_failure": on_failure},
        }
        return self._call(
            told,
            heavy,
            priority=priority,
            owner=owner,
            labels=labels,
            idempotency_key=idempotency_key,
            deadline_s=deadline_s,
        )

    def workflow(
        self,
        steps: Sequence[Mapping[str, Any]],
        *,
        on_failure: str = "continue",
        user_id: str = "",
        heavy: bool | None = None,
        priority: int = 5,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> "Job":
        """Submit several calls as the steps of one job; return at once.

        A step is a mapping: ``name``, ``mode``, ``service``, ``task``, ``input``, ``context``,
        ``needs`` (names of steps that go before it) and ``trigger`` (``all_succeeded`` or
        ``all_done``). In its input ``{"$from": NAME, "path": "a.b"}`` is the result of a need.
        """
        told = {
            "steps": [dict(step) for step in steps],
            **{"on_failure": on_failure, "user_id": user_id},
        }
        return self._call(
            told,
            heavy,
            priority=priority,
            owner=owner,
            labels=labels,
            idempotency_key=idempotency_key,
            deadline_s=deadline_s,
        )

    def _call(self, told: Mapping[str, Any], heavy: bool | None, **more: Any) -> "Job":
        parameters = _validated(ServiceParameters, told)
        if self._work:
            # Who does the work knows the services, too.
            registry.load(self.settings.service_module_list)
            services.announce_now_and_then()
        before = jobs.under_key(more["owner"], more["idempotency_key"])
        kind = choosing.kind_of(parameters, heavy, before)
        kind.admit(parameters, self.settings)
        parameters_told = parameters.model_dump(mode="json", exclude_unset=True)
        submission = Submission(kind=kind.name, parameters=parameters_told, **more)
        job_id = jobs.submit(submission, heard=self.heard)
        self.start()
        return Job(self, job_id)

    @property
    def services(self) -> Sequence[Offered]:
        """What workers offer, by mode and name."""
        return services.listed()

    @property
    def schedules(self) -> "Schedules":
        """What is submitted at certain times."""
        return Schedules(self._context)

    @property
    def templates(self) -> "Templates":
        """Named job descriptions with variables, in versions."""
        return Templates(self)

    def _baseline(self, baseline: Path | bytes | None) -> str | None:
        if baseline is None:
            return None
        content = baseline if isinstance(baseline, bytes) else _read(Path(baseline))
        Baseline.from_bytes(content)
        return self._context.blobs.put(content).digest

    def start(self) -> None:
        """Embedded: start this process's worker threads; no effect elsewhere, or when they run."""
        with self._lock:
            if self._work and self._embedded is None:
                self._embedded = Embedded(self._context)

    def job(self, job_id: str | uuid.UUID) -> "Job":
        """Return the job of that id; ``NotFound`` when there is none."""
        return Job(self, jobs.get(job_id).id)

    def jobs(
        self, *, state: str | None = None, owner: str | None = None, limit: int = 50
    ) -> list["Job"]:
        """Return jobs, the newest first."""
        return [Job(self, row.id) for row in jobs.listed(state=state, owner=owner, limit=limit)]

    def sweep(self) -> dict[str, int]:
        """Look once for what is due and has nobody; return what was done."""
        from dataclasses import asdict

        return asdict(sweep(self._context))

    def check_room(self) -> None:
        """Raise ``StorageUnavailable`` when the embedded service's disk is full or read-only."""
        if self.settings.embedded:
            check_room(self.settings.folders)

    def in_trouble(self, within_s: float) -> bool:
        """Tell whether work of this process could not be written in the last so many seconds."""
        return trouble.within(within_s)

    def close(self) -> None:
        """End the worker threads, if any, and every connection."""
        with self._lock:
            if self._embedded is not None:
                self._embedded.close()
                self._embedded = None
        close_context()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the client."""
        self.close()


class Schedules:
    """What is submitted at certain times, by the scheduler process or ``quayline run``.

    >>> client.schedules.create("shop-nightly", Path("shop.json"), cron="30 2 * * *")
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(
        self,
        name: str,
        document: Path | Mapping[str, Any] | None = None,
        *,
        kind: str | None = None,
        from_job: "Job | str | None" = None,
        owner: str = "",
        **told: Any,
    ) -> Schedule:
        """Store a schedule; return it. Give one of ``cron``, ``every_s`` and ``at``.

        ``document`` holds the parameters of its jobs, as ``run`` and submissions take them, of the
        kind ``container`` where none is named; ``from_job`` is a job whose kind, parameters and
        stored source are used where none are given; ``template`` (NAME or NAME@VERSION) with
        ``variables`` stands for all three. Besides: ``timezone``, ``enabled``,
        ``catch_up`` (skip, once, all), ``overlap`` (allow, skip, cancel_previous), ``priority``,
        ``labels``, ``deadline_s``. Raises ``Refused`` for what could not be submitted, and
        ``Conflict`` when there is one of that name.
        """
        parameters = read_document(document) if isinstance(document, Path) else document
        if kind is None and from_job is None and told.get("template") is None:
            kind = "container"
        source = from_job.id if isinstance(from_job, Job) else from_job
        asked = _validated(
            ScheduleRequest,
            {**told, "name": name, "kind": kind, "parameters": parameters, "from_job": source},
        )
        return book.create(asked, self._context, owner=owner)

    def list(self) -> Sequence[Schedule]:
        """Return all of them, by name."""
        return rows.listed()

    def get(self, name: str) -> Schedule:
        """Return the schedule of that name; ``NotFound`` when there is none."""
        return rows.get(name)

    def change(self, name: str, **told: Any) -> Schedule:
        """Change what is named (as in ``create``), all or nothing; return it as it stands then."""
        return book.change(name, _validated(ScheduleChange, told), self._context)

    def enable(self, name: str) -> Schedule:
        """Let it fire from now on; what came while it was off was not missed."""
        return self.change(name, enabled=True)

    def disable(self, name: str) -> Schedule:
        """Let it fire no more."""
        return self.change(name, enabled=False)

    def run(self, name: str, *, actor: str = "client") -> str:
        """Submit its job now, whether it is on or off; return the job's id."""
        return str(turn.run_now(name, self._context, actor=actor))

    def fires(self, name: str, *, limit: int = 50) -> Sequence[Fire]:
        """Return what came of its times, the newest first."""
        return fires.listed(rows.get(name).id, limit=limit)

    def delete(self, name: str) -> None:
        """Take it and its history away; its jobs stay."""
        book.delete(name)


class Templates:
    """Named job descriptions with variables; a version is never changed, a new one is added.

    >>> client.templates.create("crawl", Path("crawl.json"))
    >>> client.templates.submit("crawl", shop="north", pages=3).wait()
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        name: str,
        document: Path | Mapping[str, Any] | None = None,
        *,
        from_job: "Job | str | None" = None,
        owner: str = "",
        **told: Any,
    ) -> Template:
        """Store a new version of the template; return it. The same again makes none.

        ``document`` (or the path of a JSON file of it) and further arguments hold ``kind``,
        ``parameters`` with placeholders, ``variables``, ``priority``, ``labels``, ``deadline_s``
        and ``description``; ``from_job`` is a job whose kind, parameters and stored source are
        used where none are given. Raises ``Refused`` for what no values could make a job of.
        """
        body = read_document(document) if isinstance(document, Path) else (document or {})
        if from_job is not None:
            told["from_job"] = from_job.id if isinstance(from_job, Job) else from_job
        asked = _validated(TemplateRequest, {**body, **told, "name": name})
        return template_book.create(asked, self._client.context, owner=owner)

    def get(self, name: str) -> Template:
        """Return the newest version that is not retired, or that of ``NAME@VERSION``."""
        return template_rows.get(name)

    def list(self) -> Sequence[Template]:
        """Return the newest version of each that is not retired, by name."""
        return template_rows.listed()

    def versions(self, name: str) -> Sequence[Template]:
        """Return all versions of one, the newest first, retired ones too."""
        return template_rows.versions(name)

    def retire(self, name: str) -> Sequence[str]:
        """Let no more jobs be made of ``NAME@VERSION``, or of any; return which were used."""
        return template_book.retire(name)

    def submit(
        self,
        name: str,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        priority: int | None = None,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
        **variables: Any,
    ) -> "Job":
        """Submit a job of the template and return at once; its label ``template`` is the version.

        Variables are given by name, or in ``values`` where their names are those of arguments.
        Raises ``Refused`` for a value that is none of the variable's, and for a job that its kind
        would refuse; nothing is stored then.
        """
        asked = _validated(
            TemplateJob,
            {
                **{"variables": {**(values or {}), **variables}, "labels": dict(labels or {})},
                **{"priority": priority, "deadline_s": deadline_s},
            },
        )
        client = self._client
        job_id = submitting.submit(
            *(name, asked, client.context),
            owner=owner,
            idempotency_key=idempotency_key,
            heard=client.heard,
        )
        client.start()
        return Job(client, job_id)


class Job:
    """One submitted job, looked up afresh at every call."""

    def __init__(self, client: Client, job_id: uuid.UUID) -> None:
        self._client = client
        self._id = job_id

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
        if row.kind not in SERVICE_KINDS:
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


def _lint_parameters(**told: Any) -> LintParameters:
    return _validated(LintParameters, told)


def _validated(model: type[M], told: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}." for part in first["loc"])[:-1]
        why = first["msg"].removeprefix("Value error, ")
        raise Refused(f"{where}: {why}." if where else f"{why}.") from error


def read_document(path: Path) -> Mapping[str, Any]:
    """Return the JSON object that the file holds; ``Refused`` when it holds none."""
    try:
        told = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is no JSON: {error}.") from error
    if not isinstance(told, dict):
        raise Refused(f"{path} holds no JSON object.")
    return told


def _joined(rules: str | Sequence[str] | None) -> str | None:
    return rules if rules is None or isinstance(rules, str) else ",".join(rules)


def _config(config: Path | bytes | str | None) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, bytes):
        return {"config": config.decode("utf-8", "replace")}
    path = Path(config)
    return {"config": _read(path).decode("utf-8", "replace"), "config_name": path.name}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
