"""Schedules are made, changed and taken away; what could not be submitted is not stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline import clock
from pipeline.core import documents, jobs
from pipeline.core.context import Context
from pipeline.core.kinds import Kind, get_kind
from pipeline.core.schedules import rows
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleChange, ScheduleRequest, when
from pipeline.core.triggers import Times
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.store.database import as_json, as_uuid, execute, transaction
from pipeline.store.models import JobRow, utc_value

#: Fires that one statement takes away.
STEP = 10_000


def create(asked: ScheduleRequest, context: Context, *, owner: str = "") -> Schedule:
    """Store a schedule; return it.

    Raises ``Refused`` for what its kind, this deployment or the calendar does not allow, and
    ``Conflict`` when there is one of that name.
    """
    job = None if asked.from_job is None else jobs.get(asked.from_job)
    kind = get_kind(_kind_name(asked, job))
    parameters = asked.parameters
    if parameters is None:
        parameters = {} if job is None else documents.mapping(job.parameters, "parameters")
    check(kind, parameters, context)
    now = rows.database_now()
    # Whole seconds: what people read is what is counted.
    anchor = now.replace(microsecond=0)
    zone = asked.timezone or context.settings.timezone
    first = _first(Times(when(asked, anchor), zone), now)
    row = {
        **{"id": clock.new_id().hex, "name": asked.name, "owner": owner, "kind": kind.name},
        "parameters": as_json(parameters),
        "source": as_json(_source(asked, kind, parameters, job, context)),
        "priority": asked.priority,
        "labels": as_json(asked.labels),
        "deadline_s": asked.deadline_s,
        "cron": asked.cron,
        "every_s": asked.every_s,
        "at": utc_value(asked.at),
        "timezone": zone,
        "anchor_at": utc_value(anchor),
        "enabled": int(asked.enabled),
        "catch_up": str(asked.catch_up),
        "overlap": str(asked.overlap),
        "created_at": utc_value(now),
        "next_fire_at": utc_value(first) if asked.enabled else None,
    }
    places = ", ".join(["%s"] * len(row))
    with transaction():
        made = execute(
            f"INSERT INTO schedules ({', '.join(row)}) VALUES ({places})"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            *row.values(),
        )
    if not made:
        raise Conflict(f"There is a schedule {asked.name!r} already.")
    return rows.get(asked.name)


def _kind_name(asked: ScheduleRequest, job: JobRow | None) -> str:
    if job is None:
        if asked.kind is None:
            raise Refused("Name the kind of its jobs, or a job to repeat.")
        return asked.kind
    if asked.kind not in (None, job.kind):
        raise Refused(f"The job {job.id} is of the kind {job.kind}, not {asked.kind}.")
    return str(job.kind)


def check(kind: Kind, parameters: Mapping[str, Any], context: Context) -> BaseModel:
    """Return the parameters as the kind's; ``Refused`` where a submission of them would be."""
    try:
        told = kind.parameters.model_validate(parameters)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("parameters", *first["loc"]))
        raise Refused(f"{place[:200]}: {first['msg']}.") from error
    kind.admit(told, context.settings)
    return told


def _source(
    asked: ScheduleRequest,
    kind: Kind,
    parameters: Mapping[str, Any],
    job: JobRow | None,
    context: Context,
) -> dict[str, Any]:
    """Return the source that each of its jobs has; ``blobs`` in it are kept as the schedule is."""
    if not kind.needs_source:
        name = parameters.get("task_name")
        return {"name": name if isinstance(name, str) else asked.name}
    if job is None:
        raise Refused(
            f"A job of the kind {kind.name} needs a stored source, and a schedule takes none in:"
            " submit it once, then repeat that job (from_job, --from-job JOB)."
        )
    return _kept(documents.mapping(job.source, "source"), parameters, context)


def _kept(
    source: Mapping[str, Any], parameters: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    """Return the source with all of its ``blobs``, which have to be there."""
    digests = [each for each in source.get("blobs", []) if isinstance(each, str)]
    baseline = parameters.get("baseline")
    if isinstance(baseline, str) and baseline not in digests:
        digests.append(baseline)
    for digest in digests:
        if not context.blobs.exists(digest):
            raise Refused(f"The blob {digest} is not stored any more; submit the job again.")
    return {**source, "blobs": digests}


def _first(times: Times, now: datetime) -> datetime:
    first = times.after(now)
    if first is None:
        raise Refused("That time never comes, or has passed.")
    return first


def change(name: str, asked: ScheduleChange, context: Context) -> Schedule:
    """Change what is named, all or nothing; return the schedule as it stands then.

    Another trigger, zone, or being switched on again lets it fire from now on; times that passed
    while it was off are no missed ones.
    """
    with transaction():
        # Nobody fires or changes it meanwhile.
        rows.locked(name)
        told = rows.get(name)
        row = _changed(told, asked, context)
        if row:
            columns = ", ".join(f"{column} = %s" for column in row)
            execute(f"UPDATE schedules SET {columns} WHERE id = %s", *row.values(), told.id.hex)
        return rows.get(name)


def _changed(told: Schedule, asked: ScheduleChange, context: Context) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if asked.parameters is not None:
        kind = get_kind(told.kind)
        check(kind, asked.parameters, context)
        row["parameters"] = as_json(asked.parameters)
        if kind.needs_source:
            row["source"] = as_json(_kept(told.source or {}, asked.parameters, context))
    if asked.labels is not None:
        row["labels"] = as_json(asked.labels)
    if asked.priority is not None:
        row["priority"] = asked.priority
    if "deadline_s" in asked.model_fields_set:
        row["deadline_s"] = asked.deadline_s
    for policy in ("catch_up", "overlap"):
        if getattr(asked, policy) is not None:
            row[policy] = str(getattr(asked, policy))
    return {**row, **_replanned(told, asked)}


def _replanned(told: Schedule, asked: ScheduleChange) -> dict[str, Any]:
    """Return the columns of its times, when they are to be others."""
    enabled = told.enabled if asked.enabled is None else asked.enabled
    is_moved = bool(asked.triggers) or asked.timezone is not None
    if not is_moved and enabled == told.enabled:
        return {}
    row: dict[str, Any] = {"enabled": int(enabled), "next_fire_at": None}
    if not is_moved and not enabled:
        return row
    now = rows.database_now()
    anchor = now.replace(microsecond=0) if asked.triggers else told.anchor_at
    zone = asked.timezone or told.timezone
    first = _first(Times(when(asked if asked.triggers else told, anchor), zone), now)
    row |= {"timezone": zone, "anchor_at": utc_value(anchor)}
    if asked.triggers:
        row |= {"cron": asked.cron, "every_s": asked.every_s, "at": utc_value(asked.at)}
    return {**row, "next_fire_at": utc_value(first) if enabled else None}


def delete(name: str) -> None:
    """Take a schedule and its history away; its jobs stay. ``NotFound`` when there is none."""
    with transaction():
        found = execute(
            "UPDATE schedules SET enabled = 0, next_fire_at = NULL WHERE name = %s RETURNING id",
            name,
        )
    if not found:
        raise NotFound(f"There is no schedule {name!r}.")
    schedule_id = as_uuid(found[0][0]).hex
    while True:
        with transaction():
            gone = execute(
                "DELETE FROM schedule_fires WHERE schedule_id = %s AND fire_time IN (SELECT"
                " fire_time FROM schedule_fires WHERE schedule_id = %s LIMIT %s)"
                " RETURNING 1",
                *(schedule_id, schedule_id, STEP),
            )
        if len(gone) < STEP:
            break
    with transaction():
        execute("DELETE FROM schedules WHERE id = %s", schedule_id)
