"""A task as it is inserted, leased and closed, and the rows that say so to the database."""

import uuid
from typing import Any, NamedTuple, Protocol

from pipeline.clock import new_id_hex
from pipeline.core import documents
from pipeline.core.history import clean
from pipeline.states import Reason, RunWhen, TaskState
from pipeline.store.database import as_uuid


class Held(Protocol):
    """A task under the attempt that holds its lease."""

    @property
    def id(self) -> uuid.UUID:
        """The task's id."""

    @property
    def attempt(self) -> int:
        """The attempt that was leased."""


# Named tuples: thousands are made in a second, and a frozen dataclass costs five times as much.


class Claim(NamedTuple):
    """A task leased to this process: ``attempt`` is the token that its close must show."""

    id: uuid.UUID
    seq: int
    name: str
    attempt: int
    strikes: int
    size_bytes: int
    payload: dict[str, Any]


class Outcome(NamedTuple):
    """How one run of a task ended; ``pending`` hands it back, due after ``delay_s``."""

    task_id: uuid.UUID
    attempt: int
    state: TaskState
    reason: Reason | None = None
    message: str = ""
    result_key: str | None = None
    delay_s: float = 0.0
    strike: bool = False


class NewTask(NamedTuple):
    """A task to insert; with ``state`` it has already ended (reused result, unreadable entry).

    It ``needs`` the tasks at those places, which are inserted with it, and runs once they have
    succeeded, or ended. One that ``stops`` the job cancels all that is pending when it ends badly.
    """

    seq: int
    name: str
    size_bytes: int
    payload: dict[str, Any]
    state: TaskState = TaskState.PENDING
    reason: Reason | None = None
    message: str = ""
    result_key: str | None = None
    needs: tuple[int, ...] = ()
    run_when: RunWhen = RunWhen.ALL_SUCCEEDED
    stops: bool = False


#: What a claim is given of a task.
CLAIM = "id, seq, name, attempt, strikes, size_bytes, payload"


def as_claims(rows: list[tuple[Any, ...]]) -> list[Claim]:
    """Return the claims that the rows of ``CLAIM`` hold, the largest first."""
    claims = [_claim(*row) for row in rows]
    return sorted(claims, key=lambda claim: (-claim.size_bytes, claim.seq))


def _claim(task_id: uuid.UUID | str, *told: Any) -> Claim:
    seq, name, attempt, strikes, size_bytes, payload = told
    document = documents.loaded(payload)
    return Claim(as_uuid(task_id), seq, name, attempt, strikes, size_bytes, document)


#: An enumeration is slow to be asked for a member.
_PENDING = TaskState.PENDING

# What most rows have is left out, and filled in by the statement: thousands of them are sent.


def as_row(outcome: Outcome) -> dict[str, Any]:
    """Return what a close is told of one task."""
    row = {"id": outcome.task_id.hex, "attempt": outcome.attempt, "state": outcome.state}
    if outcome.delay_s:
        row["delay_s"] = outcome.delay_s
    if outcome.strike:
        row["strike"] = 1
    return _with_end(row, outcome)


def as_new_row(task: NewTask) -> dict[str, Any]:
    """Return what an insert is told of one task."""
    row = {
        **{"id": new_id_hex(), "seq": task.seq, "name": clean(task.name)},
        **{"size_bytes": task.size_bytes, "payload": task.payload},
    }
    if task.state != _PENDING:
        row["state"] = task.state
    return _with_end(row, task)


def _with_end(row: dict[str, Any], told: Outcome | NewTask) -> dict[str, Any]:
    if told.reason is not None:
        row["reason"] = told.reason
    if told.message:
        row["message"] = clean(told.message)
    if told.result_key is not None:
        row["result_key"] = told.result_key
    return row
