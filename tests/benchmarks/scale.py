"""What a task costs as jobs grow and workers are added: time, statements, frames, bytes.

The trivial kind shows the machine alone, from 100 to 100,000 tasks; real lints of one-line files
show 1, 2 and 4 worker processes. Costs per task must not grow with the number of tasks.
"""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.kinds import register
from pipeline.store.database import execute, session
from tests.benchmarks import counting
from tests.benchmarks.crowd import archive, query
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service, used
from tests.support import trivial
from tests.support.waiting import eventually

SIZES = (100, 1000, 10_000, 100_000)
LINT_SIZES = (100, 1000, 10_000, 100_000)
PROCESSES = (1, 2, 4)
LINTED = 1000
LIMIT_S = 1800.0

Submit = Callable[[Service], uuid.UUID]
#: The numbers in the files' contents begin here, so that no other bench's results are reused.
FIRST = 90_000_000


def run(plan: Plan) -> Iterator[Figure]:
    """Yield a figure per number of tasks, per number of files, and per number of processes."""
    register(trivial.KIND)
    for size in SIZES[:2] if plan.quick else SIZES:
        yield _counted(f"scale: {size:,} trivial tasks", size, plan, _trivial(size), _trivial(100))
    warmth = _lint(archive(plan.folder / "crowd", 100, FIRST - 100))
    for size in LINT_SIZES[:1] if plan.quick else LINT_SIZES:
        path = archive(plan.folder / "crowd", size, FIRST)
        yield _counted(f"scale: {size:,} files", size, plan, _lint(path), warmth)
    yield from _by_processes(plan)


def _counted(name: str, size: int, plan: Plan, submit: Submit, warm_up: Submit) -> Figure:
    """Return the figure of one job on counted workers, all it said divided by its tasks.

    They have worked before: their lint processes run and their connections stand. What they said
    for that is counted alone first, and taken off.
    """
    folder = plan.folder / f"counts-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with service(plan.folder) as running:
        running.environment[counting.FOLDER] = str(folder)
        said: list[dict[str, list[float]]] = []
        for told in ((warm_up,), (warm_up, submit)):
            worker = running.work(counting.__name__, processes=plan.processes)
            for each in told:
                running.forget()
                written, began = _wal_bytes(), time.perf_counter()
                row = _ended(each(running))
                seconds = time.perf_counter() - began
                written = _wal_bytes() - written
            tables = _table_bytes(row.total)
            running.stop(worker)
            said.append(counting.collect(folder))
            for path in folder.glob("*"):
                path.unlink()
    shutil.rmtree(folder)
    assert (row.state, row.done) == ("succeeded", size), (row.state, row.done, row.message)
    before, after = (_numbers(each) for each in said)
    detail: dict[str, Any] = {
        "us_per_task": round(seconds / size * 1e6),
        **{f"{what}_per_task": round((after[what] - before[what]) / size, 4) for what in after},
        "wal_bytes_per_task": round(written / size),
        **tables,
    }
    return Figure(name, size, round(seconds, 3), detail=detail)


def _numbers(said: dict[str, list[float]]) -> dict[str, float]:
    return {
        "statements": sum(number for what, (number, _) in said.items() if what.startswith("sql ")),
        "commits": said.get("sql COMMIT", [0, 0])[0],
        "amqp_frames": said[counting.FRAMES][0],
        "amqp_bytes": said[counting.FRAME_BYTES][0],
    }


def _trivial(size: int) -> Submit:
    return lambda _: jobs.submit(Submission(kind="trivial", parameters={"tasks": size}))


def _lint(path: Path) -> Submit:
    return lambda running: uuid.UUID(running.client.lint(path, cache=False).id)


def _ended(job_id: uuid.UUID) -> Any:
    """Return the job's row once its reports stand."""
    eventually(
        lambda: jobs.get(job_id).finalized_at, within_s=LIMIT_S, what="the job ended", every_s=0.01
    )
    return jobs.get(job_id)


def _wal_bytes() -> int:
    """Return how far PostgreSQL's write-ahead log is; nobody else writes while a bench runs."""
    with session():
        [(position,)] = execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    return int(position)


def _table_bytes(size: int) -> dict[str, int]:
    with session():
        execute("VACUUM FULL tasks, events, results")
        told = execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relname IN ('tasks', 'events', 'results')"
        )
    return {f"{name}_table_bytes_per_task": round(size_bytes / size) for name, size_bytes in told}


def _by_processes(plan: Plan) -> Iterator[Figure]:
    """Yield real lints by one, two and four worker processes; more than cores win nothing."""
    count = LINTED // 10 if plan.quick else LINTED
    path = archive(plan.folder / "crowd", count, FIRST, query)
    alone = 0.0
    for processes in PROCESSES:
        with service(plan.folder) as running:
            running.schedule()
            running.work(processes=processes)
            _ended(_lint(path)(running))
            running.forget()
            cpu, began = running.cpu_s(), time.perf_counter()
            _ended(_lint(path)(running))
            seconds = time.perf_counter() - began
            cpu = used(cpu, running.cpu_s())
        alone = alone or seconds
        detail = {
            "times_one_process": round(alone / seconds, 2),
            "files_per_s": round(count / seconds, 1),
            "cpu_lint_s": cpu.get("lint", 0.0),
            "cpu_rest_s": round(cpu.get("worker", 0.0) + cpu.get("schedule", 0.0), 2),
        }
        yield Figure(f"scale: {processes} processes", count, round(seconds, 3), detail=detail)
