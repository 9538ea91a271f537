"""What a process counts and times, declared here once: base units, and labels that are never ids.

Nothing is counted before ``begin``: a program that embeds us pays for none of it and imports no
client of Prometheus. What is so *now* (jobs, queues, containers) stands in rows and is told from
there, by the scheduler alone (``pipeline/core/row_figures.py``).
"""

import time
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.states import Reason

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: From a file that is known to one that takes all of its budget.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: What waits or goes on outside of workers takes as long as hours.
LONG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)


class Figure:
    """A figure by name, text and labels; made when the process begins to count."""

    declared: ClassVar[list["Figure"]] = []

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self._made: Any = None
        Figure.declared.append(self)

    def make(self, registry: "CollectorRegistry") -> None:
        """Count from now on, in that registry."""
        raise NotImplementedError

    def _of(self, labels: Sequence[str]) -> Any:
        return self._made.labels(*labels) if labels else self._made


class Counter(Figure):
    """What only grows."""

    def make(self, registry: "CollectorRegistry") -> None:
        """Count from now on, in that registry."""
        from prometheus_client import Counter as Made

        self._made = Made(self.name, self.text, self.labels, registry=registry)

    def add(self, *labels: str, by: float = 1) -> None:
        """Count; ``by=0`` makes the series known, so that its first increase is seen as one."""
        if self._made is not None:
            self._of(labels).inc(by)


class Gauge(Figure):
    """What goes up and down in living processes; that of one that was killed counts no more."""

    def make(self, registry: "CollectorRegistry") -> None:
        """Count from now on, in that registry."""
        from prometheus_client import Gauge as Made

        self._made = Made(
            *(self.name, self.text, self.labels), registry=registry, multiprocess_mode="livesum"
        )

    def move(self, by: float, *labels: str) -> None:
        """Go up, or down."""
        if self._made is not None:
            self._of(labels).inc(by)

    def set(self, value: float, *labels: str) -> None:
        """Stand there."""
        if self._made is not None:
            self._of(labels).set(value)


class Histogram(Figure):
    """How long something took."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        bounds: Sequence[float] = SECONDS,
    ) -> None:
        self.bounds = bounds
        super().__init__(name, text, labels)

    def make(self, registry: "CollectorRegistry") -> None:
        """Count from now on, in that registry."""
        from prometheus_client import Histogram as Made

        told = (self.name, self.text, self.labels)
        self._made = Made(*told, buckets=self.bounds, registry=registry)

    def observe(self, value: float, *labels: str) -> None:
        """Note one."""
        if self._made is not None:
            self._of(labels).observe(value)

    def observe_all(self, values: Iterable[float], *labels: str) -> None:
        """Note many at once, at the cost of one: each bucket is written once."""
        if self._made is None:
            return
        told = list(values)
        made = self._of(labels)
        # The library has no way to note many; these two parts of it are what its `observe` writes.
        made._sum.inc(sum(told))
        for bucket, number in Counts(bisect_left(self.bounds, value) for value in told).items():
            made._buckets[bucket].inc(number)


# --- Tasks and jobs -----------------------------------------------------------------------------

TASKS_ENDED = Counter(
    *("quayline_tasks_ended", "Tasks that ended; reason is empty for those that ended well."),
    ("kind", "state", "reason"),
)
JOBS_ENDED = Counter(
    *("quayline_jobs_ended", "Jobs that ended; reason is empty for those that ended well."),
    ("kind", "state", "reason"),
)
RETRIES = Counter(
    *("quayline_task_retries", "Runs of tasks that ended badly or were given back, and run again."),
    ("kind", "reason"),
)
LEASE_LOSSES = Counter(
    "quayline_lease_losses", "Tasks whose lease lapsed: their worker was lost.", ("kind",)
)
CACHE_HITS = Counter(
    "quayline_cache_hits", "Tasks that ended with a result that was known before.", ("kind",)
)
RUN_SECONDS = Histogram(
    "quayline_task_run_seconds", "From a task's lease to the end of that run.", ("kind",)
)
DETACHED_SECONDS = Histogram(
    *("quayline_detached_run_seconds", "From a container's start to its end.", ("kind",)),
    bounds=LONG_SECONDS,
)
QUEUE_WAIT_SECONDS = Histogram(
    *("quayline_queue_wait_seconds", "From a message's sending to its worker.", ("queue",)),
    bounds=LONG_SECONDS,
)

# --- Linting ------------------------------------------------------------------------------------

LINT_SECONDS = Histogram("quayline_lint_seconds", "Time of one file in a lint child.")
LINT_FILES = Counter(
    *("quayline_lint_files", "Files given to lint children, by how that ended.", ("outcome",))
)
CHILD_KILLS = Counter(
    *("quayline_lint_child_kills", "Lint children that a file ended.", ("reason",))
)

# --- Services -----------------------------------------------------------------------------------

SERVICE_CALLS = Counter(
    *("quayline_service_calls", "Runs of calls of services, by how they ended."),
    ("mode", "service", "outcome"),
)
SERVICE_SECONDS = Histogram(
    *("quayline_service_seconds", "Time of one run of a call.", ("mode", "service"))
)
SERVICE_TOKENS = Counter(
    *("quayline_service_tokens", "Tokens that models took and gave.", ("model", "direction"))
)
SERVICE_CHILD_KILLS = Counter(
    *("quayline_service_child_kills", "Children of heavy calls that ended without an answer."),
    ("mode", "service", "reason"),
)
SERVICE_WAITS = Counter(
    *("quayline_service_waits", "Calls that found no room and were put off."),
    ("mode", "service"),
)

# --- The process --------------------------------------------------------------------------------

WORKER_PROCESSES = Gauge("quayline_worker_processes", "Living worker processes.")
POOL_USED = Gauge("quayline_database_connections_used", "Database connections in use.")
POOL_SIZE = Gauge("quayline_database_connections_most", "Database connections that may be used.")
DATABASE_FAILURES = Counter(
    "quayline_database_failures", "Sessions that the database did not answer or let in."
)
TROUBLE = Counter(
    *("quayline_trouble", "Work that could not be written and is tried again.", ("reason",))
)

# --- The scheduler ------------------------------------------------------------------------------

TICK_SECONDS = Histogram("quayline_tick_seconds", "Time of a tick of the timetable.", ("entry",))
TICKS_FAILED = Counter("quayline_ticks_failed", "Ticks that failed.", ("entry",))
TICK_AT = Gauge(
    *("quayline_tick_last_success_timestamp_seconds", "When a tick ended well.", ("entry",))
)
SWEPT = Counter("quayline_swept", "What sweeps found and set going again.", ("what",))


@contextmanager
def tick(entry: str) -> Iterator[None]:
    """Time a tick of the timetable; what it raises goes on."""
    began_at = time.monotonic()
    try:
        yield
        TICK_AT.set(time.time(), entry)
    except Exception:
        TICKS_FAILED.add(entry)
        raise
    finally:
        TICK_SECONDS.observe(time.monotonic() - began_at, entry)


_registry: "CollectorRegistry | None" = None


def begin() -> "CollectorRegistry":
    """From now on this process counts; return the registry in which its figures stand."""
    global _registry
    if _registry is None:
        from prometheus_client import CollectorRegistry

        _registry = CollectorRegistry()
        for figure in Figure.declared:
            figure.make(_registry)
        # Its first increase is one that somebody is told of.
        TROUBLE.add(Reason.STORAGE, by=0)
    return _registry
