"""What runs of calls tell, kept in their rows: progress, partial output, checkpoint, record.

The record of a task counts all of its runs: tokens that a failed one has used were used.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline import metrics
from pipeline.core import documents
from pipeline.core.history import clean
from pipeline.core.tasks import Claim
from pipeline.errors import DatabaseUnavailable
from pipeline.store import changes
from pipeline.store.database import (
    as_json,
    as_uuid,
    dialect,
    execute,
    session,
    transaction,
)
from pipeline.store.models import as_utc

log = logging.getLogger(__name__)

#: So many characters of the partial output are kept, the last ones.
MOST_PARTIAL = 256 * 1024
#: So many models are counted one by one, and the others together.
MOST_MODELS = 50
OTHER = "other"
#: So many of the files that a task has opened are told.
MOST_FILES = 100


@dataclass(slots=True)
class Before:
    """What is known of a task's earlier runs."""

    checkpoint: Any = None
    record: dict[str, Any] = field(default_factory=dict)
    since_s: float = 0.0


def before(claims: Sequence[Claim]) -> dict[uuid.UUID, Before]:
    """Return what the earlier runs of the tasks have left, of those that have any."""
    again = [claim.id for claim in claims if claim.attempt > 1]
    if not again:
        return {}
    sql = dialect()
    with session():
        rows = execute(
            f"SELECT task_id, checkpoint, record, began_at, {sql.now} FROM service_runs"
            f" WHERE {sql.among('task_id')}",
            sql.ids(again),
        )
    return {as_uuid(row[0]): _before(*row[1:]) for row in rows}


def _before(checkpoint: str | None, record: str, began_at: Any, now: Any) -> Before:
    began, moment = as_utc(began_at), as_utc(now)
    since_s = (moment - began).total_seconds() if began and moment else 0.0
    kept = None if checkpoint is None else documents.loaded(f'{{"kept":{checkpoint}}}').get("kept")
    return Before(kept, documents.loaded(record), max(0.0, since_s))


class Account:
    """What one run tells; ``note`` may be called from any thread, at any rate."""

    def __init__(
        self,
        claim: Claim,
        *,
        user_id: str,
        step: int,
        before: Before,
        mode: str = "",
        service: str = "",
        task: str = "",
    ) -> None:
        self.claim = claim
        self.is_dirty = True
        self._lock = threading.Lock()
        self._progress: dict[str, Any] | None = None
        self._partial = ""
        self._dropped = 0
        self._checkpoint: str | None = None
        told = before.record
        self._files: list[dict[str, str]] = list(told.get("files", []))
        self._models: dict[str, dict[str, int]] = dict(told.get("models", {}))
        self._runs = int(told.get("runs", 0)) + 1
        self._ran_s = float(told.get("run_s", 0.0))
        self._called = {"mode": mode, "service": service, "task": task}
        self._user_id = user_id
        self._step = step
        self._began = time.monotonic()
        self._ended: float | None = None

    def note(self, word: str, value: Any) -> None:
        """Take what the run tells; it is written later."""
        with self._lock:
            self.is_dirty = True
            match word:
                case "progress":
                    self._progress = value
                case "partial":
                    self._append(value)
                case "checkpoint":
                    self._checkpoint = value
                case "model":
                    self._count(value)
                case "file":
                    if value not in self._files and len(self._files) < MOST_FILES:
                        self._files.append(value)

    def _append(self, text: str) -> None:
        whole = self._partial + text
        self._dropped += max(0, len(whole) - MOST_PARTIAL)
        self._partial = whole[-MOST_PARTIAL:]

    def _count(self, told: dict[str, Any]) -> None:
        name = clean(told["model"])
        if name not in self._models and len(self._models) >= MOST_MODELS:
            name = OTHER
        known = self._models.get(name, {})
        self._models[name] = {
            "calls": known.get("calls", 0) + 1,
            "input_tokens": known.get("input_tokens", 0) + told["input"],
            "output_tokens": known.get("output_tokens", 0) + told["output"],
        }
        label = _label(name)
        metrics.SERVICE_TOKENS.add(label, "input", by=told["input"])
        metrics.SERVICE_TOKENS.add(label, "output", by=told["output"])

    def begin(self) -> None:
        """The run begins now: until there was room for it, it has waited."""
        self._began = time.monotonic()

    def end(self) -> None:
        """The run is over: its time stands."""
        with self._lock:
            self._ended = self._ended or time.monotonic()
            self.is_dirty = True

    @property
    def has_checkpoint(self) -> bool:
        """True when this run has left one."""
        return self._checkpoint is not None

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return (self._ended or time.monotonic()) - self._began

    def record(self) -> dict[str, Any]:
        """Return what is kept of the task's runs, and shown."""
        return {
            "user_id": self._user_id,
            "step": self._step,
            **self._called,
            "runs": self._runs,
            "run_s": round(self._ran_s + self.seconds, 6),
            "models": self._models,
            "files": self._files,
        }

    def row(self) -> dict[str, Any]:
        """Return what its row is told; from now on it is clean."""
        with self._lock:
            self.is_dirty = False
            return {
                "id": self.claim.id.hex,
                "attempt": self.claim.attempt,
                "progress": None if self._progress is None else as_json(self._progress),
                "partial": _storable(self._partial),
                "partial_from": self._dropped,
                "checkpoint": self._checkpoint,
                "record": as_json(self.record()),
            }


def _label(model: str) -> str:
    """Return the name under which a model is counted: a submitter may think up any."""
    if len(_models) < MOST_MODELS:
        _models.add(model)
    return model if model in _models else OTHER


_models: set[str] = set()


def _storable(text: str) -> str:
    # In pieces: what cleans a message keeps two thousand characters.
    return "".join(clean(text[at : at + 2000]) for at in range(0, len(text), 2000))


def write(accounts: Iterable[Account]) -> None:
    """Write what is new in those whose run holds its task still, in one statement."""
    told = [account for account in accounts if account.is_dirty]
    if not told:
        return
    try:
        _write([account.row() for account in told])
    except DatabaseUnavailable:
        for account in told:
            account.is_dirty = True
        raise


def _write(rows: list[dict[str, Any]]) -> None:
    sql = dialect()
    columns = {
        **{"id": "uuid", "attempt": "int", "progress": "text", "partial": "text"},
        **{"partial_from": "bigint", "checkpoint": "text", "record": "text"},
    }
    with transaction():
        written = execute(
            "INSERT INTO service_runs (task_id, job_id, attempt, progress, partial, partial_from,"
            " checkpoint, record, began_at, updated_at)"
            " SELECT t.id, t.job_id, r.attempt, r.progress, r.partial, r.partial_from,"
            f" r.checkpoint, r.record, {sql.now}, {sql.now} FROM {sql.rows(columns)}"
            " JOIN tasks t ON t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'"
            " WHERE 1 = 1 ORDER BY t.id"
            " ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt,"
            " progress = excluded.progress, partial = excluded.partial,"
            " partial_from = excluded.partial_from,"
            " checkpoint = COALESCE(excluded.checkpoint, service_runs.checkpoint),"
            " record = excluded.record, updated_at = excluded.updated_at RETURNING job_id",
            as_json(sorted(rows, key=lambda row: str(row["id"]))),
        )
        for (job_id,) in written:
            changes.note(as_uuid(job_id))
