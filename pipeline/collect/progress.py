"""How far the work is, shared between the work's thread and the heartbeat's."""

import threading
from collections.abc import Callable
from typing import Any

from pipeline.collect.plainjson import plain


class Progress:
    """A stage, a percentage where it is known, and counts; a new stage is told at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, Any] = {"stage": "starting"}
        self._on_stage: Callable[[], None] = lambda: None

    def on_stage(self, told: Callable[[], None]) -> None:
        """``told`` is called after each change of the stage."""
        self._on_stage = told

    def stage(self, name: str, **counts: Any) -> None:
        """Another stage has begun; what was said of the last one is forgotten."""
        with self._lock:
            changed = self._told.get("stage") != name
            self._told = {"stage": name, **counts}
        if changed:
            self._on_stage()

    def update(
        self, *, done: float | None = None, total: float | None = None, **counts: Any
    ) -> None:
        """The stage is so far; with a total it has a percentage too, between 0 and 100."""
        with self._lock:
            self._told.update(counts)
            if done is not None:
                self._told["current_step"] = done
            if done is not None and total:
                self._told["total_steps"] = total
                self._told["percentage"] = round(min(100.0, max(0.0, 100.0 * done / total)), 2)

    def snapshot(self) -> dict[str, Any]:
        """Return a copy that JSON takes."""
        with self._lock:
            return dict(plain(self._told))
