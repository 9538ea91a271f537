"""RabbitMQ and PostgreSQL fail in mid-job, while callers go on: they are answered, nothing is lost.

Each test ends with a recount of the rows by SQL of its own and one line of figures. The servers
are private to the tests; lease and hint times are short, so that faults are noticed in seconds.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import psycopg
import pytest

from pipeline.errors import DatabaseUnavailable
from tests.chaos.callers import calling
from tests.chaos.conftest import Form, told
from tests.support.faults import Fleet
from tests.support.servers import Postgres, Rabbit
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

WORK_QUEUES = ("trivial_plan", "trivial_work", "monitoring", "zip_processing", "sql_analysis")


@contextmanager
def stopped(node: Rabbit) -> Iterator[None]:
    """The node runs, its server is stopped: connections are refused."""
    node.control("stop_app")
    try:
        yield
    finally:
        node.control("start_app")


@contextmanager
def killed(node: Rabbit) -> Iterator[None]:
    """The node is gone without a goodbye."""
    node.kill()
    try:
        yield
    finally:
        node.start()


@contextmanager
def restarted(node: Rabbit) -> Iterator[None]:
    """The node has said goodbye and come back."""
    node.kill(signal.SIGTERM)
    node.start()
    yield


@contextmanager
def without_queues(node: Rabbit) -> Iterator[None]:
    """The queues are deleted, before the block and after it."""
    node.delete_queues(WORK_QUEUES)
    yield
    node.delete_queues(WORK_QUEUES)


@contextmanager
def frozen(node: Rabbit) -> Iterator[None]:
    """Connections stand and nobody answers."""
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


@contextmanager
def out_of_memory(node: Rabbit) -> Iterator[None]:
    """The memory alarm is up: RabbitMQ reads nothing more from those who publish."""
    with node.out_of_memory():
        yield


@pytest.mark.parametrize(
    "fault", [stopped, killed, restarted, without_queues, frozen, out_of_memory]
)
def test_callers_are_answered_while_rabbitmq_is(
    fault: Callable[[Rabbit], AbstractContextManager[None]],
    fleet: Fleet,
    rabbit_node: Rabbit,
    form: Form,
) -> None:
    with running(fleet.worker(processes=2), fleet.scheduler()):
        with calling(fleet) as callers:
            fleet.submit(form.of(200, 1000), pause_s=form.of(0.02, 0.05))
            callers.further(5)
            with fault(rabbit_node):
                callers.command()
                callers.further(10)
                threading.Event().wait(form.of(0, 30))
            callers.further(5)
        # A queue that a kill left broken says so after 65 s only, and is made anew then.
        found = fleet.settled(within_s=180 if fault in (killed, restarted) else 90)
    name = fault.__name__.replace("_", " ")
    told(found, f"RabbitMQ {name}", calls=len(callers.took_s), slowest_call_s=callers.slowest_s)
    assert callers.all_answered(), (callers.slowest_s, callers.errors)
    assert not callers.refused


#: Lets event rows refer to the job, and lets nobody move its counters.
ROW_HELD = "SELECT 1 FROM jobs WHERE id = %s FOR NO KEY UPDATE"


def test_postgresql_is_restarted_in_the_middle_of_a_rollup(
    mortal_fleet: Fleet, postgres_cluster: Postgres, form: Form
) -> None:
    fleet, restarts = mortal_fleet, form.of(2, 20)
    with running(fleet.worker(processes=2), fleet.scheduler()):
        for _ in range(restarts):
            job_id = fleet.submit(100, pause_s=0.05)
            fleet.done(job_id, 20)
            # Whoever closes tasks now waits for the job's row, its transaction half done.
            with closing(psycopg.connect(fleet.settings.database)) as connection:
                connection.execute(ROW_HELD, (job_id,))
                eventually(lambda: waiting_rollups(fleet), within_s=20)
                postgres_cluster.restart()
        found = fleet.settled(within_s=90)
    told(found, f"PostgreSQL restarted in the middle of a rollup x {restarts}")


def waiting_rollups(fleet: Fleet) -> int:
    with psycopg.connect(fleet.settings.database) as connection:
        [(number,)] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'UPDATE jobs SET total%'"
        )
    return int(number)


def test_connections_are_cut_while_threads_wait_for_them(fleet: Fleet, form: Form) -> None:
    """Twice as many threads as connections, and all connections cut again and again."""
    cuts = form.of(5, 20)
    fleet.settings = fleet.settings.model_copy(update={"database_pool": 4})
    with running(fleet.worker(processes=2, threads=8), fleet.scheduler()):
        with calling(fleet) as callers:
            job_id = fleet.submit(form.of(400, 2000), pause_s=0.05)
            for number in range(cuts):
                fleet.done(job_id, form.of(40, 80) * (number + 1))
                cut_connections(fleet)
        found = fleet.settled(within_s=90)
    told(
        *(found, f"connections cut x {cuts}, 2 threads a connection"),
        calls=len(callers.took_s),
        refused=callers.refused,
        slowest_call_s=callers.slowest_s,
    )
    assert callers.all_answered(), (callers.slowest_s, callers.errors)


def cut_connections(fleet: Fleet) -> None:
    """End every connection to the fleet's database, whatever it is doing."""
    with psycopg.connect(fleet.settings.database) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_postgresql_is_frozen_for_longer_than_a_lease(
    mortal_fleet: Fleet, postgres_cluster: Postgres, form: Form
) -> None:
    fleet = mortal_fleet
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(200, pause_s=0.1)
        fleet.done(job_id, 40)
        with calling(fleet, pause_s=0.5) as callers:
            callers.further(2)
            postgres_cluster.freeze()
            try:
                threading.Event().wait(form.of(2.5, 15) * fleet.settings.lease_s)
                callers.further(4)
            finally:
                postgres_cluster.thaw()
        found = fleet.settled(within_s=90)
    told(
        *(found, "PostgreSQL frozen for longer than a lease"),
        calls=len(callers.took_s),
        refused=callers.refused,
        slowest_call_s=callers.slowest_s,
    )
    assert callers.refused
    limit_s = fleet.settings.database_timeout_s + 2
    assert callers.all_answered(limit_s), (callers.slowest_s, callers.errors)


def test_postgresql_is_away_for_longer_than_a_lease(
    mortal_fleet: Fleet, postgres_cluster: Postgres, form: Form
) -> None:
    fleet = mortal_fleet
    with running(fleet.worker(processes=2), fleet.scheduler()):
        fleet.done(fleet.submit(200, pause_s=0.1), 40)
        postgres_cluster.kill(signal.SIGQUIT)
        try:
            threading.Event().wait(form.of(1.5, 10) * fleet.settings.lease_s)
            with pytest.raises(DatabaseUnavailable):
                fleet.submit(1)
        finally:
            postgres_cluster.start()
        found = fleet.settled(within_s=90)
    told(found, "PostgreSQL away for longer than a lease")
