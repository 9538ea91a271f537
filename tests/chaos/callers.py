"""Callers that go on submitting whatever happens around them, and measure what each call takes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.errors import DatabaseUnavailable
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.waiting import eventually
from tests.support.workers import script

#: What a caller may be made to wait, in seconds.
ANSWER_S = 2.0

#: ``quayline submit`` in a process of its own, timed from when its modules are loaded.
COMMAND = """
import sys, time
from pipeline.cli import linting, main, sources, tables
from pipeline import broker, producer
began = time.monotonic()
try:
    main.main()
finally:
    print("took", time.monotonic() - began)
"""


@dataclass
class Callers:
    """The calls so far; ``took_s`` of each, in seconds."""

    fleet: Fleet
    took_s: list[float] = field(default_factory=list)
    #: Calls that ended with ``DatabaseUnavailable``: nothing was accepted.
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def call(self) -> None:
        """Submit a small job from this thread."""
        began = time.monotonic()
        try:
            self.fleet.submit(3)
        except DatabaseUnavailable:
            self.refused += 1
        except Exception as error:  # noqa: BLE001 - told at the end
            self.errors.append(repr(error))
        self.took_s.append(time.monotonic() - began)

    def command(self) -> None:
        """Submit a file by the command line."""
        file = self.fleet.logs / "one.sql"
        file.write_text("SELECT a FROM b\n")
        name = f"submit{len(self.took_s)}"
        process = script(name, COMMAND, self.fleet.env, self.fleet.logs)
        process.command += ["submit", str(file), "--dialect", "ansi", "--fail-on", "none"]
        code = process.start().wait()
        said = process.log_path.read_text().split()
        if code:
            self.errors.append(" ".join(said))
            return
        self.fleet.accepted[said[0]] = Wanted(1)
        self.took_s.append(float(said[-1]))

    def further(self, number: int) -> None:
        """Return once so many calls more have been answered."""
        aim = len(self.took_s) + number
        eventually(lambda: len(self.took_s) >= aim, within_s=60, what=f"{number} calls answered")

    @property
    def slowest_s(self) -> float:
        """The longest call."""
        return round(max(self.took_s), 2)

    def all_answered(self, within_s: float = ANSWER_S) -> bool:
        """Tell whether each call ended as it may, and in time."""
        return not self.errors and self.slowest_s <= within_s


@contextmanager
def calling(fleet: Fleet, *, threads: int = 4, pause_s: float = 0.2) -> Iterator[Callers]:
    """Submit from so many threads while the block runs, and once by the command line."""
    callers, ended = Callers(fleet), threading.Event()

    def go_on() -> None:
        while not ended.wait(pause_s):
            callers.call()

    running = [threading.Thread(target=go_on, name=f"caller{n}") for n in range(threads)]
    for each in running:
        each.start()
    try:
        yield callers
    finally:
        ended.set()
        for each in running:
            each.join()
