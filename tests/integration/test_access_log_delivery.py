"""Requests to a real API reach their rows through RabbitMQ, once, whoever is away meanwhile."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from pipeline import broker
from tests.support.faults import Fleet
from tests.support.servers import Postgres, Rabbit
from tests.support.waiting import eventually
from tests.support.workers import Process, Worker, running

pytestmark = pytest.mark.timeout(180)

READY = "Quayline answers at "
QUEUE = "access_log"


def api_of(fleet: Fleet, **settings: object) -> Process:
    """Return an API process, not yet started, that writes its log at once."""
    told = {"access_log_s": 0.1, "broker_timeout_s": 2.0, **settings}
    fleet.settings = fleet.settings.model_copy(update=told)
    command = [sys.executable, "-m", "pipeline.cli", "api", "--port", "0"]
    return Process("api", command, fleet.env, fleet.logs)


def intake(fleet: Fleet) -> Worker:
    """Return a worker that takes the log's messages, not yet started."""
    return fleet.worker("intake", module="actors", queues=(QUEUE,))


@contextmanager
def asking(api: Process) -> Iterator[httpx.Client]:
    """Yield a client of the API once that answers."""
    eventually(lambda: api.said(READY), within_s=40, what="the API answers")
    line = next(each for each in api.log_path.read_text().splitlines() if READY in each)
    url = line.partition(READY)[2].rstrip(".")
    assert urlsplit(url).port
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def ask(client: httpx.Client, ids: range) -> None:
    """Ask without a token, which needs neither database nor broker, under these ids."""
    for number in ids:
        began = time.monotonic()
        answer = client.get("/api/v1/jobs", headers={"X-Request-ID": f"r{number}"})
        assert answer.status_code == 401
        assert time.monotonic() - began < 1.0, "nobody waits for the log"


def noted(fleet: Fleet) -> Counter[str]:
    """Return how often each request has a row."""
    with psycopg.connect(fleet.settings.database) as connection:
        return Counter(
            request_id for (request_id,) in connection.execute("SELECT request_id FROM access_log")
        )


def all_noted(fleet: Fleet, number: int, *, within_s: float = 40) -> None:
    """Return once so many requests have their row, and each has one."""
    is_all = lambda: len(noted(fleet)) >= number  # noqa: E731
    eventually(is_all, within_s=within_s, what="the requests are noted")
    assert noted(fleet) == Counter({f"r{each}": 1 for each in range(number)})


def waiting(rabbit: Rabbit) -> int:
    """Return how many messages wait in the log's queue."""
    with rabbit.channel() as channel:
        return int(channel.queue_declare(QUEUE, passive=True).method.message_count)


def test_each_request_has_one_row_though_its_message_comes_three_times(
    fleet: Fleet, rabbit_node: Rabbit
) -> None:
    api = api_of(fleet)
    with running(api), asking(api) as client:
        ask(client, range(500))
        api_ends(api)
    with rabbit_node.channel() as channel:
        number = waiting(rabbit_node)
        assert number > 1
        for _ in range(number):
            _, properties, body = channel.basic_get(QUEUE, auto_ack=True)
            for _ in range(3):
                channel.basic_publish("", QUEUE, body, properties)
    with running(intake(fleet)):
        all_noted(fleet, 500)
        eventually(lambda: waiting(rabbit_node) == 0, within_s=20, what="all were taken")
    assert sum(noted(fleet).values()) == 500


def api_ends(api: Process) -> None:
    """Let the API end as a service manager does: what it knows is handed on."""
    api.signal(signal.SIGTERM)
    assert api.wait() in (0, 143, -signal.SIGTERM)


def test_requests_wait_while_the_broker_hangs_or_is_gone(fleet: Fleet, rabbit_node: Rabbit) -> None:
    api = api_of(fleet)
    with running(api, intake(fleet)), asking(api) as client:
        ask(client, range(10))
        all_noted(fleet, 10)
        rabbit_node.freeze()
        try:
            ask(client, range(10, 40))
            eventually(lambda: api.said("took no hint"), within_s=20, what="it was tried")
        finally:
            rabbit_node.thaw()
        all_noted(fleet, 40)
        rabbit_node.kill()
        ask(client, range(40, 80))
        rabbit_node.start()
        # At once, or when RabbitMQ has said after 65 s that it did not take the first of them.
        all_noted(fleet, 80, within_s=110)


def test_requests_wait_in_the_queue_while_the_database_is_gone(
    mortal_fleet: Fleet, postgres_cluster: Postgres
) -> None:
    api, worker = api_of(mortal_fleet), intake(mortal_fleet)
    with running(api, worker), asking(api) as client:
        ask(client, range(10))
        all_noted(mortal_fleet, 10)
        postgres_cluster.kill()
        ask(client, range(10, 60))
        eventually(lambda: worker.said("could not be noted yet"), within_s=40, what="it was tried")
        postgres_cluster.start()
        all_noted(mortal_fleet, 60)


def test_killed_worker_leaves_its_batch_to_the_next(fleet: Fleet) -> None:
    api, worker = api_of(fleet), intake(fleet)
    with running(api), asking(api) as client:
        with psycopg.connect(fleet.settings.database) as connection:
            # Whoever writes waits for this lock, in the middle of its batch.
            connection.execute("LOCK TABLE access_log IN ACCESS EXCLUSIVE MODE")
            ask(client, range(20))
            with running(worker):
                eventually(lambda: blocked(connection), within_s=30, what="a batch is in work")
            connection.rollback()
        with running(intake(fleet)):
            all_noted(fleet, 20)


def blocked(connection: psycopg.Connection) -> bool:
    """Tell whether somebody waits for the table."""
    rows = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return rows is not None and rows[0] > 0


def test_killed_api_loses_the_requests_of_its_last_seconds_alone(fleet: Fleet) -> None:
    api = api_of(fleet)
    with running(api, intake(fleet)):
        with asking(api) as client:
            ask(client, range(30))
            all_noted(fleet, 30)
            ask(client, range(30, 40))
        api.kill()
    found = noted(fleet)
    assert max(found.values()) == 1
    assert {f"r{number}" for number in range(30)} <= set(found)


def test_figures_of_a_day_are_made_by_a_worker_that_is_rung(fleet: Fleet) -> None:
    today = datetime.now(UTC).date().isoformat()
    with running(fleet.worker(module="actors", queues=("statistics",))):
        for actor in ("generate_statistics", "generate_access_statistics"):
            assert broker.send([broker.message("statistics", actor, today)] * 2)

        def parts() -> list[str]:
            with psycopg.connect(fleet.settings.database) as connection:
                rows = connection.execute("SELECT part FROM statistics_days ORDER BY part")
                return [part for (part,) in rows]

        eventually(lambda: parts() == ["access", "system"], within_s=30, what="both are made")
