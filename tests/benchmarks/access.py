"""What the access log costs who asks: the same flood of heartbeats with none, and with all noted.

Heartbeats are the cheapest requests that there are, so the share of the log is the largest. Pairs,
in turn; nobody takes the messages meanwhile, as where workers are other machines.
"""

import asyncio
from collections.abc import Iterator
from statistics import median

import psutil

from pipeline.core.kinds import register
from tests.benchmarks import heartbeats
from tests.benchmarks.figures import Figure
from tests.benchmarks.heartbeats import Tally
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import service
from tests.support import trivial

MODES = ("off", "all")


def run(plan: Plan) -> Iterator[Figure]:
    """Yield a figure for each way, the medians of its pairs, and their ratio."""
    register(trivial.KIND)
    seconds = 1.0 if plan.quick else 8.0
    rounds: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for pair in range(plan.pairs):
        for mode in MODES if pair % 2 else reversed(MODES):
            rounds[mode].append(_flooded(plan, mode, seconds))
    told = {
        mode: {name: round(median(each[name] for each in found), 1) for name in found[0]}
        for mode, found in rounds.items()
    }
    for mode, detail in told.items():
        yield Figure(f"access log {mode}", round(detail["per_s"] * seconds), seconds, detail=detail)
    ratio = {name: round(told["all"][name] / told["off"][name], 3) for name in told["all"]}
    yield Figure("access log, all to off", plan.pairs, seconds, detail=ratio)


def _flooded(plan: Plan, mode: str, seconds: float) -> dict[str, float]:
    with service(plan.folder, access_log=mode) as running:
        api, port = heartbeats._api(running)
        try:
            tokens = heartbeats._executions(running, 100 if plan.quick else 1000)
            asyncio.run(heartbeats._flood(port, tokens, 1.0, kept=True))
            process = psutil.Process(api.pid)
            before = process.cpu_times()
            tally: Tally = asyncio.run(heartbeats._flood(port, tokens, seconds, kept=True))
            after = process.cpu_times()
        finally:
            running.stop(api)
    spent = after.user + after.system - before.user - before.system
    detail = tally.detail(seconds)
    return {
        **{name: detail[name] for name in ("per_s", "p50_ms", "p99_ms")},
        "cpu_us": spent / len(tally.waits_s) * 1e6,
    }
