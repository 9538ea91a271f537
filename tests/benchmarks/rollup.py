"""Fan-out and roll-up of tasks that do nothing: what is left is the cost of the machine.

From the submission to the finished end, and Celery's chords from the call to the callback's result.
"""

import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.kinds import register
from pipeline.store.database import execute, session
from tests.benchmarks import counting
from tests.benchmarks.celery_chord import CHORD, CHUNK, CHUNKS, celery
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service, used
from tests.support import trivial

ACTORS = "tests.support.trivial.actors"
SIZES, COMPARED, BIG = (100, 1000, 10_000, 100_000), 10_000, 100_000
POLL_S = 0.01
LIMIT_S = 300.0


def run(plan: Plan) -> list[Figure]:
    """Return a figure per size, those beside Celery, and what was said per task."""
    register(trivial.KIND)
    sizes = SIZES[:2] if plan.quick else SIZES
    compared = sizes[-1] if plan.quick else COMPARED
    with service(plan.folder) as running:
        running.work(ACTORS, processes=plan.processes)
        timed(running, 200)
        figures = [figure(running, size, plan) for size in sizes]
        figures += _beside_celery(running, compared, plan)
    return [*figures, _said(plan, compared)]


def _beside_celery(running: Service, size: int, plan: Plan) -> list[Figure]:
    """Return the figures of pairs run in turn: ours, a chord, ours, a chord of chunks."""
    pairs: dict[str, list[tuple[float, float]]] = {CHORD: [], CHUNKS: []}
    with celery(plan.folder, plan.processes) as chord:
        chord(CHUNKS, CHUNK * 10)
        for _ in range(plan.pairs):
            for peer, told in pairs.items():
                told.append((timed(running, size)["all"], chord(peer, size)))
    return [
        Figure.of_pairs(f"rollup {size}: {peer}", size, peer, told) for peer, told in pairs.items()
    ]


def figure(running: Service, size: int, plan: Plan, name: str = "rollup") -> Figure:
    """Return the figure of jobs of one size: the median of at least three, of the big one once."""
    runs = [timed(running, size) for _ in range(1 if size >= BIG else max(3, plan.pairs))]
    cpu = {role: _median(runs, f"cpu {role}") for role in ("worker", "producer")}
    return Figure(
        f"{name} {size}",
        size,
        round(_median(runs, "all"), 3),
        detail={
            "us_per_task": round(_median(runs, "all") / size * 1e6),
            "planned_s": _median(runs, "planned"),
            "closed_s": _median(runs, "closed"),
            "cpu_us_per_task": round(cpu["worker"] / size * 1e6),
        },
    )


def _median(runs: list[dict[str, float]], key: str) -> float:
    return round(median(each.get(key, 0.0) for each in runs), 4)


def timed(running: Service, size: int) -> dict[str, float]:
    """Submit, wait for the finished end; return seconds since the submit began, and CPU seconds."""
    cpu = running.cpu_s()
    began = time.perf_counter()
    job_id = jobs.submit(Submission(kind="trivial", parameters={"tasks": size}))
    submitted = time.perf_counter() - began
    while not _is_finalized(job_id):
        if time.perf_counter() - began > LIMIT_S:
            raise TimeoutError(f"{size} tasks: not finished after {LIMIT_S} s")
        time.sleep(POLL_S)
    whole = time.perf_counter() - began
    job = jobs.get(job_id)
    assert (job.state, job.done) == ("succeeded", size), (job.state, job.done, job.message)
    return {
        "all": whole,
        "submitted": submitted,
        "planned": (job.planned_at - job.created_at).total_seconds(),
        "closed": (job.finished_at - job.created_at).total_seconds(),
        **{f"cpu {role}": seconds for role, seconds in used(cpu, running.cpu_s()).items()},
    }


def _is_finalized(job_id: uuid.UUID) -> bool:
    """Look at as little as can be: the peer is told over its connection and need not ask."""
    with session():
        return bool(execute("SELECT finalized_at FROM jobs WHERE id = %s", job_id.hex)[0][0])


def _said(plan: Plan, size: int) -> Figure:
    """One counted run: statements, transactions and messages per task."""
    folder = plan.folder / f"counts-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with service(plan.folder) as running:
        running.environment[counting.FOLDER] = str(folder)
        worker = running.work("tests.benchmarks.counting", processes=plan.processes)
        taken = timed(running, size)
        running.stop(worker)
    said = counting.collect(folder)
    (plan.folder / "rollup-said.txt").write_text(_listing(said, size))
    _remove(folder)
    statements = sum(number for what, (number, _) in said.items() if what.startswith("sql "))
    sql_s = sum(seconds for what, (_, seconds) in said.items() if what.startswith("sql "))
    detail: dict[str, Any] = {
        "statements_per_task": round(statements / size, 4),
        "transactions_per_task": round(said.get("sql COMMIT", [0, 0])[0] / size, 4),
        "messages_per_task": round(said["messages"][0] / size, 4),
        "in_sql_s": round(sql_s, 3),
        "in_sends_s": round(said["sends"][1], 3),
    }
    return Figure(f"rollup said {size}", size, round(taken["all"], 3), detail=detail)


def _listing(said: dict[str, list[float]], size: int) -> str:
    lines = [f"{size} tasks; number, seconds, mean us, what"]
    for what, (number, seconds) in sorted(said.items(), key=lambda item: -item[1][1]):
        lines.append(f"{number:7.0f} {seconds:8.3f} {seconds / number * 1e6:9.0f}  {what}")
    return "\n".join(lines) + "\n"


def _remove(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink()
    folder.rmdir()
