"""The ``TaskContext`` that a service is given, in a worker's thread or in a child process.

What it notes goes to a function, as a word and a JSON value; that may be far away.
"""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import jsontext
from pipeline.kinds.service.folders import RunFolder
from pipeline.kinds.service.runs import Run

#: What a service may leave for its next run, and say beside its progress, in bytes of JSON.
MOST_CHECKPOINT_BYTES = 1024 * 1024
MOST_DETAILS_BYTES = 16 * 1024

Note = Callable[[str, Any], None]

#: More tokens than any call has: what is told beyond is a slip, and would spoil every sum.
MOST_TOKENS = 10**12


class Surroundings:
    """See ``TaskContext``. ``close`` takes its folder away, if it made one."""

    def __init__(
        self, run: Run, note: Note, stopped: Callable[[], bool], folder: Path | None = None
    ) -> None:
        self.task_id = run.task_id
        self.job_id = run.job_id
        self.user_id = run.user_id
        self.attempt = run.attempt
        self.mode = run.mode
        self.service = run.service
        self.task = run.task
        self.step = run.step
        self.saw_stop = False
        self.needs = run.needs
        self.checkpoint = run.checkpoint
        self._given = run.context
        self._note = note
        self._stopped = stopped
        self._folder = folder
        self._own: RunFolder | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def folder(self) -> Path:
        """A folder of this run alone; gone afterwards."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The run is over; its folder is gone.")
            if self._folder is None:
                self._own = RunFolder()
                self._folder = self._own.path
            return self._folder

    def __getitem__(self, name: str) -> Any:
        """Return what the submitter sent under the name."""
        return self._given[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether the submitter sent something under the name."""
        return name in self._given

    def get(self, name: str, default: Any = None) -> Any:
        """Return what the submitter sent under the name, or the default."""
        return self._given.get(name, default)

    def progress(self, fraction: float | None = None, message: str = "", **details: Any) -> None:
        """Tell how far it is, from 0 to 1."""
        if fraction is not None:
            fraction = min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else None
        if details and len(jsontext.encoded(details)) > MOST_DETAILS_BYTES:
            raise ValueError(f"The details of progress take more than {MOST_DETAILS_BYTES} bytes.")
        told = {"fraction": fraction, "message": str(message)[:1000]}
        self._note("progress", {**told, **({"details": details} if details else {})})

    def partial(self, text: str) -> None:
        """Append to the output that is shown while it runs."""
        if text:
            self._note("partial", str(text))

    def save_checkpoint(self, state: Any) -> None:
        """Keep a JSON document for the next run; ``ValueError`` for one that is too large."""
        # As text, at once: the service may go on changing what it has handed over.
        text = jsontext.encoded(state).decode()
        if len(text) > MOST_CHECKPOINT_BYTES:
            raise ValueError(f"The checkpoint takes more than {MOST_CHECKPOINT_BYTES} bytes.")
        self._note("checkpoint", text)

    def cancelled(self) -> bool:
        """Tell whether the call should come to its end."""
        self.saw_stop |= self._stopped()
        return self.saw_stop

    def note_model(self, model: str, *, input_tokens: int, output_tokens: int) -> None:
        """Count one call of a model."""
        tokens = {"input": _counted(input_tokens), "output": _counted(output_tokens)}
        self._note("model", {"model": str(model)[:200], **tokens})

    def open(self, path: str | Path, mode: str = "r", **told: Any) -> Any:
        """Open a file below ``folder``, and note that it was; ``PermissionError`` for another."""
        folder = self.folder.resolve()
        place = (folder / path).resolve()
        if not place.is_relative_to(folder):
            raise PermissionError(f"{str(path)[:200]!r} does not lie in the folder of the run.")
        opened = place.open(mode, **told)
        self._note("file", {"name": str(place.relative_to(folder))[:500], "mode": mode})
        return opened

    def close(self) -> None:
        """The run is over."""
        with self._lock:
            self._is_closed = True
            own, self._own = self._own, None
        if own is not None:
            own.remove()


def _counted(tokens: int) -> int:
    return min(max(0, int(tokens)), MOST_TOKENS)
