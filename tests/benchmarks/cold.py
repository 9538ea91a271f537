"""A whole archive, nothing known of it: submitted, expanded, linted, rolled up, reported.

Ours is RabbitMQ, PostgreSQL and two worker processes; the peer is SQLFluff's own command on the
extracted folder with two processes, its results compared file by file with ours.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import sqlfluff_command, sqruff_command
from tests.benchmarks.corpus import Corpus, corpora
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service, used

LIMIT_S = 3600.0
RUST = "sqlfluff[rs] lint --processes 2"
PYTHON = "sqlfluff lint --processes 2"


@dataclass
class Ours:
    """One run of ours: seconds, where they went, and the records of the JSON report."""

    seconds: float
    parts: dict[str, float]
    cpu_s: dict[str, float]
    records: list[dict[str, Any]] = field(repr=False, default_factory=list)


def run(plan: Plan) -> Iterator[Figure]:
    """Yield each corpus's figures: children cold and warm, both parsers, the embedded command."""
    for corpus in corpora(plan.folder / "corpus", own=plan.corpus, quick=plan.quick):
        yield from _corpus(corpus, plan)


def _corpus(corpus: Corpus, plan: Plan) -> Iterator[Figure]:
    name = f"cold {corpus.name}"
    pairs: list[tuple[Ours, sqlfluff_command.Run]] = []
    embedded: list[tuple[float, float]] = []
    with service(plan.folder) as running:
        running.schedule()
        running.work(processes=plan.processes)
        first = lint(running, corpus)
        for _ in range(plan.pairs):
            running.forget()
            ours = lint(running, corpus)
            theirs = _theirs(corpus, plan)
            pairs.append((ours, theirs))
            embedded.append((_embedded(corpus, plan), theirs.seconds))
        yield _figure(name, RUST, corpus, pairs)
        yield _figure(f"{name}: first job of its workers", RUST, corpus, [(first, pairs[0][1])])
        yield Figure.of_pairs(f"{name}: quayline lint", corpus.files, RUST, embedded)
        running.forget()
        python = (lint(running, corpus), _theirs(corpus, plan, rust=False))
        yield _figure(f"{name}: Python parser", PYTHON, corpus, [python])
    yield _beside_sqruff(name, corpus, [ours for ours, _ in pairs], plan)


def _beside_sqruff(name: str, corpus: Corpus, runs: list[Ours], plan: Plan) -> Figure:
    """Return how we stand beside a linter that is quicker and says something else."""
    pairs: list[tuple[float, float]] = []
    detail: dict[str, Any] = {}
    for ours in runs:
        theirs = sqruff_command.run(corpus, plan.folder)
        if theirs is None:
            told = {"peer_gave_no_results": f"{sqruff_command.NAME} panicked"}
            return Figure(f"{name}: sqruff", corpus.files, round(ours.seconds, 3), detail=told)
        pairs.append((ours.seconds, theirs.seconds))
        alike = sqruff_command.alike(ours.records, theirs.records)
        detail = {"files_alike_by_rule_and_line": alike, "cpu_peer_s": round(theirs.cpu_s, 1)}
    return Figure.of_pairs(f"{name}: sqruff", corpus.files, sqruff_command.NAME, pairs, **detail)


def _theirs(corpus: Corpus, plan: Plan, *, rust: bool = True) -> sqlfluff_command.Run:
    run = sqlfluff_command.run(corpus, plan.folder, rust=rust)
    _say(f"{RUST if rust else PYTHON}, {corpus.name}: {run.seconds:.1f} s, cpu {run.cpu_s:.1f} s")
    return run


def _say(text: str) -> None:
    print(f"  {text}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)


def lint(running: Service, corpus: Corpus, **told: Any) -> Ours:
    """Run one job to its finished end, reports included."""
    before = running.cpu_s()
    began = time.perf_counter()
    job = running.client.lint(corpus.archive, **told)
    submitted = time.perf_counter() - began
    job.wait(LIMIT_S)
    seconds = time.perf_counter() - began
    cpu = used(before, running.cpu_s())
    row = job.info()
    parts = {
        "submit_s": submitted,
        "plan_s": (row["planned_at"] - row["created_at"]).total_seconds(),
        "work_s": (row["finished_at"] - row["created_at"]).total_seconds(),
        "reports_s": (row["finalized_at"] - row["finished_at"]).total_seconds(),
    }
    _say(f"ours, {corpus.name}: {seconds:.1f} s, cpu {cpu}")
    records = json.loads(job.report("json"))["files"]
    return Ours(seconds, {name: round(each, 3) for name, each in parts.items()}, cpu, records)


def _figure(
    name: str, peer: str, corpus: Corpus, pairs: list[tuple[Ours, sqlfluff_command.Run]]
) -> Figure:
    differ, licensed = sqlfluff_command.differing(pairs[-1][0].records, pairs[-1][1].records)
    seconds = [(ours.seconds, theirs.seconds) for ours, theirs in pairs]
    told = pairs[-1][0]
    busy = told.cpu_s.get("lint", 0.0)
    beside = sum(told.cpu_s.get(role, 0.0) for role in ("worker", "schedule"))
    detail = {
        **told.parts,
        "bytes": corpus.size_bytes,
        "files_per_s": round(corpus.files / median(ours for ours, _ in seconds), 1),
        "cpu_lint_s": busy,
        "cpu_workers_s": round(beside, 1),
        "cpu_peer_s": round(pairs[-1][1].cpu_s, 1),
        "cpu_ratio": round(pairs[-1][1].cpu_s / (busy + beside), 2),
        "lint_share_of_cores": round(busy / told.seconds / (os.cpu_count() or 1), 3),
        "differing_files": len(differ),
        "other_place_of_LT07": len(licensed),
    }
    if differ:
        print(f"{name}: differing: {', '.join(differ[:20])}", file=sys.stderr)
    return Figure.of_pairs(name, corpus.files, peer, seconds, **detail)


def _embedded(corpus: Corpus, plan: Plan) -> float:
    """Return the seconds of the whole embedded command, from nothing to its report."""
    with tempfile.TemporaryDirectory(dir=plan.folder) as state:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("QUAYLINE_")},
            "QUAYLINE_STATE_DIR": state,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        command = [sys.executable, "-m", "pipeline.cli", "lint", str(corpus.archive)]
        command += ["--format", "json", "-o", str(Path(state, "report.json")), "--fail-on", "none"]
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT_S)
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"quayline lint: {done.returncode}, {done.stderr[-2000:]!r}")
        _say(f"quayline lint, {corpus.name}: {seconds:.1f} s")
        return seconds
