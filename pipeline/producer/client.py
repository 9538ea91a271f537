"""The way in: submits jobs of every kind, and works on them where that is this process's."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pipeline.core import jobs, trouble
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.embedded import Embedded
from pipeline.core.jobs import Submission
from pipeline.core.kinds import get_kind
from pipeline.core.sweep import sweep
from pipeline.kinds.service import choosing, registry
from pipeline.kinds.service import offers as services
from pipeline.kinds.service.offers import Offered
from pipeline.kinds.service.spec import ServiceParameters
from pipeline.kinds.sql_lint.gate import Baseline
from pipeline.kinds.sql_lint.source import Source, as_stream
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.producer.job import Job
from pipeline.producer.reading import read_document, read_file, validated
from pipeline.producer.schedules import Schedules
from pipeline.producer.templates import Templates
from pipeline.settings import Settings, get_settings
from pipeline.store.room import check_room


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
    ) -> Job:
        """Store the source, write the job and ring; return at once.

        ``source`` is an archive (ZIP, tar, tar.gz), a folder, a file, several of those, bytes or a
        binary stream of an archive, or a mapping of names to content; names of files are told from
        ``root``, whose configuration counts as SQLFluff's working folder's would.
        Raises ``Refused`` for what the caller can mend, ``StorageUnavailable`` or
        ``DatabaseUnavailable`` when nothing was accepted; once this returns, the job is kept.
        """
        told = validated(
            LintParameters,
            {
                "dialect": dialect,
                "rules": _joined(rules),
                "exclude_rules": _joined(exclude_rules),
                "templater": templater,
                "base_configs": list(base_configs),
                "overrides": dict(overrides or {}),
                "fix": fix,
                "cache": cache,
                "disable_noqa": disable_noqa,
                "local_config": local_config,
                "fail_on": fail_on,
                "reports": list(reports),
                **_config(config),
                "baseline": self._baseline(baseline),
            },
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
    ) -> Job:
        """Submit a container job (a crawler, API, database or custom task) and return at once.

        ``document`` is the task as its submitter writes it (``task_name``, ``task_type``, …), or
        the path of a JSON file of it. Raises ``Refused`` for an unknown key, an image off the
        allow-list, or more memory than a container may have; nothing is stored then.
        """
        told = read_document(document) if isinstance(document, Path) else document
        kind = get_kind("container")
        parameters = validated(kind.parameters, told)
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
    ) -> Job:
        """Submit a call of a service, or one for each of ``inputs``; return at once.

        >>> client.service("chat", "text_analyzer", task="analyze_text", input={"text": "…"})

        ``heavy``: on ``heavy_tasks``, in a child process; None: as workers say of the service. One
        that none has offered yet is taken, since its worker may come, and ``job.warning`` says so.
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
    ) -> Job:
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

    def _call(self, told: Mapping[str, Any], heavy: bool | None, **more: Any) -> Job:
        parameters = validated(ServiceParameters, told)
        if self._work:
            # Who does the work knows the services, too.
            registry.load(self.settings.service_module_list)
            services.announce_now_and_then()
        before = jobs.under_key(more["owner"], more["idempotency_key"])
        kind = choosing.kind_of(parameters, heavy, before)
        kind.admit(parameters, self.settings)
        warning = services.warning(parameters)
        parameters_told = parameters.model_dump(mode="json", exclude_unset=True)
        submission = Submission(kind=kind.name, parameters=parameters_told, **more)
        job_id = jobs.submit(submission, heard=self.heard)
        self.start()
        return Job(self, job_id, warning=warning)

    @property
    def services(self) -> Sequence[Offered]:
        """What workers offer, by mode and name."""
        return services.listed()

    @property
    def schedules(self) -> Schedules:
        """What is submitted at certain times."""
        return Schedules(self._context)

    @property
    def templates(self) -> Templates:
        """Named job descriptions with variables, in versions."""
        return Templates(self)

    def _baseline(self, baseline: Path | bytes | None) -> str | None:
        if baseline is None:
            return None
        content = baseline if isinstance(baseline, bytes) else read_file(Path(baseline))
        Baseline.from_bytes(content)
        return self._context.blobs.put(content).digest

    def start(self) -> None:
        """Embedded: start this process's worker threads; no effect elsewhere, or when they run."""
        with self._lock:
            if self._work and self._embedded is None:
                self._embedded = Embedded(self._context)

    def job(self, job_id: str | uuid.UUID) -> Job:
        """Return the job of that id; ``NotFound`` when there is none."""
        return Job(self, jobs.get(job_id).id)

    def jobs(
        self, *, state: str | None = None, owner: str | None = None, limit: int = 50
    ) -> list[Job]:
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


def _joined(rules: str | Sequence[str] | None) -> str | None:
    return rules if rules is None or isinstance(rules, str) else ",".join(rules)


def _config(config: Path | bytes | str | None) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, bytes):
        return {"config": config.decode("utf-8", "replace")}
    path = Path(config)
    return {"config": read_file(path).decode("utf-8", "replace"), "config_name": path.name}
