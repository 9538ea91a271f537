"""From a row to those who watch: 100 jobs go on, 200 clients follow two each, half by Server-Sent
Events and half by Socket.IO, through one API process on RabbitMQ and PostgreSQL.

A wait counts from the moment that the row says it was written at to the message at its client; the
database's clock is this machine's. Clients are bare sockets, so that they cost little.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import quantiles
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import connect

from pipeline.core import api_tokens, jobs
from pipeline.core.jobs import Submission
from tests.benchmarks import heartbeats
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import Service, service, used

JOBS, CLIENTS = 100, 200
#: The begin of a stream tells what is old already.
LEAD_S = 10.0


@dataclass
class Seen:
    """Waits in seconds, and how many clients were told to the end."""

    since: float
    waits_s: list[float] = field(default_factory=list)
    ended: int = 0

    def take(self, event: str, data: dict[str, Any]) -> bool:
        """Note the message; True when it is the last one."""
        if event == "progress" and data["status"] == "running" and time.time() > self.since:
            at = datetime.fromisoformat(data["at"]).timestamp()
            self.waits_s.append(time.time() - at)
        self.ended += event == "end"
        return event == "end"

    def detail(self) -> dict[str, float]:
        """Return how long messages took."""
        cuts = quantiles(self.waits_s, n=1000)
        return {
            "messages": len(self.waits_s),
            "p50_ms": round(cuts[499] * 1000, 1),
            "p99_ms": round(cuts[989] * 1000, 1),
            "max_ms": round(max(self.waits_s) * 1000, 1),
            "ended": self.ended,
        }


def run(plan: Plan) -> Iterator[Figure]:
    """Yield the figures with all clients, and with none: what following costs the work."""
    times = 60 if plan.quick else 150
    number = 20 if plan.quick else JOBS
    for clients in (0, number * CLIENTS // JOBS):
        with service(plan.folder) as running:
            yield _figure(running, number, clients, times)


def _figure(running: Service, number: int, clients: int, times: int) -> Figure:
    running.environment["QUAYLINE_SERVICE_MODULES"] = "tests.benchmarks.ticking"
    api, port = heartbeats._api(running)
    queues = ("fast_tasks", "heavy_tasks", "monitoring")
    running.work(processes=2, threads=number // 2 + 4, queues=queues)
    running.schedule()
    token = api_tokens.create("ann", "submitter")[1]
    ids = [_submitted(times) for _ in range(number)]
    before, api_before = running.cpu_s(), _cpu_s(api.pid)
    began = time.monotonic()
    seen = asyncio.run(_followed(port, token, ids, clients))
    for job_id in ids:
        running.client.job(job_id).wait(timeout_s=600)
    seconds = time.monotonic() - began
    detail = {
        **(seen.detail() if clients else {}),
        **{"jobs": number, "api_cpu_s": round(_cpu_s(api.pid) - api_before, 2)},
        "worker_cpu_s": used(before, running.cpu_s()).get("worker", 0.0),
    }
    return Figure(f"events: {clients} clients", number, round(seconds, 3), detail=detail)


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _submitted(times: int) -> uuid.UUID:
    told = {"mode": "bench", "service": "ticking", "task": "tick", "input": {"times": times}}
    return jobs.submit(Submission(kind="service", parameters=told, owner="ann"))


async def _followed(port: int, token: str, ids: list[uuid.UUID], clients: int) -> Seen:
    seen = Seen(time.time() + LEAD_S)
    ways = (_events, _socket)
    await asyncio.gather(
        *(
            _one(ways[place % 2](port, token, ids[place // 2 % len(ids)]), seen)
            for place in range(clients)
        )
    )
    return seen


async def _one(told: AsyncIterator[tuple[str, dict[str, Any]]], seen: Seen) -> None:
    async for event, data in told:
        if seen.take(event, data):
            return


async def _events(
    port: int, token: str, job_id: uuid.UUID
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024 * 1024)
    writer.write(
        f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: api\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    event = ""
    try:
        while line := (await reader.readline()).decode().rstrip():
            pass
        while raw := await reader.readline():
            line = raw.decode().rstrip()
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                yield event, json.loads(line[6:])
    finally:
        writer.close()


async def _socket(
    port: int, token: str, job_id: uuid.UUID
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """As Socket.IO's own client speaks, of which a hundred would take what is to be measured."""
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    ticket = await asyncio.to_thread(_ticket, port, token, job_id)
    async with connect(url, compression=None, max_size=1024 * 1024) as web:
        await web.recv()
        await web.send(f"40{json.dumps({'ticket': ticket})}")
        async for text in web:
            assert isinstance(text, str)
            if text == "2":
                await web.send("3")
            elif text.startswith("42"):
                event, data = json.loads(text[2:])
                yield event, data


def _ticket(port: int, token: str, job_id: uuid.UUID) -> str:
    told = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/tickets",
        headers={"Authorization": f"Bearer {token}"},
        json={"job_id": str(job_id)},
        timeout=60,
    )
    return str(told.json()["ticket"])
