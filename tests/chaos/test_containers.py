"""Containers while processes die, replies are lost, hosts go away, and the engine restarts."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from pipeline import Client, Job
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL
from pipeline.core import executions, hosts
from pipeline.failpoints import OUTSIDE
from tests.chaos.conftest import Form
from tests.docker.conftest import is_up, python, summary
from tests.support import mortal
from tests.support.docker_proxy import docker_proxy
from tests.support.dockerd import own_dockerd
from tests.support.engines import base_image, docker_socket, remove_all
from tests.support.faults import Fleet
from tests.support.waiting import eventually
from tests.support.workers import running, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.docker, pytest.mark.timeout(240)]

TASK = "quayline.task"


class Watch:
    """Counts what the engine starts for each task of the deployment, and what runs at once."""

    def __init__(self, url: str, deployment: str) -> None:
        self.starts: Counter[str] = Counter()
        self.most_at_once = 0
        self._client = docker.APIClient(url, version="auto", timeout=3600)
        filters = {"type": "container", "label": f"{DEPLOYMENT_LABEL}={deployment}"}
        self._events = self._client.events(decode=True, filters=filters)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        alive: Counter[str] = Counter()
        for event in self._events:
            task = event["Actor"]["Attributes"][TASK]
            if event["status"] == "start":
                self.starts[task] += 1
                alive[task] += 1
                self.most_at_once = max(self.most_at_once, alive[task])
            elif event["status"] == "die":
                alive[task] -= 1

    def close(self) -> None:
        """Watch no more."""
        self._events.close()
        self._thread.join(10)
        self._client.close()


def settings_of(fleet: Fleet, **told: Any) -> None:
    """Let the fleet run containers, and look at them often."""
    told = {"monitor_s": 0.5, "sweep_s": 0.5, "lease_s": 3.0, "backoff_s": 0.1, **told}
    told |= {"container_images": "quayline-test-*", "max_attempts": 20}
    fleet.settings = fleet.settings.model_copy(update=told)


@contextmanager
def watched(fleet: Fleet, url: str = "") -> Iterator[tuple[Client, Watch]]:
    """Give a client, and what counts the containers; nothing of them is left afterwards."""
    with Client(fleet.settings, work=False) as client:
        deployment = executions.deployment().id
        watch = Watch(url or f"unix://{docker_socket()}", deployment)
        try:
            yield client, watch
        finally:
            watch.close()
            if not url:
                remove_all(deployment)


def left(url: str, deployment: str) -> int:
    """Return how many containers and volumes of the deployment are on the host."""
    client = docker.APIClient(url, version="auto", timeout=30)
    filters = {"label": [f"{DEPLOYMENT_LABEL}={deployment}"]}
    try:
        volumes = client.volumes(filters=filters)["Volumes"] or []
        return len(client.containers(all=True, filters=filters)) + len(volumes)
    finally:
        client.close()


def ended(jobs: list[Job], *, within_s: float = 90) -> list[str]:
    """Return the states of the jobs once all have ended."""
    open_states = ("pending", "running")
    eventually(
        lambda: not any(job.status in open_states for job in jobs),
        within_s=within_s,
        what="all jobs have ended",
        every_s=0.2,
    )
    return [job.status for job in jobs]


def test_killed_at_every_point_of_a_containers_life(
    fleet: Fleet, tmp_path: Path, form: Form
) -> None:
    settings_of(fleet)
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    fleet.more_env = {mortal.TOKENS: str(tokens)}
    points, rounds = sorted(OUTSIDE), form.of(1, 10)
    workers = [fleet.worker(f"worker{n}", module="tests.support.mortal.actors") for n in range(2)]
    jobs: list[Job] = []
    with (
        watched(fleet) as (client, watch),
        supervised(*workers, fleet.scheduler()) as supervisors,
    ):
        for _ in range(rounds):
            mortal.lay(tokens, points)

            def all_taken() -> bool:
                if sum(job.status in ("pending", "running") for job in jobs) < 4:
                    jobs.append(client.run(python("import time; time.sleep(0.5)")))
                return not mortal.left(tokens)

            eventually(all_taken, within_s=150, what="all tokens taken", every_s=0.2)
        states = Counter(ended(jobs, within_s=120))
        runs = Counter(watch.starts.values())
        nothing_left = lambda: not left(f"unix://{docker_socket()}", executions.deployment().id)  # noqa: E731
        eventually(nothing_left, within_s=30, what="nothing is left", every_s=0.5)
        kills = sum(supervisor.restarts for supervisor in supervisors)
        found = [execution for job in jobs for execution in job.executions()]
    print(
        f"killed at {len(points)} points of a container's life: kills {kills}, jobs {len(jobs)},"
        f" ended {dict(states)}, starts of a task {dict(runs)}, alive at once {watch.most_at_once}"
    )
    assert kills > 0
    assert states == {"succeeded": len(jobs)}
    assert watch.most_at_once == 1
    # What is adopted is not started again.
    assert runs == {1: len(jobs)}
    assert all(execution.removed_at is not None for execution in found)


LOST = (
    "POST .*/containers/create",
    "POST .*/containers/[^/]*/rename",
    "PUT .*/archive",
    "POST .*/start",
    "POST .*/stop",
    "GET .*/archive",
    "DELETE .*/containers/",
)


def test_replies_that_are_dropped_after_the_effect_do_no_harm(fleet: Fleet, form: Form) -> None:
    with docker_proxy(docker_socket()) as proxy:
        settings_of(fleet, docker_url=proxy.url)
        with (
            watched(fleet) as (client, watch),
            running(fleet.worker(module="actors"), fleet.scheduler()),
        ):
            jobs = []
            for request in LOST * form.of(1, 10):
                proxy.lose_reply(request)
                told = {"timeout_s": 1, "stop_grace_s": 1} if request.endswith("stop") else {}
                pause_s = 30 if told else 0.2
                jobs.append(client.run(python(f"import time; time.sleep({pause_s})", **told)))
                ended(jobs, within_s=60)
            states = Counter(job.status for job in jobs)
            deployment = executions.deployment().id
            eventually(
                lambda: not left(f"unix://{docker_socket()}", deployment),
                within_s=30,
                what="nothing is left",
            )
        print(f"replies lost {len(proxy.lost)}, ended {dict(states)}, {dict(watch.starts)}")
    rounds = form.of(1, 10)
    assert len(proxy.lost) == len(LOST) * rounds
    assert states == {"succeeded": (len(LOST) - 1) * rounds, "timed_out": rounds}
    assert (watch.most_at_once, set(watch.starts.values())) == (1, {1})


def test_engine_that_restarts_loses_its_containers_and_no_job(fleet: Fleet) -> None:
    with own_dockerd() as engine:
        engine.take(base_image())
        settings_of(fleet, docker_url=engine.url)
        with (
            running(fleet.worker(module="actors"), fleet.scheduler()),
            Client(fleet.settings, work=False) as client,
        ):
            code = "print('up', flush=True); import time; time.sleep(5)"
            jobs = [client.run(python(code, network="none")) for _ in range(4)]
            for job in jobs:
                eventually(is_up(job), within_s=60, what="it runs")
            engine.stop()
            is_away = lambda: hosts.known(client.settings)[0].away_s > 0  # noqa: E731
            eventually(is_away, within_s=30, what="the host is marked")
            engine.start()
            states = ended(jobs, within_s=120)
            reasons = {event["reason"] for job in jobs for event in job.events()}
            deployment = executions.deployment().id
            eventually(
                lambda: not left(engine.url, deployment), within_s=30, what="nothing is left"
            )
            assert hosts.known(client.settings)[0].away_s == 0
    assert states == ["succeeded"] * 4
    assert "host_lost" in reasons
    assert all(job_runs == 2 for job_runs in _runs(fleet, jobs))


def test_host_that_stays_away_fails_its_jobs_and_is_cleaned_when_it_is_back(fleet: Fleet) -> None:
    with own_dockerd() as engine:
        engine.take(base_image())
        settings_of(fleet, docker_url=engine.url, host_grace_s=3)
        processes = (fleet.worker(module="actors"), fleet.scheduler())
        with running(*processes), Client(fleet.settings, work=False) as client:
            code = "print('up', flush=True); import time; time.sleep(60)"
            job = client.run(python(code, network="none"))
            eventually(is_up(job), within_s=60, what="it runs")
            engine.stop()
            ended([job], within_s=60)
            told = summary(job.wait(30))
            engine.start()
            deployment = executions.deployment().id
            eventually(
                lambda: not left(engine.url, deployment), within_s=30, what="nothing is left"
            )
    assert (told["state"], told["reason"]) == ("failed", "host_lost")
    assert "away" in told["message"]


def test_jobs_go_where_their_labels_and_free_slots_are(fleet: Fleet) -> None:
    with own_dockerd() as engine:
        engine.take(base_image())
        settings_of(fleet, docker_slots=2)
        processes = (fleet.worker(module="actors"), fleet.scheduler())
        with watched(fleet) as (client, _), running(*processes):
            hosts.known(client.settings)
            hosts.add("second", engine.url, slots=2, labels={"disk": "ssd"})
            code = "import time; time.sleep(3)"
            here = [client.run(python(code, network="none")) for _ in range(2)]
            there = [
                client.run(python(code, network="none", host_labels={"disk": "ssd"}))
                for _ in range(2)
            ]
            assert ended([*here, *there]) == ["succeeded"] * 4
            found = [job.executions()[0].host for job in [*here, *there]]
            hosts.drain("second")
            late = client.run(
                python("", network="none", host_labels={"disk": "ssd"}, schedule_to_start_s=2)
            )
            assert ended([late]) == ["timed_out"]
            hosts.remove("second")
    assert found[2:] == ["second", "second"]
    assert {"local", "second"} == set(found)


def _runs(fleet: Fleet, jobs: list[Job]) -> list[int]:
    with Client(fleet.settings, work=False):
        return [execution.run for job in jobs for execution in job.executions()]
