"""``quayline lint`` and ``quayline submit``."""

import itertools
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.asking import JobAsk, LintAsk, SubmitAsk, taking
from pipeline.cli.faults import note
from pipeline.cli.interrupts import Interrupted, Interrupts, leave_at_once

if TYPE_CHECKING:
    from pipeline.cli.outputs import Output
    from pipeline.cli.sources import JobSource
    from pipeline.producer import Client, Job

#: Formats whose content is the fixed SQL; asking for one asks for it.
FIXED = frozenset({"fixed", "diff"})
#: What ``submit`` has written at the job's end when no format is named.
STORED = ("json",)


@taking(LintAsk)
def lint(asked: LintAsk) -> None:
    """Lint SQL: archives, folders, files, or standard input.

    Exit code 0: the gate passed; 1: it failed; 2: it could not be done. Ctrl-C cancels the job.
    """
    from pipeline.cli.clients import open_client, threads_of
    from pipeline.cli.sources import job_sources

    with (
        Interrupts() as interrupts,
        job_sources(
            asked.paths,
            local_config=not asked.ignore_local_config,
            stdin_filename=asked.stdin_filename,
        ) as sources,
    ):
        outputs = _outputs(asked, sources)
        with open_client(work=True, threads=threads_of(asked.processes)) as client:
            code = LintRun(client, asked, interrupts).run(sources, outputs)
    raise typer.Exit(code)


@taking(SubmitAsk)
def submit(asked: SubmitAsk) -> None:
    """Submit what lint would, without waiting; print the job's id."""
    from pipeline.cli.clients import open_client
    from pipeline.cli.sources import job_sources

    with (
        job_sources(
            asked.paths,
            local_config=not asked.ignore_local_config,
            stdin_filename=asked.stdin_filename,
        ) as sources,
        open_client() as client,
    ):
        for place, source in enumerate(sources):
            key = asked.idempotency_key
            job = submit_source(
                *(client, source, asked),
                reports=[str(form) for form in asked.formats or STORED],
                idempotency_key=f"{key}/{place}" if key and place else key,
                owner=asked.owner,
                deadline_s=asked.deadline,
            )
            typer.echo(job.id)
        if client.settings.embedded:
            note(
                "Nothing works on it yet: the job waits until `quayline run` or"
                " `quayline wait` does (no QUAYLINE_BROKER_URL is set)."
            )


def submit_source(client: "Client", source: "JobSource", asked: JobAsk, **more: Any) -> "Job":
    """Submit one source as it was asked for."""
    overrides = {
        "ignore": asked.ignore,
        "warnings": asked.warnings,
        "disable_noqa_except": asked.disable_noqa_except,
        "warn_unused_ignores": asked.warn_unused_ignores or None,
    }
    return client.lint(
        source.source,
        dialect=asked.dialect,
        rules=asked.rules,
        exclude_rules=asked.exclude_rules,
        templater=None if asked.templater is None else str(asked.templater),
        config=None if asked.config is None else asked.config.expanduser(),
        base_configs=source.base_configs,
        overrides={key: value for key, value in overrides.items() if value is not None},
        fix=asked.fix or bool(FIXED & {str(form) for form in asked.formats or ()}),
        cache=not asked.no_cache,
        disable_noqa=asked.disable_noqa,
        local_config=not asked.ignore_local_config,
        fail_on=str(asked.fail_on),
        baseline=asked.baseline,
        name=source.name,
        root=source.root,
        priority=asked.priority,
        labels=labels_of(asked.labels or ()),
        **more,
    )


class LintRun:
    """One ``lint``: its jobs submitted, followed, reported and judged; or cancelled together."""

    def __init__(self, client: "Client", asked: LintAsk, interrupts: Interrupts) -> None:
        self._client = client
        self._asked = asked
        self._interrupts = interrupts
        self._jobs: list[Job] = []

    def run(self, sources: "Sequence[JobSource]", outputs: "Sequence[Sequence[Output]]") -> int:
        """Return the exit code."""
        try:
            for source in sources:
                self._submit(source)
            self._interrupts.raising = False
            codes = [
                self._follow(job, source.name, each)
                for job, source, each in zip(self._jobs, sources, outputs, strict=True)
            ]
            self._write_baseline()
        except Interrupted as interrupted:
            self._cancel(interrupted)
            return interrupted.exit_code
        return max(codes, default=0)

    def _submit(self, source: "JobSource") -> None:
        """Submit; an interrupt finds a job that was accepted in the same moment by its key."""
        key = f"lint-{uuid.uuid4()}"
        try:
            job = submit_source(self._client, source, self._asked, reports=(), idempotency_key=key)
        except Interrupted:
            self._interrupts.raising = False
            recent = self._client.jobs(limit=20)
            self._jobs += [job for job in recent if job.info()["idempotency_key"] == key]
            raise
        self._jobs.append(job)

    def _follow(self, job: "Job", name: str, outputs: "Sequence[Output]") -> int:
        from pipeline.cli.display import display_for
        from pipeline.cli.following import follow
        from pipeline.cli.verdicts import conclude

        display = display_for(name, quiet=self._asked.quiet)
        follow(self._client, job, display, self._interrupts)
        if len(self._jobs) > 1 and any(output.path is None for output in outputs):
            typer.echo(f"# {name}")
        return conclude(job, outputs, quiet=self._asked.quiet)

    def _write_baseline(self) -> None:
        path = self._asked.write_baseline
        if path is None:
            return
        from pipeline.cli.outputs import whole_file
        from pipeline.kinds.sql_lint.gate import Baseline

        known = Baseline.of(itertools.chain.from_iterable(job.results() for job in self._jobs))
        with whole_file(path) as stream:
            stream.write(known.to_bytes())
        if not self._asked.quiet:
            number = sum(each.count for each in known.entries.values())
            note(f"Baseline of {number} violations: {path}")

    def _cancel(self, interrupted: Interrupted) -> None:
        from pipeline.cli.display import Silence
        from pipeline.cli.following import cancel_cleanly

        self._interrupts.raising = False
        if not self._jobs:
            note("Nothing was submitted.")
        if not cancel_cleanly(self._jobs, Silence()) and self._client.settings.embedded:
            leave_at_once(interrupted.exit_code)


def _outputs(asked: LintAsk, sources: "Sequence[JobSource]") -> "list[list[Output]]":
    from pipeline.cli.outputs import planned_outputs

    return planned_outputs(
        [str(form) for form in asked.formats or ()],
        asked.outputs or (),
        jobs=[source.name for source in sources],
    )


def labels_of(told: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE words as a mapping."""
    labels = {}
    for each in told:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"{each!r} is not KEY=VALUE.", param_hint="--label")
        labels[key.strip()] = value
    return labels
