"""Every error Quayline raises on purpose, under one root, by what the caller can do about it."""

from pipeline.states import Reason


class QuaylineError(Exception):
    """The root. ``str(error)`` is one sentence a user can act on; ``reason`` is its closed code."""

    default_reason = Reason.ERROR

    def __init__(self, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason


class Transient(QuaylineError):
    """Raised when the same call may succeed later: a service is away, a lease was lost."""


class Permanent(QuaylineError):
    """Raised when trying again gives the same answer: this unit of work has failed."""


class Refused(QuaylineError):
    """Raised when the caller asked for something we do not do (HTTP 4xx, exit code 2)."""

    default_reason = Reason.BAD_REQUEST


class NotFound(Refused):
    """Raised when a job, report or blob of that name does not exist."""

    default_reason = Reason.NOT_FOUND


class Conflict(Refused):
    """Raised when an idempotency key comes again with another request."""

    default_reason = Reason.CONFLICT


class StorageUnavailable(Transient):
    """Raised when the blob storage cannot be read or written now (away, full, read-only)."""

    default_reason = Reason.STORAGE


class DatabaseUnavailable(Transient):
    """Raised when the database does not answer within the connection timeout."""


class WaitTimeout(Transient):
    """Raised by ``job.wait(timeout_s=…)`` when the job is still open then."""
