"""The memory of a worker that expands: many entries, and many bytes, do not make it grow."""

import base64
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.producer import Job
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service

ENTRIES = 100_000
MIB = 1024 * 1024
ENTRY_BYTES = 16 * MIB
WHOLE_BYTES = 4096 * MIB
#: Of each block so much is noise, so that the ratio stays below the limit of 200.
BLOCK_BYTES, NOISE_BYTES = 16 * 1024, 192
LIMIT_S = 1800.0
TARGET_MIB = 300


def run(plan: Plan) -> list[Figure]:
    """Return the peak of the workers' resident memory (VmHWM) for both archives, in the detail."""
    share = 50 if plan.quick else 1
    entries = _archive(plan.folder / f"entries-{ENTRIES // share}.zip", _small(ENTRIES // share))
    bulk = _archive(
        plan.folder / f"bulk-{WHOLE_BYTES // share}.zip",
        _large(max(2, WHOLE_BYTES // share // ENTRY_BYTES)),
    )
    return [
        _expanded("rss: 100,000 entries", entries, plan),
        _expanded("rss: 4 GiB", bulk, plan),
    ]


def _expanded(name: str, archive: Path, plan: Plan) -> Figure:
    """Expand with workers that listen to expansions only, so that nothing is linted."""
    with service(plan.folder) as running:
        worker = running.work(processes=1, queues=["zip_processing", "monitoring"])
        before = _peak_mib(worker.worker_pids())
        began = time.perf_counter()
        job = running.client.lint(archive)
        while not (progress := job.progress()).planned:
            if time.perf_counter() - began > LIMIT_S or progress.finalized:
                raise RuntimeError(f"Not expanded: {progress}")
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        peak = _peak_mib(worker.worker_pids())
        job.cancel()
        return Figure(
            name,
            progress.total,
            round(seconds, 3),
            detail={
                **{"peak_mib": peak, "idle_mib": before, "target_mib": TARGET_MIB},
                **{"archive_mib": round(archive.stat().st_size / MIB, 1)},
                "finish_peak_mib": _finished(running, job, worker.worker_pids()),
            },
        )


def _finished(running: Service, job: Job, pids: list[int]) -> float:
    """Return the peak once the reports of the cancelled job stand, too."""
    job.wait(LIMIT_S)
    return _peak_mib(pids)


def _peak_mib(pids: list[int]) -> float:
    peaks = [0.0]
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peaks.append(int(line.split()[1]) / 1024)
    return round(max(peaks), 1)


def _small(count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        yield f"{number % 500}/{number}.sql", f"SELECT {number} AS n\n".encode()


def _large(count: int) -> Iterator[tuple[str, bytes]]:
    noise = random.Random(5)
    filler = b"-- the same line of a very large file, over and over\n"
    for number in range(count):
        blocks = []
        for _ in range(ENTRY_BYTES // BLOCK_BYTES):
            head = b"-- " + base64.b64encode(noise.randbytes(NOISE_BYTES)) + b"\n"
            room = BLOCK_BYTES - len(head)
            blocks.append(head + (filler * (room // len(filler) + 1))[: room - 1] + b"\n")
        yield f"big/{number}.sql", b"".join(blocks)


def _archive(path: Path, members: Iterator[tuple[str, bytes]]) -> Path:
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            out.writestr(".sqlfluff", "[sqlfluff]\ndialect = ansi\n")
            for name, content in members:
                out.writestr(name, content)
        part.rename(path)
    return path
