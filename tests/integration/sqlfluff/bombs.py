"""Files that would take all time or memory, run past the pool in a process that only owns it.

Run by ``measure`` in a process of its own, so that its peak memory is that of an owner: what a
worker would grow by.
"""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.adapters.sqlfluff import ConfigTree, LintPool, LintReply, LintWork
from pipeline.states import Reason
from tests.integration.sqlfluff.arsenal import BOMBS

MIB = 1024 * 1024
MEMORY_MIB = 384
#: Above its budget, a file may take so long to be ended.
GRACE_S = 1.5
#: A budget that runs out is one of these; what SQLFluff itself gives up on is an engine error.
TYPED = frozenset(
    {
        *(Reason.TIME_LIMIT, Reason.OUT_OF_MEMORY, Reason.TOO_LARGE, Reason.CRASHED),
        *(Reason.ENGINE_ERROR, Reason.BAD_CONFIG, Reason.UNREADABLE),
    }
)
NEIGHBOUR = b"SELECT a FROM b\n"


@dataclass
class Blast:
    """What the bombs did; ``wrong`` names each that was not ended as it should."""

    bombs: int = 0
    linted: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    neighbours: int = 0
    slowest_s: float = 0.0
    slowest: str = ""
    limit_s: float = 0.0
    grown_mib: int = 0

    @property
    def sound(self) -> bool:
        return not self.wrong and self.neighbours >= self.bombs and self.grown_mib < 64

    def __str__(self) -> str:
        return (
            f"{self.bombs} bombs of time, memory, templates and replies: not ended in time or not"
            f" typed {len(self.wrong)}, slowest {self.slowest_s:.2f} s of {self.limit_s:g} s"
            f" ({self.slowest}), neighbours linted {self.neighbours}, the owner grew by"
            f" {self.grown_mib} MiB (< 64; budget of a file {MEMORY_MIB} MiB);"
            f" {self.linted} linted in time, {self.reasons}"
        )

    @classmethod
    def of(cls, text: str) -> "Blast":
        """The figures that ``told`` wrote."""
        return cls(**json.loads(text))

    def told(self) -> str:
        return json.dumps(asdict(self))


def work(name: str, fix: bool = False) -> LintWork:
    """The bomb of that name."""
    sql, config = BOMBS[name]
    data = sql if isinstance(sql, bytes) else sql.encode()
    files = {".sqlfluff": f"[sqlfluff]\n{config}\n".encode()}
    effective = ConfigTree(files, overrides={"dialect": None if "dialect" in config else "ansi"})
    told = effective.effective("x.sql")
    return LintWork(name, data, told.document, told.digest, fix)


def explode(limit_s: float, names: list[str] | None = None) -> Blast:
    """Each bomb in a pool of two, where a neighbour is linted meanwhile."""
    found = Blast(limit_s=limit_s)
    told = ConfigTree({}, overrides={"dialect": "ansi"}).effective("x.sql")
    neighbour = LintWork("n", NEIGHBOUR, told.document, told.digest)
    pool = LintPool(2, time_limit_s=limit_s, memory_limit_bytes=MEMORY_MIB * MIB, fix_factor=1)
    try:
        pool.lint(neighbour)
        works = [work(name) for name in names or BOMBS]
        before = resident_mib()
        for bomb in works:
            replies: list[LintReply] = []
            thread = threading.Thread(target=lambda b=bomb, r=replies: r.append(pool.lint(b)))
            started = time.monotonic()
            thread.start()
            found.neighbours += pool.lint(neighbour).reason is None
            thread.join()
            _judge(found, bomb.name, replies, time.monotonic() - started)
        found.grown_mib = peak_mib() - before
    finally:
        pool.close()
    return found


def _judge(found: Blast, name: str, replies: list[LintReply], seconds: float) -> None:
    found.bombs += 1
    if seconds > found.slowest_s:
        found.slowest_s, found.slowest = seconds, name
    if not replies or seconds > found.limit_s + GRACE_S:
        found.wrong.append(f"{name}: {seconds:.1f} s")
        return
    reply = replies[0]
    if reply.reason is None:
        found.linted += 1
        return
    found.reasons[reply.reason] = found.reasons.get(reply.reason, 0) + 1
    if reply.reason not in TYPED or not 10 < len(reply.message) <= 2000:
        found.wrong.append(f"{name}: {reply.reason} {reply.message[:200]}")


def resident_mib() -> int:
    return _status("VmRSS:")


def peak_mib() -> int:
    return _status("VmHWM:")


def _status(field_name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(field_name)[2].split()[0]) // 1024
