"""How soon something is seen: the first result of a big archive, a submit, a command, an import."""

import subprocess
import sys
import time
import zipfile
from pathlib import Path
from statistics import median

from pipeline.core import jobs
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service

FILES = 10_000
UPLOAD_BYTES = 10_000_000
LIMIT_S = 120.0
SQL = "SELECT a.id, a.name_{0}\nFROM accounts AS a\nWHERE a.balance > {0}\nORDER BY a.id\n"


def run(plan: Plan) -> list[Figure]:
    """Return the times of a first result, a submit of 10 MB, ``--help`` and ``import``."""
    count = FILES // 20 if plan.quick else FILES
    archive = _archive(plan.folder / f"first-{count}.zip", count)
    with service(plan.folder) as running:
        running.schedule()
        running.work(processes=plan.processes)
        cold = _first_result(running, archive)
        warm = [_first_result(running, archive) for _ in range(max(3, plan.pairs))]
        submits = [_submit(running, number) for number in range(5)]
    submitted, stored = zip(*submits, strict=True)
    return [
        _plain("first result", count, warm, first_job_of_its_workers_s=round(cold, 3)),
        Figure.of_pairs("first: submit 10 MB", 1, "storing it alone", submits)
        if min(stored) > 0
        else _plain("first: submit 10 MB", 1, list(submitted)),
        _plain("first: quayline --help", 1, _commands("-m", "pipeline.cli", "--help")),
        _plain("first: import pipeline", 1, _commands("-c", "import pipeline"), python=_python()),
        _plain(
            "first: from pipeline import Client", 1, _commands("-c", "from pipeline import Client")
        ),
    ]


def _plain(name: str, count: int, seconds: list[float], **detail: float) -> Figure:
    spread = {"fastest": round(min(seconds), 3), "slowest": round(max(seconds), 3)}
    return Figure(name, count, round(median(seconds), 3), detail={**detail, **spread})


def _archive(path: Path, count: int) -> Path:
    if not path.exists():
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr(".sqlfluff", "[sqlfluff]\ndialect = ansi\n")
            for number in range(count):
                out.writestr(f"queries/{number % 100}/{number}.sql", SQL.format(number))
    return path


def _first_result(running: Service, archive: Path) -> float:
    """Return the seconds from the submit to the first ended task; the rest is cancelled."""
    running.forget()
    began = time.perf_counter()
    job = running.client.lint(archive, cache=False)
    while (progress := job.progress()).done == 0:
        if time.perf_counter() - began > LIMIT_S or progress.finalized:
            raise RuntimeError(f"No result: {progress}")
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    job.cancel()
    job.wait(LIMIT_S)
    return seconds


def _submit(running: Service, number: int) -> tuple[float, float]:
    """Return the seconds of a submit of 10 MB, and of storing as much alone."""
    content, other = (_incompressible(number, salt) for salt in (0, 1))
    began = time.perf_counter()
    job = running.client.lint(content)
    submitted = time.perf_counter() - began
    began = time.perf_counter()
    running.client.context.blobs.put(other)
    stored = time.perf_counter() - began
    jobs.cancel(job._id, actor="bench")
    return submitted, stored


def _incompressible(number: int, salt: int) -> bytes:
    import random

    return random.Random(number * 2 + salt).randbytes(UPLOAD_BYTES)


def _commands(*arguments: str, times: int = 7) -> list[float]:
    """Return the seconds of whole processes, but for the first, which fills the file cache."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def _python() -> float:
    return round(median(_commands("-c", "pass")), 3)
