"""Removes what was kept long enough: ended jobs with all they have, results, dead letters, fires,
services that no worker offers any more.

A job goes whole, in one transaction with its tasks, events and executions, so that nobody ever sees
half of one; small jobs go together. What is open, whose reports are still to be written, or whose
container is still somewhere, stays. Its files are nobody's then: ``rubbish`` removes them.
"""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from pipeline.core import access_log
from pipeline.core.context import Context
from pipeline.core.schedules import fires
from pipeline.core.statistics import days, figures
from pipeline.core.upkeep.chore import Chore
from pipeline.settings import Settings
from pipeline.store import results
from pipeline.store.database import (
    as_uuid,
    changed,
    dialect,
    execute,
    lock,
    session,
    stream,
    transaction,
)
from pipeline.store.models import database_now, moment

log = logging.getLogger(__name__)

#: Tasks removed in one transaction, if that is not one job's.
STEP = 5000

RESULTS = "results"
DEAD_LETTERS = "dead_letters"
SCHEDULE_FIRES = "schedule_fires"
DAILY_FIGURES = "daily_figures"
SERVICES = "services"

#: A result is not removed before this: who has looked it up may not have said so yet.
LEAST = timedelta(days=2)
#: Nor is a service: a worker that lives says once a day what it offers. One that nobody has offered
#: for a month is gone, however long jobs are kept.
LEAST_OFFERED_S = LEAST.total_seconds()
MOST_OFFERED_DAYS = 30.0
#: So much older than the oldest job with results is a result that none of them refers to: it would
#: have been made young (``results.TAKEN_UP_S``); the rest is for clocks that differ.
OLDER = timedelta(days=2)

#: In the order in which everybody takes locks: tasks, then their job.
_TABLES = {"executions": "job_id", "tasks": "job_id", "events": "job_id", "jobs": "id"}

_DUE = """
    SELECT id, total FROM jobs WHERE kind = %s AND finalized_at IS NOT NULL
        AND finished_at < {past} AND NOT EXISTS (SELECT 1 FROM executions
            WHERE executions.job_id = jobs.id AND executions.removed_at IS NULL)
        AND id > %s ORDER BY id LIMIT %s
"""


@dataclass(slots=True)
class Removed:
    """What was removed, or would be."""

    jobs: int = 0
    tasks: int = 0
    events: int = 0
    executions: int = 0
    results: int = 0
    dead_letters: int = 0
    schedule_fires: int = 0
    access_log: int = 0
    daily_figures: int = 0
    services: int = 0


def clean_old_data(context: Context, dry_run: bool = False) -> Removed:
    """Remove what is older than QUAYLINE_RETENTION_DAYS says."""
    removed = Removed()
    for kind in _kinds():
        kept_s = context.settings.retention_s(kind)
        if kept_s is not None:
            _clean_kind(kind, kept_s, removed, dry_run=dry_run)
    removed.results = _clean_results(context.settings, dry_run=dry_run)
    removed.dead_letters = _clean_letters(context.settings, dry_run=dry_run)
    removed.schedule_fires = _clean_fires(context.settings, dry_run=dry_run)
    removed.access_log = _clean_access(context.settings, dry_run=dry_run)
    removed.daily_figures = _clean_figures(context.settings, dry_run=dry_run)
    removed.services = _clean_services(context.settings, dry_run=dry_run)
    if any(asdict(removed).values()) and not dry_run:
        log.info("Old data was removed", extra=asdict(removed))
    return removed


def _kinds() -> list[str]:
    """Return the kinds that there are jobs of, also those that this version does not know."""
    with session():
        return [kind for (kind,) in execute("SELECT DISTINCT kind FROM jobs ORDER BY kind")]


def _clean_kind(kind: str, kept_s: float, removed: Removed, *, dry_run: bool) -> None:
    for step in _steps(kind, kept_s):
        ids = dialect().ids(step)
        with session() if dry_run else transaction():
            if not dry_run:
                lock("retention")
            for table, column in _TABLES.items():
                rows = f"FROM {table} WHERE {dialect().among(column)}"
                if dry_run:
                    [(number,)] = execute(f"SELECT count(*) {rows}", ids)
                else:
                    number = changed(f"DELETE {rows}", ids)
                setattr(removed, table, getattr(removed, table) + number)


def _steps(kind: str, kept_s: float) -> Iterator[list[uuid.UUID]]:
    """Yield the jobs that are due, in pieces of about as many tasks as ``STEP``.

    Ended stays ended, so that they are due whenever they are removed.
    """
    statement = _DUE.format(past=dialect().later(f"-{kept_s:f}"))
    step: list[uuid.UUID] = []
    tasks = 0
    for job_id, total in stream(statement, (kind, uuid.UUID(int=0).hex)):
        if step and tasks + total + 1 > STEP:
            yield step
            step, tasks = [], 0
        step.append(as_uuid(job_id))
        tasks += total + 1
    if step:
        yield step


def _clean_results(settings: Settings, *, dry_run: bool) -> int:
    kept_s = settings.retention_s(RESULTS)
    if kept_s is None:
        return 0
    with session():
        [(now,)] = execute(f"SELECT {dialect().now}")
        # By the id, which begins with the time: there is an index, and none of the times.
        oldest = execute(
            "SELECT created_at FROM jobs WHERE EXISTS (SELECT 1 FROM tasks"
            " WHERE tasks.job_id = jobs.id AND tasks.result_key IS NOT NULL) ORDER BY id LIMIT 1"
        )
    before = moment(now) - max(LEAST, timedelta(seconds=kept_s))
    if oldest:
        before = min(before, moment(oldest[0][0]) - OLDER)
    return results.remove_old(before, dry_run=dry_run)


def _clean_letters(settings: Settings, *, dry_run: bool) -> int:
    kept_s = settings.retention_s(DEAD_LETTERS)
    if kept_s is None:
        return 0
    past = dialect().later("%s")
    if dry_run:
        with session():
            sql = f"SELECT count(*) FROM dead_letters WHERE found_at < {past}"
            return int(execute(sql, -kept_s)[0][0])
    removed, step = 0, STEP
    while step == STEP:
        with transaction():
            step = changed(
                "DELETE FROM dead_letters WHERE id IN"
                f" (SELECT id FROM dead_letters WHERE found_at < {past} ORDER BY id LIMIT %s)",
                *(-kept_s, STEP),
            )
        removed += step
    return removed


def _clean_fires(settings: Settings, *, dry_run: bool) -> int:
    kept_s = settings.retention_s(SCHEDULE_FIRES)
    if kept_s is None:
        return 0
    before = database_now() - timedelta(seconds=kept_s)
    if dry_run:
        return fires.count(before)
    removed, step = 0, STEP
    while step == STEP:
        step = fires.prune(before, STEP)
        removed += step
    return removed


def _clean_access(settings: Settings, *, dry_run: bool) -> int:
    kept_s = settings.retention_s(access_log.KEPT_AS)
    if kept_s is None:
        return 0
    if dry_run:
        return access_log.count(kept_s)
    removed, step = 0, STEP
    while step == STEP:
        step = access_log.prune(kept_s, STEP)
        removed += step
    return removed


def _clean_figures(settings: Settings, *, dry_run: bool) -> int:
    """Some hundred rows a day: they stay, unless the setting names them."""
    kept_s = settings.retention_s(DAILY_FIGURES, only_named=True)
    if kept_s is None:
        return 0
    before = days.of(database_now() - timedelta(seconds=kept_s), settings.timezone)
    return figures.count(before) if dry_run else figures.prune(before)


def _clean_services(settings: Settings, *, dry_run: bool) -> int:
    """A service that comes back is offered again; its pauses are over long before it goes."""
    kept_s = settings.retention_s(SERVICES, most_days=MOST_OFFERED_DAYS)
    if kept_s is None:
        return 0
    sql = dialect()
    gone = f"services WHERE seen_at < {sql.later('%s')}"
    # In the order in which workers write theirs.
    in_order = " ORDER BY mode, name FOR UPDATE" if sql.postgres else ""
    oldest = -max(LEAST_OFFERED_S, kept_s)
    if dry_run:
        with session():
            return int(execute(f"SELECT count(*) FROM {gone}", oldest)[0][0])
    with transaction():
        number = changed(
            f"DELETE FROM services WHERE (mode, name) IN (SELECT mode, name FROM {gone}{in_order})",
            oldest,
        )
        execute(
            f"DELETE FROM service_pauses WHERE next_at < {sql.now} AND NOT EXISTS (SELECT 1 FROM"
            " services s WHERE s.mode = service_pauses.mode AND s.name = service_pauses.name)"
        )
    return number


@dataclass(slots=True)
class Forgotten:
    """Requests that were removed from the access log, or would be."""

    access_log: int = 0


def clean_access_log(context: Context, dry_run: bool = False) -> Forgotten:
    """Remove the requests alone that QUAYLINE_RETENTION_DAYS keeps no longer."""
    return Forgotten(_clean_access(context.settings, dry_run=dry_run))


ACCESS_LOG_CHORE = Chore(
    "cleanup_old_access_logs",
    "access_log",
    "Remove requests from the access log that were kept long enough.",
    clean_access_log,
)
CHORE = Chore(
    "cleanup_old_data",
    "cleanup",
    "Remove jobs, results, dead letters, requests that were kept long enough.",
    clean_old_data,
)
