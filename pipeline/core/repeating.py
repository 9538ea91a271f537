"""What is submitted more than once, by schedules and templates: checked as a submission is, with a
source that stays stored."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.core import documents, jobs
from pipeline.core.context import Context
from pipeline.core.kinds import Kind, get_kind
from pipeline.errors import Refused
from pipeline.store.models import JobRow

#: What is repeated has a name, which is the end of its address.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,99}$"
MOST_LABELS = 50

Name = Annotated[str, Field(pattern=NAME)]
KindName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Label = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]

#: What its parameters are called where they are wrong.
PARAMETERS = "parameters"


def job_of(job_id: uuid.UUID | None) -> JobRow | None:
    """Return the job that is to be repeated, if one is."""
    return None if job_id is None else jobs.get(job_id)


def kind_of(named: str | None, job: JobRow | None) -> Kind:
    """Return the kind of the jobs: the named one, which is that of the job that is repeated."""
    if job is None:
        if named is None:
            raise Refused("Name the kind of its jobs, or a job to repeat.")
        return get_kind(named)
    if named not in (None, job.kind):
        raise Refused(f"The job {job.id} is of the kind {job.kind}, not {named}.")
    return get_kind(str(job.kind))


def parameters_of(told: Mapping[str, Any] | None, job: JobRow | None) -> dict[str, Any]:
    """Return the parameters as they were told, or else those of the job that is repeated."""
    if told is not None:
        return dict(told)
    return {} if job is None else documents.mapping(job.parameters, PARAMETERS)


def check(kind: Kind, parameters: Mapping[str, Any], context: Context) -> BaseModel:
    """Return the parameters as the kind's; ``Refused`` where a submission of them would be."""
    try:
        told = kind.parameters.model_validate(parameters)
    except ValidationError as error:
        raise Refused(f"{documents.misfits(error, PARAMETERS)[0]}.") from error
    kind.admit(told, context.settings)
    return told


def source_of(
    kind: Kind,
    parameters: Mapping[str, Any],
    job: JobRow | None,
    context: Context,
    *,
    name: str,
    what: str,
) -> dict[str, Any]:
    """Return the source that each of its jobs has; ``blobs`` in it are kept as ``what`` is."""
    if not kind.needs_source:
        task_name = parameters.get("task_name")
        return {"name": task_name if isinstance(task_name, str) else name}
    if job is None:
        raise Refused(
            f"A job of the kind {kind.name} needs a stored source, and a {what} takes none in:"
            " submit it once, then repeat that job (from_job, --from-job JOB)."
        )
    return kept(documents.mapping(job.source, "source"), parameters, context)


def kept(
    source: Mapping[str, Any], parameters: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    """Return the source with all of its ``blobs``, which have to be there.

    They are young from now on, so that no cleaning takes them before the row that needs them.
    """
    digests = [each for each in source.get("blobs", []) if isinstance(each, str)]
    baseline = parameters.get("baseline")
    if isinstance(baseline, str) and baseline not in digests:
        digests.append(baseline)
    for digest in digests:
        if not context.blobs.renew(digest):
            raise Refused(f"The blob {digest} is not stored any more; submit the job again.")
    return {**source, "blobs": digests}
