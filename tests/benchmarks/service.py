"""A Quayline of a bench's own: a fresh database, queues nobody else reads, real worker processes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import psutil

from pipeline.producer import Client
from pipeline.settings import Settings
from tests.support.services import broker_url, own_database

STOP_S = 30.0
READY_S = 60.0


@dataclass
class Service:
    """What runs: the client in this process, and the worker processes."""

    client: Client
    settings: Settings
    folder: Path
    environment: dict[str, str]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def work(
        self, modules: Sequence[str] = ("actors",), *, processes: int = 2, threads: int = 8
    ) -> "subprocess.Popen[bytes]":
        """Start ``dramatiq`` with these modules; it writes to ``workers.log`` in the folder."""
        command = [sys.executable, "-m", "dramatiq", *modules]
        return self.start([*command, "-p", str(processes), "-t", str(threads)])

    def schedule(self) -> "subprocess.Popen[bytes]":
        """Start the scheduler process, which sweeps."""
        return self.start([sys.executable, "-m", "schedules"])

    def start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start a process of the service; it ends with the service."""
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End the process and whatever is left of its session."""
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.processes.remove(process)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that our processes (and this one) took so far, by their role."""
        taken = {"producer": _cpu_s(psutil.Process())}
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(process.pid)
                for each in [root, *root.children(recursive=True)]:
                    role = _role(each)
                    taken[role] = taken.get(role, 0.0) + _cpu_s(each)
        return taken


def _role(process: psutil.Process) -> str:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return "gone"
    return "lint" if "sqlfluff.zygote" in line else "schedule" if "schedules" in line else "worker"


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


@contextlib.contextmanager
def service(folder: Path, **settings: Any) -> Iterator[Service]:
    """Yield a service on RabbitMQ and PostgreSQL with no worker yet; nothing of it is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="state-", dir=folder))
    with own_database() as database, own_queues() as broker:
        told = {
            "database_url": database,
            "broker_url": broker,
            "state_dir": str(state),
            "log_level": "warning",
            **settings,
        }
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("QUAYLINE_")},
            **{f"QUAYLINE_{key.upper()}": str(value) for key, value in told.items()},
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        running = Service(Client(Settings(**told)), Settings(**told), state, environment)
        try:
            yield running
        finally:
            for process in list(running.processes):
                running.stop(process)
            running.client.close()
            shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def own_queues() -> Iterator[str]:
    """Yield the URL of a virtual host of our own, where we may make one; else the tests' own, emptied."""
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
    queues = ("trivial_plan", "trivial_work", "zip_processing", "sql_analysis", "monitoring")
    for queue in queues:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            with contextlib.suppress(pika.exceptions.ChannelClosedByBroker):
                connection.channel().queue_purge(queue)


def wait_for_consumers(service: Service, queue: str, count: int) -> None:
    """Return once so many workers listen to the queue."""
    give_up_at = time.monotonic() + READY_S
    while time.monotonic() < give_up_at:
        with pika.BlockingConnection(pika.URLParameters(service.settings.broker_url)) as connection:
            with contextlib.suppress(pika.exceptions.ChannelClosedByBroker):
                declared = connection.channel().queue_declare(queue, passive=True)
                if declared.method.consumer_count >= count:
                    return
        time.sleep(0.1)
    log = (service.folder / "workers.log").read_text()[-4000:]
    raise TimeoutError(f"No {count} workers listen to {queue}:\n{log}")
