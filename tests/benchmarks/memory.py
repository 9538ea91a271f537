"""What the processes of a deployment take while it works: memory, descriptors, threads, by role.

A role's value at a moment is that of its largest process: one that grows is seen however many
small ones stand beside it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from types import TracebackType
from typing import Any, Self

import psutil

from tests.support.workers import Process, Worker

MIB = 1024 * 1024
#: A role is called flat when its last third stands at most so far above its first.
FLAT_MIB, FLAT_SHARE = 16.0, 0.10


@dataclass(frozen=True, slots=True)
class Taken:
    """One process at one moment."""

    role: str
    pid: int
    rss_mib: float
    descriptors: int
    threads: int


@dataclass
class Series:
    """Values over time; ``at_s`` counts from the first sample."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, at_s: float, value: float) -> None:
        """Note a value."""
        self.points.append((at_s, value))

    @property
    def peak(self) -> float:
        """The largest value."""
        return max((value for _, value in self.points), default=0.0)

    def mean(self, part: int, parts: int) -> float | None:
        """Return the mean of one of so many equal stretches of the samples, counted from 0."""
        first, last = part * len(self.points) // parts, (part + 1) * len(self.points) // parts
        values = [value for _, value in self.points[first:last]]
        return fmean(values) if values else None

    def growth(self) -> float:
        """Return how far the mean of the last third stands above that of the first."""
        first, last = self.mean(0, 3), self.mean(2, 3)
        return 0.0 if first is None or last is None else last - first


def processes_of(root: Process, prefix: str = "") -> Iterator[tuple[str, psutil.Process]]:
    """Yield (role, process) of what was started and of all below it.

    A worker is a master over worker processes, each over a lint zygote, each over lint children.
    """
    with suppress(psutil.Error):
        top = psutil.Process(root.pid)
        if not isinstance(root, Worker):
            yield f"{prefix}{root.name}", top
            return
        yield f"{prefix}worker master", top
        for process in top.children():
            if "resource_tracker" in " ".join(process.cmdline()):
                yield f"{prefix}resource tracker", process
            else:
                yield from _worker_process(process, prefix)


def _worker_process(process: psutil.Process, prefix: str) -> Iterator[tuple[str, psutil.Process]]:
    yield f"{prefix}worker process", process
    with suppress(psutil.Error):
        for zygote in process.children():
            yield f"{prefix}lint zygote", zygote
            for child in zygote.children():
                yield f"{prefix}lint child", child


def taken(role: str, process: psutil.Process) -> Taken | None:
    """Return what the process takes now, None when it is gone."""
    with suppress(psutil.Error), process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        rss = process.memory_info().rss / MIB
        return Taken(role, process.pid, rss, process.num_fds(), process.num_threads())
    return None


class Sampler:
    """Samples in a thread of its own while the block runs; ``watched`` says whom, at each look."""

    def __init__(
        self,
        watched: Callable[[], Iterator[tuple[str, psutil.Process]]],
        *,
        every_s: float = 1.0,
        also: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.series: dict[str, Series] = {}
        self._watched = watched
        self._also = also
        self._every_s = every_s
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._began = time.monotonic()
        self.began_at = datetime.now(UTC)

    def take(self) -> None:
        """Note one sample of everybody."""
        now: dict[str, float] = {}
        for each in filter(None, (taken(*one) for one in self._watched())):
            for name, value in (
                (f"{each.role}: rss MiB", each.rss_mib),
                (f"{each.role}: descriptors", each.descriptors),
                (f"{each.role}: threads", each.threads),
            ):
                now[name] = max(now.get(name, 0.0), float(value))
        now |= self._also()
        at_s = round(time.monotonic() - self._began, 2)
        for name, value in now.items():
            self.series.setdefault(name, Series()).add(at_s, round(value, 2))

    def __enter__(self) -> Self:
        """Begin."""
        self._began, self.began_at = time.monotonic(), datetime.now(UTC)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._ended.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every_s):
                self.take()
        except Exception as error:  # noqa: BLE001 - raised in the thread that asked for samples
            self._error = error


def memory_detail(series: Mapping[str, Series]) -> dict[str, Any]:
    """Return {role: {peak_mib, growth_mib, flat}} of the memory of every role."""
    told = {}
    for name, each in sorted(series.items()):
        role, _, what = name.rpartition(": ")
        if what == "rss MiB":
            growth, first = each.growth(), each.mean(0, 3) or 0.0
            told[role] = {
                "peak_mib": round(each.peak, 1),
                "growth_mib": round(growth, 1),
                "flat": growth <= max(FLAT_MIB, FLAT_SHARE * first),
            }
    return told
