"""Clients that follow jobs while everything else is killed: they come back, miss nothing, hear
nothing twice; and nobody who follows, or cannot, holds up the work."""

import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pipeline.core import api_tokens, jobs
from tests.chaos.conftest import Form, told
from tests.support.faults import Fleet
from tests.support.servers import Postgres, Rabbit, free_port
from tests.support.waiting import eventually
from tests.support.workers import Process, Worker, running, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

TASKS = 60


class Follower:
    """Follows a job by one API after the other, as a browser does: with the last id it was told."""

    def __init__(self, urls: list[str], job_id: uuid.UUID, token: str) -> None:
        self._urls = urls
        self._address = f"/api/v1/jobs/{job_id}/events"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self.rows: list[int] = []
        self.streams = 0
        self.has_ended = threading.Event()
        self._last_id = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.has_ended.is_set():
            url = self._urls[self.streams % len(self._urls)]
            self.streams += 1
            try:
                self._follow(url)
            except httpx.HTTPError:
                time.sleep(0.1)

    def _follow(self, url: str) -> None:
        headers = {**self._headers, **({"Last-Event-ID": self._last_id} if self._last_id else {})}
        with httpx.stream("GET", url + self._address, headers=headers, timeout=30) as response:
            if response.status_code == 204:
                self.has_ended.set()
            if response.status_code != 200:
                time.sleep(0.1)
                return
            # What came since the last id is told again when the stream breaks off before the next.
            fresh: list[int] = []
            event: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if line and not line.startswith(":"):
                    event[name] = value
                elif "data" in event:
                    self._take(event, fresh)
                    event = {}

    def _take(self, event: dict[str, str], fresh: list[int]) -> None:
        data: dict[str, Any] = json.loads(event["data"])
        if event["event"] == "transition":
            fresh += [n for a, b in data["rows"] for n in range(a, b + 1)]
        if "id" in event:
            self._last_id = event["id"]
            self.rows += fresh
            fresh.clear()
        if event["event"] == "end":
            self.has_ended.set()


def api(fleet: Fleet, name: str) -> tuple[Process, str]:
    port = free_port()
    command = [sys.executable, "-m", "pipeline.cli", "api", "--port", str(port)]
    return Process(name, command, fleet.env, fleet.logs), f"http://127.0.0.1:{port}"


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_who_follows_misses_nothing_while_all_parts_are_killed(
    mortal_fleet: Fleet, postgres_cluster: Postgres, rabbit_node: Rabbit, form: Form
) -> None:
    fleet = mortal_fleet
    token = api_tokens.create("ann", "submitter")[1]
    (one, url_one), (two, url_two) = api(fleet, "api-one"), api(fleet, "api-two")
    worker, clock = fleet.worker(threads=2), fleet.scheduler()
    with supervised(worker, clock, one, two):
        worker.ready()
        for url in (url_one, url_two):
            eventually(lambda url=url: answers(url), within_s=60, what="the API answers")  # type: ignore[misc]
        job_ids = [fleet.submit(TASKS, pause_s=0.1, owner="ann") for _ in range(form.of(2, 6))]
        followers = [
            Follower(urls, job_id, token)
            for job_id in job_ids
            for urls in ([url_one, url_two], [url_two, url_one])
        ]
        faults: list[Callable[[], object]] = [
            *(lambda each=each: each.signal(signal.SIGKILL) for each in (one, two, worker)),
            rabbit_node.restart,
            lambda: one.signal(signal.SIGKILL),
            postgres_cluster.restart,
            lambda: two.signal(signal.SIGKILL),
        ]
        for fault in faults * form.of(1, 3):
            before = sum(len(each.rows) for each in followers)
            fault()

            def goes_on(before: int = before) -> bool:
                now = sum(len(each.rows) for each in followers)
                return now > before + 8 or all(each.has_ended.is_set() for each in followers)

            eventually(goes_on, within_s=90, what="those who follow hear more")
        for each in followers:
            assert each.has_ended.wait(90)
        found = fleet.settled(within_s=60)
    missed = doubled = 0
    for each, job_id in zip(followers, [j for j in job_ids for _ in range(2)], strict=True):
        rows = [row["id"] for row in jobs.events(job_id)]
        missed += len({*rows} - {*each.rows})
        doubled += len(each.rows) - len({*each.rows})
    told(
        found,
        "following",
        faults=len(faults),
        streams=sum(each.streams for each in followers),
        rows=sum(len(each.rows) for each in followers),
        missed=missed,
        heard_twice=doubled,
    )
    assert (missed, doubled) == (0, 0)


def test_work_goes_on_though_nobody_can_be_told(
    fleet: Fleet, rabbit_node: Rabbit, form: Form
) -> None:
    """RabbitMQ blocks whoever publishes: hints are dropped, nothing waits for them."""
    worker: Worker = fleet.worker(threads=2)
    with running(worker, fleet.scheduler()):
        worker.ready()
        job_id = fleet.submit(40, pause_s=0.05)
        fleet.done(job_id, 5)
        with rabbit_node.out_of_memory():
            slowest_s = 0.0
            for _ in range(form.of(8, 40)):
                began = time.monotonic()
                fleet.submit(2)
                slowest_s = max(slowest_s, time.monotonic() - began)
        found = fleet.settled(within_s=90)
    told(found, "nobody is told", slowest_s=round(slowest_s, 1))
    assert slowest_s < 5
