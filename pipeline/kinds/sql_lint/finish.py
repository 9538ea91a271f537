"""The end of a lint job: its reports and the gate's verdict."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any, BinaryIO

from pipeline.core import documents, jobs
from pipeline.core.context import Context
from pipeline.errors import NotFound, Refused
from pipeline.kinds.sql_lint.gate import Baseline, Counted
from pipeline.kinds.sql_lint.plan import notes_name
from pipeline.kinds.sql_lint.reports import FORMATS, FileReport, LintReport
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.states import Reason
from pipeline.store.blobs import BlobStore
from pipeline.store.models import JobRow


def finish(job: JobRow, context: Context) -> dict[str, Any]:
    """Write the reports that were asked for; return verdict and counts, the job's result."""
    parameters = documents.read(LintParameters, job.parameters, "parameters")
    report = lint_report(job, context.blobs)
    files = Counted(report.files)
    for name in parameters.reports:
        with context.blobs.writing(report_name(job.id, name)) as stream:
            FORMATS[name].write(replace(report, files=files), stream)
    verdict = files.tally().verdict(parameters.fail_on, report.stopped)
    return {"verdict": asdict(verdict), "reports": list(parameters.reports)}


def lint_report(job: JobRow, blobs: BlobStore) -> LintReport:
    """Return the job and its files as the report writers take them, straight from the rows."""
    parameters = documents.read(LintParameters, job.parameters, "parameters")
    baseline = None
    if parameters.baseline is not None:
        baseline = Baseline.from_bytes(blobs.read(parameters.baseline))
    notes = _notes(job.id, blobs)

    def files() -> Iterator[FileReport]:
        return _files(job.id, baseline)

    facts = {
        "id": str(job.id),
        "state": job.state,
        "reason": job.reason,
        "message": job.message,
        "kind": job.kind,
        "dialect": parameters.dialect,
        "source": job.source.get("name") if isinstance(job.source, dict) else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "counts": {name: getattr(job, name) for name in COUNTS},
        "engine": notes.get("engine"),
        "parameters": parameters.model_dump(exclude={"config", "base_configs"}),
        "warnings": notes.get("warnings", []),
    }
    return LintReport(facts, files)


COUNTS = ("total", "succeeded", "failed", "timed_out", "cancelled", "reused")


def write_report(job: JobRow, name: str, out: BinaryIO, blobs: BlobStore) -> None:
    """Write one report of an ended job: the stored one, or one made now from the rows."""
    if name not in FORMATS:
        raise Refused(f"There is no report {name!r}; there are {', '.join(FORMATS)}.")
    stored = report_name(job.id, name)
    if job.finalized_at is not None and blobs.has_named(stored):
        with closing(blobs.open_named(stored)) as stream:
            while piece := stream.read(1024 * 1024):
                out.write(piece)
        return
    FORMATS[name].write(lint_report(job, blobs), out)


def report_name(job_id: uuid.UUID, name: str) -> str:
    """Return the storage name of a report."""
    return f"jobs/{job_id}/report{FORMATS[name].suffix}"


def _files(job_id: uuid.UUID, baseline: Baseline | None) -> Iterator[FileReport]:
    for task in jobs.tasks(job_id):
        file = FileReport(
            path=task["name"],
            state=task["state"],
            reason=task["reason"],
            message=task["message"],
            cached=task["reason"] == Reason.REUSED,
            result=task["result"],
        )
        if baseline is not None:
            file = FileReport(
                *(file.path, file.state, file.reason, file.message, file.cached, file.result),
                new=baseline.new_of(file),
            )
        yield file


def _notes(job_id: uuid.UUID, blobs: BlobStore) -> dict[str, Any]:
    try:
        with closing(blobs.open_named(notes_name(str(job_id)))) as stream:
            return documents.loaded(stream.read())
    except NotFound:
        return {}
