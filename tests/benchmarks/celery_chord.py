"""The peer of fan-out and roll-up: Celery's chord on RabbitMQ and Redis, with two processes.

As its documentation has it: the default settings, prefork workers, a result backend in Redis. Redis
is this bench's own and keeps nothing on disk; ours commits a row for every task to PostgreSQL.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.service import own_queues
from tests.support.servers import Server, binary, own_server
from tests.support.waiting import eventually

CHORD = "Celery chord"
CHUNK = 32
CHUNKS = f"Celery chord of chunks({CHUNK})"
LIMIT_S = 600.0
START_S = 60.0
ROOT = Path(__file__).parents[2]


class Redis(Server):
    """A Redis that forgets everything."""

    name = "Redis"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = binary("redis-server", "/usr/bin", "redis-server")

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        told = ("--bind", "127.0.0.1", "--port", str(self.port))
        return [self._server, *told, "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False


@contextmanager
def celery(folder: Path, processes: int) -> Iterator[Callable[[str, int], float]]:
    """Yield what runs a chord of so many tasks, by its name, and returns the seconds it took."""
    with own_queues() as broker, own_server("redis", Redis) as redis:
        from tests.benchmarks import celery_app

        environment = {celery_app.BROKER: broker, celery_app.BACKEND: redis.url}
        celery_app.app.conf.update(broker_url=broker, result_backend=redis.url)
        command = [sys.executable, "-m", "celery", "--app", celery_app.__name__, "worker"]
        command += ["--concurrency", str(processes), "--loglevel", "warning"]
        with (folder / "celery.log").open("wb") as log:
            worker = subprocess.Popen(
                command,
                env={**os.environ, **environment, "C_FORCE_ROOT": "1"},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            _ready(celery_app.app, worker, folder / "celery.log")
            yield lambda name, size: _timed(celery_app, name, size)
        finally:
            celery_app.app.close()
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(START_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _ready(app: Any, worker: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        if worker.poll() is not None:
            raise RuntimeError(f"Celery's worker ended: {log.read_text()[-2000:]}")
        return bool(app.control.ping(timeout=1))

    eventually(answers, within_s=START_S, what="Celery's worker answers")


def _timed(peer: Any, name: str, size: int) -> float:
    """Return the seconds from the call to the callback's result."""
    from celery import chord, group

    # A caller reads all that its earlier chords were told, a message a look, before it hears of
    # this one: 10 to 20 s after a chord of 10,000. A caller that has just begun need not.
    peer.app.backend.result_consumer.stop()
    began = time.perf_counter()
    if name == CHORD:
        header = group(peer.nothing.s(number) for number in range(size))
        wanted = size
    else:
        header = peer.nothing.chunks(((number,) for number in range(size)), CHUNK).group()
        wanted = -(-size // CHUNK)
    told = chord(header)(peer.finished.s()).get(timeout=LIMIT_S, interval=0.005)
    seconds = time.perf_counter() - began
    assert told == wanted, (name, told, wanted)
    return seconds
