"""Counts what a process says to PostgreSQL and RabbitMQ.

``dramatiq tests.benchmarks.counting`` is a worker of all kinds, the trivial one too, counted: every
statement (BEGIN and COMMIT too) and every message with the time it took, every frame of AMQP and
its bytes, both ways. A worker that ends writes its counts into ``BENCH_COUNTS_FOLDER``.
"""

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import dramatiq
import pika.connection
import psycopg

from pipeline import broker
from tests.support.trivial import actors

FOLDER = "BENCH_COUNTS_FOLDER"
FRAMES, FRAME_BYTES = "amqp frames", "amqp bytes"


class Counts:
    """Numbers and seconds by what was said."""

    def __init__(self) -> None:
        self.said: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])

    def add(self, what: str, seconds: float, number: int = 1) -> None:
        """Count something that was said."""
        entry = self.said[what]
        entry[0] += number
        entry[1] += seconds


counts = Counts()
assert actors


def install() -> None:
    """Count from now on in this process."""
    execute = psycopg.Cursor.execute
    send = broker.send

    def counted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(self, query, *arguments, **options)
        finally:
            counts.add(f"sql {_short(query)}", time.perf_counter() - began)

    def sent(messages: Any) -> bool:
        began = time.perf_counter()
        try:
            return send(messages)
        finally:
            counts.add("sends", time.perf_counter() - began)
            counts.add("messages", 0.0, len(messages))

    psycopg.Cursor.execute = counted  # type: ignore[method-assign]
    broker.send = sent
    _count_frames()


def _count_frames() -> None:
    connection: Any = pika.connection.Connection
    put, receive, take = (
        connection._output_marshaled_frames,
        connection._on_data_available,
        connection._process_frame,
    )

    def putting(self: Any, frames: Any) -> None:
        counts.add(FRAMES, 0.0, len(frames))
        counts.add(FRAME_BYTES, 0.0, sum(map(len, frames)))
        put(self, frames)

    def receiving(self: Any, data: bytes) -> None:
        counts.add(FRAME_BYTES, 0.0, len(data))
        receive(self, data)

    def taking(self: Any, frame: Any) -> None:
        counts.add(FRAMES, 0.0)
        take(self, frame)

    connection._output_marshaled_frames = putting
    connection._on_data_available = receiving
    connection._process_frame = taking


def _short(query: Any) -> str:
    text = query.decode() if isinstance(query, bytes) else str(query)
    return " ".join(text.split())[:110]


class WriteDown(dramatiq.Middleware):
    """Leaves the counts behind when the worker ends."""

    def before_worker_shutdown(self, *_: Any) -> None:
        """Write the counts."""
        folder = os.environ.get(FOLDER)
        if folder:
            Path(folder, f"{os.getpid()}.json").write_text(json.dumps(counts.said))


def collect(folder: Path) -> dict[str, list[float]]:
    """Return the counts of all workers that ended, added up."""
    total = Counts()
    for path in folder.glob("*.json"):
        for what, (number, seconds) in json.loads(path.read_text()).items():
            total.add(what, seconds, number)
    return dict(total.said)


if os.environ.get(FOLDER):
    install()
    broker.current_broker().add_middleware(WriteDown())
