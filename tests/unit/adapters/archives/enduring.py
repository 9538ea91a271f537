"""Thousands of hurt archives through the reader, a share of them through the whole expansion.

Run by ``measure`` in a process of its own, so that its peak memory is theirs alone.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.adapters.archives import ArchiveLimits
from tests.unit.adapters.archives.arena import Arena, arena
from tests.unit.adapters.archives.mutating import LIMITS, hurt, survive

MOST_MIB = 256
LONGEST_S = 5.0
#: Two in so many, one wounded and one deformed, go the whole way of a job.
WHOLE_WAY = 8


@dataclass
class Figures:
    """What became of them; ``sound`` when all of it is as promised."""

    archives: int = 0
    expanded: int = 0
    tracebacks: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    peak_mib: int = 0
    slowest_s: float = 0.0
    slowest: int = 0

    @property
    def sound(self) -> bool:
        return (
            not self.tracebacks
            and not self.outside
            and self.peak_mib < MOST_MIB
            and self.slowest_s < LONGEST_S
        )

    def __str__(self) -> str:
        return (
            f"{self.archives:,} mutated archives, {self.expanded:,} of them through the whole"
            f" expansion: tracebacks {len(self.tracebacks)}, files outside the job's folder"
            f" {len(self.outside)}, peak RSS {self.peak_mib} MiB (< {MOST_MIB}), slowest"
            f" {self.slowest_s:.2f} s (< {LONGEST_S:g}, number {self.slowest})"
        )

    @classmethod
    def of(cls, text: str) -> "Figures":
        """The figures that ``told`` wrote."""
        return cls(**json.loads(text))

    def told(self) -> str:
        return json.dumps(asdict(self))


def endure(count: int, folder: Path, *, first: int = 0) -> Figures:
    """The archives numbered from ``first``, reproducibly; nothing they do is raised."""
    found = Figures()
    with arena(folder) as around:
        for number in range(first, first + count):
            data = hurt(number)
            started = time.monotonic()
            try:
                _meet(data, number, around, found)
            except Exception as error:  # noqa: BLE001  (to be counted)
                found.tracebacks.append(f"{number}: {error!r}")
            seconds = time.monotonic() - started
            if seconds > found.slowest_s:
                found.slowest_s, found.slowest = seconds, number
            found.archives += 1
        found.tracebacks += around.tracebacks.seen
        found.outside = around.strays()
    found.peak_mib = peak_mib()
    return found


def _meet(data: bytes, number: int, around: Arena, found: Figures) -> None:
    with around.watch.within(None):
        survive(data, LIMITS if number % 3 else ArchiveLimits())
    if number % WHOLE_WAY in (0, 3):
        found.expanded += 1
        around.expand(data)


def peak_mib() -> int:
    """Not of getrusage: its peak outlives exec and would be the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
