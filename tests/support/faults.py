"""Fixtures of the fault tests: private servers, and a fleet of real processes on them."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.core import jobs
from pipeline.core.context import close_context, open_context
from pipeline.core.jobs import Submission
from pipeline.settings import Settings
from tests.support.clock import Clock, ClockedPostgres, clocked_postgres
from tests.support.recount import Recount, Wanted, recount
from tests.support.servers import (
    Postgres,
    Rabbit,
    drop_broken_connections,
    own_postgres,
    own_rabbit,
)
from tests.support.services import own_database
from tests.support.waiting import eventually
from tests.support.workers import Process, Worker, environment, scheduler

#: No command may take longer, in seconds.
COMMAND_S = 60.0

TRIVIAL = "tests.support.trivial.actors"

#: Every queue that a test of ours may have filled.
QUEUES = (
    *("monitoring", "zip_processing", "sql_analysis", "trivial_plan", "trivial_work"),
    *("task_execution", "docker_management", "fast_tasks", "heavy_tasks"),
    *("access_log", "statistics"),
    *("contract", "contract_other"),
)


@pytest.fixture(scope="session")
def rabbit_node() -> Iterator[Rabbit]:
    """A RabbitMQ node of this session's own; it may be killed, frozen and starved."""
    with own_rabbit() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Postgres]:
    """A PostgreSQL cluster of this session's own; it may be restarted."""
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def clocked_cluster() -> Iterator[ClockedPostgres]:
    """A PostgreSQL cluster of this session's own whose clock may jump."""
    with clocked_postgres() as server:
        yield server


@pytest.fixture
def vhost(rabbit_node: Rabbit) -> str:
    """The URL of the private node's virtual host, without the queues of the tests before."""
    rabbit_node.delete_queues(QUEUES)
    return rabbit_node.url


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with own_database() as url:
        yield url


@pytest.fixture
def mortal_database(postgres_cluster: Postgres) -> str:
    """The URL of an empty database on the cluster that may be restarted."""
    return postgres_cluster.make_database()


@dataclass
class Fleet:
    """One deployment: settings, and the processes that a test starts on it."""

    settings: Settings
    logs: Path
    accepted: dict[str, Wanted] = field(default_factory=dict)
    #: What the environment of its processes has besides.
    more_env: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of its processes."""
        return {**environment(self.settings), **self.more_env}

    def worker(self, name: str = "worker", *, module: str = TRIVIAL, **told: Any) -> Worker:
        """Return a worker, not yet started."""
        return Worker(name, self.env, self.logs, module=module, **told)

    def scheduler(self, name: str = "scheduler") -> Process:
        """Return the scheduler process, not yet started."""
        return scheduler(self.env, self.logs, module="tests.support.trivial.scheduler", name=name)

    def command(self, *arguments: str, exit_code: int = 0) -> str:
        """Run ``quayline`` on the deployment; return what it printed, or what it said in vain."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            env=self.env,
            cwd=self.logs,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == exit_code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stderr if exit_code else done.stdout

    def submit(
        self,
        tasks: int,
        *,
        pause_s: float = 0.0,
        slow: dict[int, float] | None = None,
        **told: Any,
    ) -> uuid.UUID:
        """Submit a trivial job from this process."""
        parameters = {"tasks": tasks, "pause_s": pause_s, "slow": slow or {}}
        job_id = jobs.submit(Submission(kind="trivial", parameters=parameters, **told))
        self.accepted[str(job_id)] = Wanted(tasks)
        return job_id

    def done(self, job_id: uuid.UUID, number: int, *, within_s: float = 60) -> None:
        """Return once so many tasks of the job have ended."""

        def enough() -> bool:
            with psycopg.connect(self.settings.database) as connection:
                rows = connection.execute(
                    "SELECT succeeded + failed + timed_out + cancelled FROM jobs WHERE id = %s",
                    (job_id,),
                )
                return any(count >= number for (count,) in rows)

        eventually(enough, within_s=within_s, what=f"{number} tasks ended", every_s=0.1)

    def recount(self) -> Recount:
        """Count from the rows."""
        return recount(self.settings.database, expected=self.accepted)

    def settled(self, *, within_s: float) -> Recount:
        """Return the recount once every job has ended and its reports stand."""

        def all_ended() -> Recount | None:
            found = self.recount()
            return found if found.accepted == found.terminal else None

        try:
            found = eventually(all_ended, within_s=within_s, what="every job ended", every_s=0.2)
        except AssertionError:
            print(self.recount().line("not settled"))
            raise
        assert found is not None
        return found


def fault_settings(folder: Path, database_url: str, broker_url: str, **told: Any) -> Settings:
    """Return settings under which faults are noticed within seconds."""
    quick: dict[str, Any] = {
        "state_dir": folder / "state",
        "database_url": database_url,
        "broker_url": broker_url,
        "lease_s": 2.0,
        "hint_again_s": 2.0,
        "sweep_s": 0.5,
        "backoff_s": 0.1,
        "backoff_max_s": 1.0,
        "batch_tasks": 5,
    }
    return Settings(**{**quick, **told})


@pytest.fixture
def fleet(tmp_path: Path, database: str, vhost: str) -> Iterator[Fleet]:
    """A deployment on a private virtual host and a database of its own."""
    with _opened(tmp_path, database, vhost) as opened:
        yield opened


@pytest.fixture
def mortal_fleet(tmp_path: Path, mortal_database: str, vhost: str) -> Iterator[Fleet]:
    """A deployment whose database server may be restarted, too."""
    with _opened(tmp_path, mortal_database, vhost, database_timeout_s=3.0) as opened:
        yield opened


@pytest.fixture
def clocked_fleet(
    tmp_path: Path, clocked_cluster: ClockedPostgres, vhost: str
) -> Iterator[tuple[Fleet, Clock]]:
    """A deployment, and the clock of its database server."""
    clock = clocked_cluster.clock
    assert clock is not None
    with _opened(tmp_path, clocked_cluster.make_database(), vhost) as fleet:
        yield fleet, clock
        clock.jump_to(0)


@contextmanager
def _opened(folder: Path, database_url: str, broker_url: str, **told: Any) -> Iterator[Fleet]:
    settings = fault_settings(folder, database_url, broker_url, **told)
    open_context(settings)
    yield Fleet(settings, folder)
    close_context()
    drop_broken_connections()


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The address of a server on this machine that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://guest:guest@127.0.0.1:{server.getsockname()[1]}/"
