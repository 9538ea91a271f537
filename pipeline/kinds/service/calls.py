"""What a service is given beside its input, and the errors by which it says what comes next."""

from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import Permanent, Transient


class TaskContext(Protocol):
    """The surroundings of one run of a task; what is noted here is kept with the task and shown.

    As a mapping it holds what the submitter sent as ``context`` (``context["language"]``,
    ``context.get("model")``).
    """

    task_id: str
    job_id: str
    user_id: str
    attempt: int
    mode: str
    service: str
    task: str
    #: Results of the steps that this one needs, by their names.
    needs: dict[str, Any]
    #: A folder of this run alone; gone afterwards.
    folder: Path
    #: What the run before left with ``save_checkpoint``; None in the first.
    checkpoint: Any

    def __getitem__(self, name: str) -> Any:
        """Return what the submitter sent under the name."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return what the submitter sent under the name, or the default."""

    def progress(self, fraction: float | None = None, message: str = "", **details: Any) -> None:
        """Tell how far it is, from 0 to 1; cheap, written at most a few times a second."""

    def partial(self, text: str) -> None:
        """Append to the output that is shown while it runs (a streamed answer)."""

    def save_checkpoint(self, state: Any) -> None:
        """Keep a JSON document for the next run, should this one not end well."""

    def cancelled(self) -> bool:
        """Tell whether the task was cancelled, is over its soft limit, or its worker stops."""

    def note_model(self, model: str, *, input_tokens: int, output_tokens: int) -> None:
        """Count one call of a model."""

    def open(self, path: str | Path, mode: str = "r", **told: Any) -> Any:
        """Open a file below ``folder``, and note that it was."""


class RetryLater(Transient):
    """Raised by a service that is to be tried again, no sooner than after ``after_s`` seconds.

    With ``shared`` (the other side said Retry-After) no worker calls the service before that.
    """

    def __init__(self, message: str, *, after_s: float | None = None, shared: bool = False) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.shared = shared


class Rejected(Permanent):
    """Raised by a service for input that it cannot take: its task fails and is not tried again."""
