"""Heartbeats that one API process takes on PostgreSQL: how many a second, and how long each waits.

The guide's client opens a connection for each; so the steady rate and one of the floods do, too.
The pace is kept whether or not answers come, and a wait counts from the moment its turn came.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from pipeline.core import executions
from pipeline.core.kinds import register
from pipeline.store.database import transaction
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service
from tests.support import factories as make
from tests.support import trivial
from tests.support.waiting import eventually
from tests.support.workers import Process

CONTAINERS = 2000
CLIENTS = 64
PACE_PER_S = 100
READY = "Quayline answers at http://"


@dataclass
class Tally:
    """What was answered: waits in seconds, and the last number noted for each execution."""

    waits_s: list[float] = field(default_factory=list)
    noted: dict[uuid.UUID, int] = field(default_factory=dict)
    refused: int = 0

    def detail(self, seconds: float) -> dict[str, float]:
        """Return rate and waits."""
        cuts = quantiles(self.waits_s, n=1000)
        return {
            "per_s": round(len(self.waits_s) / seconds, 1),
            "p50_ms": round(cuts[499] * 1000, 1),
            "p99_ms": round(cuts[989] * 1000, 1),
            "max_ms": round(max(self.waits_s) * 1000, 1),
            "refused": self.refused,
        }


def run(plan: Plan) -> Iterator[Figure]:
    """Yield the floods' figures and the steady rate's."""
    register(trivial.KIND)
    seconds = 2.0 if plan.quick else 15.0
    with service(plan.folder) as running:
        api, port = _api(running)
        try:
            tokens = _executions(running, 100 if plan.quick else CONTAINERS)
            for name, kept in (("kept connections", True), ("new connections", False)):
                tally = asyncio.run(_flood(port, tokens, seconds, kept=kept))
                yield _figure(f"heartbeats: flood, {name}", tally, seconds)
            tally = asyncio.run(_steady(port, tokens, seconds))
            yield _figure(f"heartbeats: {PACE_PER_S} a second", tally, seconds)
        finally:
            running.stop(api)


def _api(running: Service) -> tuple[Process, int]:
    command = [sys.executable, "-m", "pipeline.cli", "api", "--port", "0"]
    api = Process("api", command, running.environment, running.folder).start()
    running.processes.append(api)
    eventually(lambda: api.said(READY), within_s=30, what="the API answers")
    line = next(each for each in api.log_path.read_text().splitlines() if READY in each)
    return api, int(line.rstrip(".").rpartition(":")[2])


def _executions(running: Service, number: int) -> dict[uuid.UUID, str]:
    """Return the tokens of so many executions that run."""
    context = running.client.context
    job_id = make.planned_job(context, tasks=number)
    ids = [uuid.UUID(each) for each in make.task_ids(job_id)]
    with transaction():
        for task_id in ids:
            executions.place(task_id, job_id, 1, host="here", container=f"task-{task_id}")
    return {task_id: executions.token(task_id, 1) for task_id in ids}


async def _flood(port: int, tokens: dict[uuid.UUID, str], seconds: float, *, kept: bool) -> Tally:
    """Every client sends its next heartbeat when the last one is answered."""
    tally, turn = Tally(), iter(_turns(tokens))
    until = time.monotonic() + seconds

    async def client() -> None:
        async with _connected(port) as first:
            streams = first
            while time.monotonic() < until:
                task_id, number = next(turn)
                began = time.monotonic()
                if kept:
                    await _beat(streams, tally, task_id, tokens[task_id], number, began)
                    continue
                async with _connected(port) as streams:
                    await _beat(streams, tally, task_id, tokens[task_id], number, began)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally


async def _steady(port: int, tokens: dict[uuid.UUID, str], seconds: float) -> Tally:
    """A heartbeat is sent every so many milliseconds, whatever becomes of those before."""
    tally, turn = Tally(), iter(_turns(tokens))
    began = time.monotonic()

    async def one(due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task_id, number = next(turn)
        async with _connected(port) as streams:
            await _beat(streams, tally, task_id, tokens[task_id], number, due)

    dues = [began + place / PACE_PER_S for place in range(int(seconds * PACE_PER_S))]
    await asyncio.gather(*(one(due) for due in dues))
    return tally


def _turns(tokens: dict[uuid.UUID, str]) -> Iterator[tuple[uuid.UUID, int]]:
    number = 0
    while True:
        for task_id in tokens:
            number += 1
            yield task_id, number


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _beat(
    streams: Streams, tally: Tally, task_id: uuid.UUID, token: str, number: int, since: float
) -> None:
    reader, writer = streams
    body = json.dumps(
        {
            "execution_id": str(task_id),
            "container_name": f"task-{task_id}",
            "status": "running",
            "progress": {"stage": "pages", "current_step": number, "percentage": 30.5},
            "timestamp": int(time.time()),
        }
    ).encode()
    head = (
        f"POST /t/{token}/api/v1/monitoring/heartbeat HTTP/1.1\r\nHost: api\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    told = await reader.readexactly(length)
    if answer.startswith(b"HTTP/1.1 200") and b'"ok"' in told:
        tally.waits_s.append(time.monotonic() - since)
        tally.noted[task_id] = max(number, tally.noted.get(task_id, 0))
    else:
        tally.refused += 1


def _figure(name: str, tally: Tally, seconds: float) -> Figure:
    lost = [task_id for task_id, number in tally.noted.items() if _kept(task_id) != number]
    detail = {**tally.detail(seconds), "lost": len(lost), "executions": len(tally.noted)}
    return Figure(name, len(tally.waits_s), seconds, detail=detail)


def _kept(task_id: uuid.UUID) -> int:
    progress = executions.get(task_id).progress or {}
    return int(progress.get("current_step", 0))
