"""Is a small job starved? The wait of a 10-file job behind a job of 100,000 files in mid-work.

Times as its caller sees them, from before the submit: to the first result, and to the end with the
reports. Real lints, none reused; the big jobs are cancelled when the last probe has ended.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.producer import Client, Job
from tests.benchmarks.crowd import BIG_FILES, QUICK_FILES, archive, crowd, line, query
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import service

PROBE_FILES = 10
PROBES = 12
#: The contents of probes are numbered from here, those of the crowd below it.
PROBE_NUMBERS = 50_000_000
TARGET_S = 5.0
LIMIT_S = 900.0
POLL_S = 0.02
#: Pause between two probes: they fall at different moments of the batches in work.
PAUSE_S = 0.37
#: The big job counts as in mid-work once so many of its files are done.
UNDER_WAY = 50

Content = Callable[[int], bytes]


def run(plan: Plan) -> Iterator[Figure]:
    """Yield the waits: alone, behind a big job, behind it and 50 others; short files and long."""
    files = plan.files or (QUICK_FILES if plan.quick else BIG_FILES)
    for content, words in ((line, "one-line files"), (query, "545-byte files")):
        big, small = crowd(plan.folder / "crowd", files, content)
        told = f"behind {files:,} {words}"
        with service(plan.folder) as running:
            running.schedule()
            running.work(processes=plan.processes)
            probes = _probes(plan.folder / "crowd", content)
            _wait(running.client, next(probes))
            yield _figure(f"fair: alone, {words}", [_probe(running.client, probes)])
            yield from _behind(running.client, [big], probes, told)
            yield from _behind(
                running.client, [big, *small], probes, f"{told} and {len(small)} jobs"
            )


def _probes(folder: Path, content: Content) -> Iterator[Path]:
    """Yield archives of ten files, no content twice."""
    for number in itertools.count():
        yield archive(folder, PROBE_FILES, PROBE_NUMBERS + number * PROBE_FILES, content)


def _behind(
    client: Client, archives: list[Path], probes: Iterator[Path], told: str
) -> Iterator[Figure]:
    """Yield the wait of a probe submitted right behind the jobs, and of those in mid-work."""
    jobs = [client.lint(each, cache=False) for each in archives]
    try:
        at_once = _probe(client, probes)
        yield _figure(f"fair: {told}, submitted right behind", [at_once])
        _under_way(jobs)
        waits = []
        for _ in range(PROBES):
            waits.append(_probe(client, probes))
            time.sleep(PAUSE_S)
        yield _figure(f"fair: {told}, in mid-work", waits, **_crowd_detail(jobs))
    finally:
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait(LIMIT_S)


def _under_way(jobs: list[Job]) -> None:
    """Return once every job is expanded and the first is in mid-work."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        told = [job.progress() for job in jobs]
        if told[0].done >= UNDER_WAY and all(each.planned for each in told):
            return
        time.sleep(0.1)
    raise TimeoutError(f"The jobs are not under way: {told[0]}")


def _crowd_detail(jobs: list[Job]) -> dict[str, Any]:
    """Return how far the others are after the last probe; the big job must not have ended."""
    big = jobs[0].progress()
    assert big.done < big.total, f"The big job ended before the probes did: {big}"
    ended = sum(job.progress().finalized for job in jobs[1:])
    return {"big_job_done": f"{big.done:,} of {big.total:,}", "small_jobs_ended": ended}


def _probe(client: Client, probes: Iterator[Path]) -> tuple[float, float, float]:
    """Return the seconds to a probe's id, to its first result, and to its end."""
    path = next(probes)
    began = time.perf_counter()
    job = client.lint(path, cache=False)
    submitted = time.perf_counter() - began
    first = None
    while not (progress := job.progress()).finalized:
        if first is None and progress.done:
            first = time.perf_counter() - began
        if time.perf_counter() - began > LIMIT_S:
            raise TimeoutError(f"A probe did not end: {progress}")
        time.sleep(POLL_S)
    ended = time.perf_counter() - began
    assert progress.succeeded == PROBE_FILES, progress
    print(f"  probe: first {first or ended:.2f} s, end {ended:.2f} s", file=sys.stderr, flush=True)
    return submitted, first or ended, ended


def _wait(client: Client, path: Path) -> None:
    """Let the workers start their lint processes."""
    client.lint(path).wait(LIMIT_S)


def _figure(name: str, waits: list[tuple[float, float, float]], **detail: Any) -> Figure:
    submits, firsts, ends = zip(*waits, strict=True)
    return Figure(
        *(name, PROBE_FILES, round(median(ends), 3)),
        detail={
            "probes": len(waits),
            "end_max_s": round(max(ends), 3),
            "first_result_median_s": round(median(firsts), 3),
            "first_result_max_s": round(max(firsts), 3),
            "submit_max_s": round(max(submits), 3),
            "below_target": max(ends) < TARGET_S,
            **detail,
        },
    )
