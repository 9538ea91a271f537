"""A Quayline of a bench's own: a fresh database, queues of its own, real worker processes."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import psutil

from pipeline.producer import Client
from pipeline.settings import Settings
from pipeline.store import database
from tests.support.services import broker_url, own_database
from tests.support.workers import STOP_S, Process, Worker, environment, scheduler

QUEUES = ("trivial_plan", "trivial_work", "zip_processing", "sql_analysis", "monitoring")


@dataclass
class Service:
    """What runs: the client in this process, and the worker processes."""

    client: Client
    settings: Settings
    folder: Path
    environment: dict[str, str]
    processes: list[Process] = field(default_factory=list)

    def work(self, module: str = "actors", **told: Any) -> Worker:
        """Start ``dramatiq MODULE -p 2 -t 8`` (or as told); every process takes messages then."""
        name = f"workers-{len(self.processes)}"
        worker = Worker(
            name,
            self.environment,
            self.folder,
            module=module,
            **{"processes": 2, "threads": 8} | told,
        )
        self.processes.append(worker.start())
        try:
            return worker.ready()
        except AssertionError:
            worker.show()
            raise

    def schedule(self) -> Process:
        """Start the scheduler process, which sweeps."""
        process = scheduler(self.environment, self.folder).start()
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        """End the process, gently if it can be."""
        if process.running():
            process.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        process.kill()
        self.processes.remove(process)

    def forget(self) -> None:
        """Empty the database: the next job finds no result to reuse."""
        with database.session():
            database.execute("TRUNCATE jobs, tasks, results CASCADE")

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that our processes (and this one) took so far, by their role."""
        taken = {"producer": _cpu_s(psutil.Process())}
        for process in filter(Process.running, self.processes):
            for each in [psutil.Process(process.pid), *process.family()]:
                role = _role(each)
                taken[role] = taken.get(role, 0.0) + _cpu_s(each)
        return taken


def used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two answers of ``cpu_s``."""
    return {role: round(spent - before.get(role, 0.0), 3) for role, spent in after.items()}


def _role(process: psutil.Process) -> str:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return "gone"
    return "lint" if "sqlfluff.zygote" in line else "schedule" if "schedules" in line else "worker"


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        own = float(times.user + times.system)
        # A zygote buries the lint children that were worn out or killed.
        buried = times.children_user + times.children_system if _role(process) == "lint" else 0.0
        return own + float(buried)
    return 0.0


@contextlib.contextmanager
def service(folder: Path, **settings: Any) -> Iterator[Service]:
    """Yield a service on RabbitMQ and PostgreSQL with no worker yet; nothing of it stays."""
    folder.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="state-", dir=folder))
    with own_database() as database_url, own_queues() as queues:
        told = Settings(
            database_url=database_url,
            broker_url=queues,
            state_dir=state,
            **{"log_level": "info", **settings},
        )
        running = Service(Client(told), told, state, environment(told))
        try:
            yield running
        finally:
            for process in list(running.processes):
                running.stop(process)
            running.client.close()
            shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def own_queues() -> Iterator[str]:
    """Yield the URL of a virtual host of our own, if we may make one; else the tests', emptied."""
    name = f"quayline-bench-{uuid.uuid4().hex[:8]}"
    user = urlsplit(broker_url()).username or "guest"
    made = _control("add_vhost", name) and _control(
        *("set_permissions", "-p", name, user, ".*", ".*", ".*")
    )
    if not made:
        _empty(broker_url())
        yield broker_url()
        return
    try:
        yield urlsplit(broker_url())._replace(path=f"/{name}").geturl()
    finally:
        _control("delete_vhost", name)


def _control(*words: str) -> bool:
    if os.geteuid() != 0 or shutil.which("rabbitmqctl") is None:
        return False
    told = subprocess.run(["rabbitmqctl", "-q", *words], capture_output=True, timeout=60)
    return told.returncode == 0


def _empty(url: str) -> None:
    for queue in QUEUES:
        with (
            contextlib.suppress(pika.exceptions.ChannelClosedByBroker),
            pika.BlockingConnection(pika.URLParameters(url)) as connection,
        ):
            connection.channel().queue_purge(queue)
