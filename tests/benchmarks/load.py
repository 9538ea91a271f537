"""A job of 100,000 files and 50 jobs of 2,000 at once: memory, and the time per task, stay flat.

First the machine's own curve: the trivial kind at 1,000, 10,000 and 100,000 tasks. Then real lints
of files of one line, no two alike, submitted by a process of its own.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from pipeline.core import jobs
from pipeline.core.kinds import register
from pipeline.store.database import dialect, execute, session
from tests.benchmarks import rollup
from tests.benchmarks.crowd import BIG_FILES, QUICK_FILES, crowd
from tests.benchmarks.curve import PARTS, rise, table_detail, tenths_s, tenths_us
from tests.benchmarks.figures import Figure
from tests.benchmarks.memory import Sampler, memory_detail, processes_of
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service
from tests.benchmarks.spending import LINT, MACHINE, Spending, shares_us
from tests.support import trivial
from tests.support.waiting import eventually
from tests.support.workers import Process

LIMIT_S = 2 * 3600.0
SUBMIT_LIMIT_S = 300.0
#: The samples of the last run, whole.
SAMPLES = "load-samples.json"


def run(plan: Plan) -> Iterator[Figure]:
    """Yield the trivial curve, then the load's figure and one for each role's memory."""
    files = plan.files or (QUICK_FILES if plan.quick else BIG_FILES)
    yield from _trivial(plan, files)
    yield from _load(plan, files)


def _trivial(plan: Plan, most: int) -> Iterator[Figure]:
    register(trivial.KIND)
    with service(plan.folder) as running:
        running.work(rollup.ACTORS, processes=plan.processes)
        rollup.timed(running, 200)
        for size in sorted({max(10, most // 100), max(10, most // 10), most}):
            figure = rollup.figure(running, size, plan, name="load: trivial")
            tenths = tenths_us(tenths_s([jobs.listed(limit=1)[0].id]), size)
            figure.detail.update(tenths_us_per_task=tenths, rise=rise(tenths))
            yield figure


def _load(plan: Plan, files: int) -> Iterator[Figure]:
    big, small = crowd(plan.folder / "crowd", files)
    with service(plan.folder) as running:
        scheduler, worker = running.schedule(), running.work(processes=plan.processes)
        submitter, ids = _submitter(running, [big, *small])
        roots = [scheduler, worker, submitter]
        sampler = Sampler(
            lambda: (each for root in roots for each in processes_of(root)),
            also=Spending(running),
        )
        with sampler:
            began = time.perf_counter()
            job_ids = _submitted(submitter.start(), ids)
            _ended(submitter, job_ids)
            seconds = time.perf_counter() - began
        yield _figure(seconds, job_ids, plan, sampler)
    memory = memory_detail(sampler.series)
    for role, detail in memory.items():
        yield Figure(f"load: memory of the {role}", files * 2, round(seconds, 1), detail=detail)
    told = {name: series.points for name, series in sampler.series.items()}
    (plan.folder / SAMPLES).write_text(json.dumps(told) + "\n")


def _submitter(running: Service, archives: list[Path]) -> tuple[Process, Path]:
    out = running.folder / "submitted.json"
    command = [sys.executable, "-m", "tests.benchmarks.submitting", str(out), *map(str, archives)]
    process = Process("submitter", command, running.environment, running.folder)
    running.processes.append(process)
    return process, out


def _submitted(submitter: Process, out: Path) -> list[UUID]:
    """Return the ids of the jobs, the big one first, once all are submitted."""

    def written() -> bool:
        if not submitter.running():
            submitter.show()
            raise RuntimeError("The submitter ended.")
        return out.exists()

    eventually(written, within_s=SUBMIT_LIMIT_S, what="all jobs are submitted")
    return [UUID(each) for each in json.loads(out.read_text())]


def _ended(submitter: Process, job_ids: list[UUID]) -> None:
    """Return once the submitter has seen every job to its end; say now and then how far it is."""
    said_at = began = time.monotonic()
    while submitter.running():
        time.sleep(0.2)
        now = time.monotonic()
        if now - began > LIMIT_S:
            raise TimeoutError(f"Not done after {LIMIT_S} s: {_done(job_ids)}")
        if now - said_at > 60:
            said_at = now
            print(f"  {now - began:.0f} s: {_done(job_ids)}", file=sys.stderr, flush=True)
    if submitter.wait():
        submitter.show()
        raise RuntimeError("The submitter failed.")


def _done(job_ids: list[UUID]) -> str:
    with session():
        [(done, total, ended)] = execute(
            "SELECT sum(succeeded + failed + timed_out + cancelled), sum(total),"
            f" count(finalized_at) FROM jobs WHERE {dialect().among('id')}",
            dialect().ids(job_ids),
        )
    return f"{done} of {total} tasks, {ended} of {len(job_ids)} jobs ended"


def _figure(seconds: float, job_ids: list[UUID], plan: Plan, sampler: Sampler) -> Figure:
    rows = [jobs.get(job_id) for job_id in job_ids]
    wrong = [(str(row.id), row.state, row.message) for row in rows if row.state != "succeeded"]
    assert not wrong, wrong
    total = sum(row.succeeded for row in rows)
    reused = sum(row.reused for row in rows)
    ends_s = tenths_s(job_ids)
    tenths = tenths_us(ends_s, total)
    # The samples' clock began a little before the first submission.
    late_s = (rows[0].created_at - sampler.began_at).total_seconds()
    cpu = {
        name: shares_us(sampler.series[name], [end + late_s for end in ends_s], total)
        for name in (LINT, MACHINE)
    }
    small = [_took(row) for row in rows[1:]]
    detail: dict[str, Any] = {
        "us_per_task": round(seconds / total * 1e6),
        f"us_per_task_of_{PARTS}_shares": tenths,
        "rise": rise(tenths),
        "cpu_us_per_task_of_lint": cpu[LINT],
        "rise_of_lint": rise(cpu[LINT]),
        "cpu_us_per_task_of_the_rest": cpu[MACHINE],
        "rise_of_the_rest": rise(cpu[MACHINE]),
        "reused": reused,
        "processes": plan.processes,
        "big_job_s": _took(rows[0]),
        "small_jobs_median_s": round(median(small), 1),
        "small_jobs_last_s": max(small),
        "big_job_expanded_s": round((rows[0].planned_at - rows[0].created_at).total_seconds(), 1),
        "big_job_reports_s": round((rows[0].finalized_at - rows[0].finished_at).total_seconds(), 1),
        **table_detail(),
    }
    return Figure(
        f"load: {rows[0].total:,} files and {len(small)} x {rows[1].total:,}",
        *(total, round(seconds, 1)),
        detail=detail,
    )


def _took(row: Any) -> float:
    return round(float((row.finalized_at - row.created_at).total_seconds()), 1)
