"""Schedules are made, changed and taken away; what could not be submitted is not stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline import clock
from pipeline.core import repeating
from pipeline.core.context import Context
from pipeline.core.kinds import get_kind
from pipeline.core.schedules import rows
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleChange, ScheduleRequest, when
from pipeline.core.templates import submitting
from pipeline.core.templates.rows import Template
from pipeline.core.triggers import Times
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.store.database import as_json, as_uuid, execute, transaction
from pipeline.store.models import utc_value

#: Fires that one statement takes away.
STEP = 10_000


def create(asked: ScheduleRequest, context: Context, *, owner: str = "") -> Schedule:
    """Store a schedule; return it.

    Raises ``Refused`` for what its kind, this deployment or the calendar does not allow, and
    ``Conflict`` when there is one of that name.
    """
    wanted = _wanted(asked, context)
    now = rows.database_now()
    # Whole seconds: what people read is what is counted.
    anchor = now.replace(microsecond=0)
    zone = asked.timezone or context.settings.timezone
    first = _first(Times(when(asked, anchor), zone), now)
    row = {
        **{"id": clock.new_id().hex, "name": asked.name, "owner": owner, "kind": wanted.kind},
        "parameters": as_json(wanted.parameters),
        "source": as_json(wanted.source),
        "priority": wanted.priority,
        "labels": as_json(wanted.labels),
        "deadline_s": wanted.deadline_s,
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
        if wanted.template is not None:
            submitting.hold(wanted.template)
        made = execute(
            f"INSERT INTO schedules ({', '.join(row)}) VALUES ({places})"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            *row.values(),
        )
    if not made:
        raise Conflict(f"There is a schedule {asked.name!r} already.")
    return rows.get(asked.name)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The jobs that are wanted, and the template that they were told by."""

    kind: str
    parameters: Mapping[str, Any]
    source: Mapping[str, Any]
    priority: int
    labels: Mapping[str, str]
    deadline_s: float | None
    template: Template | None = None


def _wanted(asked: ScheduleRequest, context: Context) -> _Wanted:
    if asked.template is not None:
        return _of_template(asked, submitting.usable(asked.template), context)
    job = repeating.job_of(asked.from_job)
    kind = repeating.kind_of(asked.kind, job)
    parameters = repeating.parameters_of(asked.parameters, job)
    repeating.check(kind, parameters, context)
    source = repeating.source_of(kind, parameters, job, context, name=asked.name, what="schedule")
    return _Wanted(*(kind.name, parameters, source, asked.priority, asked.labels, asked.deadline_s))


def _of_template(asked: ScheduleRequest, template: Template, context: Context) -> _Wanted:
    told = submitting.filled(template, asked.variables, context)
    own = asked if "priority" in asked.model_fields_set else template
    limited = asked if "deadline_s" in asked.model_fields_set else template
    labels = {**told.labels, **asked.labels, submitting.LABEL: template.ref}
    return _Wanted(
        *(template.kind, told.parameters, told.source, own.priority, labels, limited.deadline_s),
        template=template,
    )


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
        repeating.check(kind, asked.parameters, context)
        row["parameters"] = as_json(asked.parameters)
        # They are not the template's any more.
        labels = {key: each for key, each in told.labels.items() if key != submitting.LABEL}
        row["labels"] = as_json(labels)
        if kind.needs_source:
            row["source"] = as_json(repeating.kept(told.source or {}, asked.parameters, context))
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
