"""The closed vocabularies of the machine: states drive, reasons explain.

The allowed moves between states stand here once; the database holds the same table as CHECK
constraints and triggers (``pipeline/store/migrations``).
"""

from enum import StrEnum


class TaskState(StrEnum):
    """Where one unit of work stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """Where a submitted job stands; ``partial``: some tasks ended well and some did not."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


TERMINAL_TASK = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.TIMED_OUT, TaskState.CANCELLED}
)
TERMINAL_JOB = frozenset(JobState) - {JobState.PENDING, JobState.RUNNING}

TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PENDING: frozenset({TaskState.RUNNING}) | TERMINAL_TASK,
    TaskState.RUNNING: frozenset({TaskState.PENDING}) | TERMINAL_TASK,
}
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.RUNNING}) | TERMINAL_JOB,
    JobState.RUNNING: TERMINAL_JOB,
}


class Reason(StrEnum):
    """Why a job or task is where it is; a human sentence always stands beside it."""

    ERROR = "error"
    WORKER_LOST = "worker_lost"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    DEADLINE = "deadline"
    # Containers.
    HEARTBEAT_LOST = "heartbeat_lost"
    EXIT_CODE = "exit_code"
    KILLED = "killed"
    REMOVED = "removed"
    HOST_LOST = "host_lost"
    NOT_STARTED = "not_started"
    IMAGE_MISSING = "image_missing"
    CANNOT_CREATE = "cannot_create"
    CANNOT_START = "cannot_start"
    CANCELLED = "cancelled"
    REUSED = "reused"
    # Steps.
    NEED_FAILED = "need_failed"
    STORAGE = "storage"
    # Input that was refused or could not be read.
    NOT_AN_ARCHIVE = "not_an_archive"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"
    UNSUPPORTED = "unsupported"
    UNSAFE_ENTRY = "unsafe_entry"
    DUPLICATE_ENTRY = "duplicate_entry"
    OVERLAPPING_ENTRIES = "overlapping_entries"
    TOO_MANY_ENTRIES = "too_many_entries"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    # Linting.
    BAD_CONFIG = "bad_config"
    ENGINE_ERROR = "engine_error"
    # Requests.
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"


class RunWhen(StrEnum):
    """When a task runs that needs others: once they succeeded, or once they ended in any way."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_ENDED = "all_ended"


class CatchUp(StrEnum):
    """What becomes of times that came while no scheduler ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a time that comes while the schedule's last job is open."""

    ALLOW = "allow"
    SKIP = "skip"
    CANCEL_PREVIOUS = "cancel_previous"
