"""Work that goes on outside of workers: where each task of it runs, what it says, how it ended.

A worker *launches* such a task, detaches it and returns; no message is held. One row per task says
where it runs and under which ``run``: that counts what was launched for the task, so that a word or
an end of an earlier one is told from this one's. Progress and the last heartbeat outlive a run.
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from pipeline.core import documents
from pipeline.errors import NotFound
from pipeline.states import Reason
from pipeline.store import changes
from pipeline.store.database import (
    as_json,
    as_uuid,
    dialect,
    execute,
    proxy,
    session,
    transaction,
)
from pipeline.store.models import as_utc

#: An API that has not said for so long that it listens could not be heard by.
UNHEARD_S = 15


@dataclass(frozen=True, slots=True)
class Deployment:
    """What tells this deployment's containers and tokens from those of others."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat; ``attempt`` is the run that its token proved."""

    task_id: uuid.UUID
    attempt: int
    container_name: str
    status: str
    progress: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a callback is told: not ``live`` when that run has ended (nothing changed then);
    ``cancel`` when it should end."""

    live: bool
    cancel: bool


@dataclass(frozen=True, slots=True)
class Execution:
    """A task's row and that of its execution; what has not happened yet is None."""

    task_id: uuid.UUID
    job_id: uuid.UUID
    seq: int
    kind: str
    attempt: int
    run: int
    state: str
    reason: str | None
    message: str
    host: str
    container: str
    container_name: str | None
    status: str | None
    progress: dict[str, Any] | None
    placed_at: datetime
    launched_at: datetime | None
    heartbeat_at: datetime | None
    completed_at: datetime | None
    success: bool | None
    result: dict[str, Any] | None
    error: str | None
    stop_reason: str | None
    stop_requested_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    removed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    strikes: int
    task_attempt: int
    cancel_requested: bool
    is_late: bool
    now: datetime
    listening_since: datetime

    @property
    def id(self) -> uuid.UUID:
        """The task's id."""
        return self.task_id

    @property
    def is_current(self) -> bool:
        """True while the task runs and this is what it runs as."""
        return self.state == "running" and self.attempt == self.task_attempt

    def age_s(self, moment: datetime | None) -> float:
        """Return how long ago that was, by the database's clock; 0 for None."""
        return max(0.0, (self.now - moment).total_seconds()) if moment else 0.0


# --- Tokens -------------------------------------------------------------------------------------


def deployment() -> Deployment:
    """Return this deployment's id and secret; they never change."""
    known = _deployments.get(proxy.obj)
    if known is None:
        with session():
            [(told, secret)] = execute("SELECT id, secret FROM deployment")
        known = _deployments[proxy.obj] = Deployment(told, secret)
    return known


def is_deployment_known() -> bool:
    """Tell whether ``deployment`` answers without asking the database."""
    return proxy.obj in _deployments


#: By the open database: a process works on one after the other.
_deployments: WeakKeyDictionary[Any, Deployment] = WeakKeyDictionary()


def token(task_id: uuid.UUID, run: int) -> str:
    """Return the token under which this run of the task may call back; the same every time."""
    told = f"{task_id.hex}:{run}".encode()
    return f"{run}.{hmac.new(deployment().secret.encode(), told, hashlib.sha256).hexdigest()[:40]}"


def verify(told: str, task_id: uuid.UUID) -> int | None:
    """Return the run that the token is for; None when it is not one of this task's."""
    run, _, _ = told.partition(".")
    if not (run.isascii() and run.isdigit() and len(run) <= 5):
        return None
    right = token(task_id, int(run)).encode()
    return int(run) if hmac.compare_digest(right, told.encode("utf-8", "replace")) else None


# --- What they say ------------------------------------------------------------------------------


def beat(beats: Sequence[Beat]) -> list[Answer]:
    """Note the heartbeats in one transaction; return the answers in the same order."""
    # The last one of each run counts; a set of rows is changed in the order of the ids.
    last = {(each.task_id, each.attempt): each for each in beats}
    rows = [
        {
            **{"id": each.task_id.hex, "run": each.attempt, "name": each.container_name},
            "status": each.status,
            "progress": None if each.progress is None else as_json(each.progress),
        }
        for each in sorted(last.values(), key=lambda each: each.task_id)
    ]
    sql = dialect()
    columns = {"id": "uuid", "run": "int", "name": "text", "status": "text", "progress": "text"}
    with transaction():
        touched = execute(
            f"UPDATE executions SET heartbeat_at = {sql.now}, container_name = r.name,"
            " status = r.status, progress = COALESCE(r.progress, executions.progress)"
            f" FROM {sql.rows(columns)}"
            " WHERE executions.task_id = r.id AND executions.run = r.run"
            " AND executions.ended_at IS NULL"
            f" RETURNING executions.task_id, executions.run, {_ASKED_TO_END}, executions.job_id",
            as_json(rows),
        )
        for *_, job_id in touched:
            changes.note(as_uuid(job_id))
    live = {(as_uuid(task_id), run): bool(asked) for task_id, run, asked, _ in touched}
    runs = [(each.task_id, each.attempt) for each in beats]
    return [Answer(True, live[run]) if run in live else Answer(False, True) for run in runs]


def listening() -> None:
    """Heartbeats can be received now: they are written, and so is this.

    Whoever has not said so for ``UNHEARD_S`` begins anew: silence before it is nobody's fault.
    """
    sql = dialect()
    with transaction():
        execute(
            "UPDATE deployment SET listening_since = CASE WHEN"
            f" listened_at > {sql.later(f'-{UNHEARD_S}')} THEN listening_since"
            f" ELSE {sql.now} END, listened_at = {sql.now}"
        )


def complete(
    task_id: uuid.UUID,
    attempt: int,
    *,
    success: bool,
    result: dict[str, Any],
    error: str | None,
    container_name: str,
) -> Answer:
    """Note what the run says of its end, once. Its real end is learnt elsewhere."""
    sql = dialect()
    with transaction():
        touched = execute(
            f"UPDATE executions SET completed_at = {sql.now}, success = %s, result = %s,"
            " error = %s, container_name = %s WHERE task_id = %s AND run = %s AND ended_at IS NULL"
            f" AND completed_at IS NULL RETURNING {_ASKED_TO_END}, executions.job_id",
            *(int(success), as_json(result), error, container_name, task_id.hex, attempt),
        )
        for _, job_id in touched:
            changes.note(as_uuid(job_id))
    return Answer(bool(touched), bool(touched and touched[0][0]))


_ASKED_TO_END = (
    "executions.stop_requested_at IS NOT NULL OR EXISTS (SELECT 1 FROM jobs"
    " WHERE jobs.id = executions.job_id AND jobs.cancel_requested_at IS NOT NULL)"
)


# --- The rows -----------------------------------------------------------------------------------

_COLUMNS = (
    "e.task_id, e.job_id, t.seq, j.kind, e.attempt, e.run, t.state, t.reason, t.message, e.host,"
    " e.container, e.container_name, e.status, e.progress, e.placed_at, e.launched_at,"
    " e.heartbeat_at, e.completed_at, e.success, e.result, e.error, e.stop_reason,"
    " e.stop_requested_at, e.ended_at, e.exit_code, e.removed_at, t.started_at, t.finished_at,"
    " t.strikes, t.attempt, j.cancel_requested_at IS NOT NULL,"
)
_FROM = " FROM executions e JOIN tasks t ON t.id = e.task_id JOIN jobs j ON j.id = e.job_id WHERE "


def get(task_id: uuid.UUID) -> Execution:
    """Return the task's execution; ``NotFound`` when it has none."""
    found = _select("e.task_id = %s", task_id.hex)
    if not found:
        raise NotFound(f"There is no execution {task_id}.")
    return found[0]


def of_job(job_id: uuid.UUID) -> list[Execution]:
    """Return the executions of a job in the order of its tasks."""
    return _select("e.job_id = %s ORDER BY t.seq", job_id.hex)


def alive(host: str | None = None) -> list[Execution]:
    """Return those that may still have something on their host, or on that one."""
    if host is None:
        return _select("e.removed_at IS NULL")
    return _select("e.removed_at IS NULL AND e.host = %s", host)


def unfinished() -> set[str]:
    """Return the names of the containers whose task may go on, though it be in another run."""
    with session():
        rows = execute(
            "SELECT e.container FROM executions e JOIN tasks t ON t.id = e.task_id"
            " WHERE t.state IN ('pending', 'running')"
        )
    return {name for (name,) in rows}


def load() -> dict[str, int]:
    """Return how many slots are taken, by host."""
    with session():
        rows = execute(
            "SELECT host, count(*) FROM executions WHERE removed_at IS NULL GROUP BY host"
        )
    return dict(rows)


def _select(where: str, *parameters: Any) -> list[Execution]:
    sql = dialect()
    late = (
        f" COALESCE(j.deadline_at < {sql.now}, {'false' if sql.postgres else '0'}), {sql.now},"
        f" (SELECT CASE WHEN listened_at > {sql.later(f'-{UNHEARD_S}')} THEN listening_since"
        f" ELSE {sql.now} END FROM deployment)"
    )
    with session():
        rows = execute(f"SELECT {_COLUMNS}{late}{_FROM}{where}", *parameters)
    return [_execution(row) for row in rows]


def _execution(row: tuple[Any, ...]) -> Execution:
    told = dict(zip(Execution.__dataclass_fields__, row, strict=True))
    for name in ("task_id", "job_id"):
        told[name] = as_uuid(told[name])
    for name in ("progress", "result"):
        told[name] = documents.loaded(told[name]) if told[name] else None
    for name, value in told.items():
        if name.endswith("_at") or name in ("now", "listening_since"):
            told[name] = as_utc(value)
    told["success"] = None if told["success"] is None else bool(told["success"])
    told["cancel_requested"] = bool(told["cancel_requested"])
    told["is_late"] = bool(told["is_late"])
    return Execution(**told)


# --- Their steps --------------------------------------------------------------------------------

#: Nothing of the run before is said of the next one.
_ANOTHER_RUN = (
    "run = executions.run + 1, launched_at = NULL, completed_at = NULL, success = NULL,"
    " result = NULL, error = NULL, stop_reason = NULL, stop_requested_at = NULL,"
    " collect_until = NULL, exit_code = NULL"
)


def place(
    task_id: uuid.UUID, job_id: uuid.UUID, attempt: int, *, host: str, container: str
) -> None:
    """The task's run under this attempt belongs to the host; call it in the choice's transaction.

    A row that has not ended keeps its run: what it launched may be there and is adopted. One that
    has ended begins another.
    """
    now = dialect().now
    execute(
        "INSERT INTO executions (task_id, job_id, attempt, run, host, container, placed_at)"
        f" VALUES (%s, %s, %s, 1, %s, %s, {now})"
        " ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, host = excluded.host,"
        f" placed_at = {now}, {_ANOTHER_RUN}, ended_at = NULL, removed_at = NULL",
        *(task_id.hex, job_id.hex, attempt, host, container),
    )


def take_over(task_id: uuid.UUID, attempt: int) -> None:
    """The run that goes on belongs to this attempt of its task from now on."""
    _set(task_id, "attempt = %s", attempt, where="ended_at IS NULL")


def next_run(task_id: uuid.UUID, run: int) -> int:
    """What was launched under ``run`` is gone: the next one begins; return its number."""
    _set(task_id, _ANOTHER_RUN, where=f"run = {run:d}")
    return get(task_id).run


def launched(task_id: uuid.UUID, run: int) -> None:
    """The container of this run has been started."""
    now = dialect().now
    _set(task_id, f"launched_at = COALESCE(launched_at, {now})", where=f"run = {run:d}")


def claim_end(task_id: uuid.UUID, run: int, *, lease_s: float) -> bool:
    """Take the run's end to oneself for so long; False when somebody else has it, or had."""
    sql = dialect()
    with transaction():
        return bool(
            execute(
                f"UPDATE executions SET collect_until = {sql.later('%s')} WHERE task_id = %s"
                " AND run = %s AND ended_at IS NULL"
                f" AND (collect_until IS NULL OR collect_until < {sql.now}) RETURNING run",
                *(lease_s, task_id.hex, run),
            )
        )


def release_end(task_id: uuid.UUID, run: int) -> None:
    """Let somebody else collect the run's end."""
    _set(task_id, "collect_until = NULL", where=f"run = {run:d}")


def request_stop(task_id: uuid.UUID, run: int, reason: Reason | str) -> None:
    """The run is to be stopped for this reason; the first reason stands, the time is renewed."""
    _set(
        task_id,
        f"stop_reason = COALESCE(stop_reason, %s), stop_requested_at = {dialect().now}",
        str(reason),
        where=f"run = {run:d} AND ended_at IS NULL",
    )


def ended(task_id: uuid.UUID, run: int, *, exit_code: int | None) -> None:
    """The run has ended this way; call it in the transaction that closes the task."""
    _set(
        task_id,
        f"ended_at = {dialect().now}, exit_code = %s",
        exit_code,
        where=f"run = {run:d} AND ended_at IS NULL",
    )


def removed(task_id: uuid.UUID, run: int) -> None:
    """Nothing of the ended run is left on its host."""
    where = f"run = {run:d} AND ended_at IS NOT NULL AND removed_at IS NULL"
    _set(task_id, f"removed_at = {dialect().now}", where=where)


def _set(task_id: uuid.UUID, assignments: str, *parameters: Any, where: str) -> None:
    with transaction():
        execute(
            f"UPDATE executions SET {assignments} WHERE task_id = %s AND {where}",
            *(*parameters, task_id.hex),
        )
