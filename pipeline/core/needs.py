"""Steps: tasks that need others of their job. Noted when they are inserted, let go as those end,
inside the transaction that closes them.

``open_needs`` of a task's row counts its needs that have not ended; what has any is not sent. So
the rows alone say what is due: nobody has to be told that a need has ended, and nobody twice.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from pipeline.core.tasks import NewTask
from pipeline.states import RunWhen, TaskState
from pipeline.store.database import as_json, as_uuid, dialect, execute


class Onward(IntFlag):
    """What a task's end means to others of its job."""

    NEEDED = 1
    STOPS = 2


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that has just ended: its place, and how."""

    seq: int
    state: str
    name: str
    onward: int

    @property
    def is_good(self) -> bool:
        """It succeeded."""
        return self.state == TaskState.SUCCEEDED

    @property
    def stops(self) -> bool:
        """Nothing more of its job begins."""
        return bool(self.onward & Onward.STOPS) and self.state in (
            TaskState.FAILED,
            TaskState.TIMED_OUT,
        )


@dataclass(slots=True)
class Waiting:
    """A pending task, as the one who ends its needs sees it; with a ``message`` it is cancelled."""

    id: uuid.UUID
    seq: int
    name: str
    is_strict: bool
    ended: int = 0
    message: str = ""


def insert(job_id: uuid.UUID, tasks: Sequence[NewTask], seqs: Iterable[int]) -> None:
    """Note what the tasks at those places need; call it in the transaction that inserted them.

    What a task needs is inserted with it, and is pending or has succeeded.
    """
    if not any(task.needs or task.stops for task in tasks):
        return
    by_seq = {task.seq: task for task in tasks}
    new = [by_seq[seq] for seq in sorted(seqs)]
    needed = {seq for task in new for seq in task.needs}
    rows = [_row(task, by_seq, needed) for task in new]
    telling = [row for row in rows if row is not None]
    if not telling:
        return
    sql = dialect()
    columns = {"seq": "int", "open_needs": "int", "run_when": "text", "onward": "int"}
    execute(
        "UPDATE tasks SET open_needs = r.open_needs, run_when = r.run_when, onward = r.onward"
        f" FROM {sql.rows(columns)}"
        " WHERE tasks.job_id = %s AND tasks.seq = r.seq",
        *(as_json(telling), job_id.hex),
    )
    pairs = [{"seq": task.seq, "needs_seq": seq} for task in new for seq in set(task.needs)]
    job = "%s::uuid" if sql.postgres else "%s"
    execute(
        f"INSERT INTO needs (job_id, seq, needs_seq) SELECT {job}, r.seq, r.needs_seq"
        f" FROM {sql.rows({'seq': 'int', 'needs_seq': 'int'})} WHERE 1 = 1",
        *(job_id.hex, as_json(pairs)),
    )


def _row(task: NewTask, by_seq: dict[int, NewTask], needed: set[int]) -> dict[str, Any] | None:
    states = [by_seq[seq].state for seq in set(task.needs)]
    assert set(states) <= {TaskState.PENDING, TaskState.SUCCEEDED}
    onward = (Onward.NEEDED if task.seq in needed else 0) | (Onward.STOPS if task.stops else 0)
    if not onward and not states:
        return None
    run_when = None if task.run_when is RunWhen.ALL_SUCCEEDED else task.run_when
    open_needs = states.count(TaskState.PENDING)
    return {"seq": task.seq, "open_needs": open_needs, "run_when": run_when, "onward": int(onward)}


def follow(job_id: uuid.UUID, ended: Sequence[Ended]) -> list[Waiting]:
    """Let go what waited for these; return what must be cancelled instead.

    Call it in the transaction that closed them; of what means nothing to others it need not know.
    """
    if not ended:
        return []
    stopping = next((each for each in ended if each.stops), None)
    waiting = _locked(job_id, everything=stopping is not None)
    _decide(job_id, ended, waiting)
    if stopping is not None:
        for each in waiting.values():
            each.message = each.message or (
                f"The step {stopping.name} ended badly, which stops the job."
            )
    _let_go([each for each in waiting.values() if each.ended and not each.message])
    return [each for each in waiting.values() if each.message]


def _locked(job_id: uuid.UUID, *, everything: bool) -> dict[int, Waiting]:
    """Return what waits for needs (or all that is pending) by its place, locked in order."""
    sql = dialect()
    # In the words of the index of what waits.
    waits = "finished_at IS NULL AND hinted_at IS NULL AND open_needs > 0"
    rows = execute(
        "SELECT id, seq, name, run_when IS NULL FROM tasks WHERE job_id = %s"
        f" AND state = 'pending' {'' if everything else f'AND {waits}'}"
        f" ORDER BY id {'FOR UPDATE' if sql.postgres else ''}",
        job_id.hex,
    )
    return {row[1]: Waiting(as_uuid(row[0]), *row[1:]) for row in rows}


def _decide(job_id: uuid.UUID, ended: Sequence[Ended], waiting: dict[int, Waiting]) -> None:
    """Count the ended needs of all that waits, and say why of what is to be cancelled.

    That has ended as well then, and others may need it.
    """
    dependents = _dependents(job_id)
    todo = [(each.seq, each.name, each.is_good) for each in ended]
    while todo:
        seq, name, is_good = todo.pop()
        for each in (waiting[after] for after in dependents[seq] if after in waiting):
            each.ended += 1
            if not is_good and each.is_strict and not each.message:
                each.message = f"It needs the step {name}, which did not succeed."
                todo.append((each.seq, each.name, False))


def _dependents(job_id: uuid.UUID) -> defaultdict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    rows = execute(
        "SELECT n.needs_seq, n.seq FROM needs n JOIN tasks t ON t.job_id = n.job_id"
        " AND t.seq = n.seq WHERE n.job_id = %s AND t.finished_at IS NULL AND t.hinted_at IS NULL"
        " AND t.open_needs > 0",
        job_id.hex,
    )
    for needs_seq, seq in rows:
        found[needs_seq].append(seq)
    return found


def _let_go(tasks: Sequence[Waiting]) -> None:
    if tasks:
        sql = dialect()
        told = [{"id": each.id.hex, "ended": each.ended} for each in tasks]
        execute(
            f"UPDATE tasks SET open_needs = open_needs - r.ended, not_before = {sql.now}"
            f" FROM {sql.rows({'id': 'uuid', 'ended': 'int'})} WHERE tasks.id = r.id",
            as_json(told),
        )
