"""A worker process that is over its measure waits for its messages and asks for its end once."""

import os
import signal
import threading
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from pipeline.cli.recycling import Recycling, resident_bytes
from tests.support.waiting import eventually


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that the process sent itself."""
    sent: list[int] = []

    def note(pid: int, number: int) -> None:
        assert pid == os.getpid()
        sent.append(number)

    monkeypatch.setattr(os, "kill", note)
    return sent


class Deployment:
    """A worker of two threads with an actor that waits until it is told to go on."""

    def __init__(self, recycling: Recycling) -> None:
        self.may_end, self.begun, self.done = threading.Event(), 0, 0
        self.broker = StubBroker(middleware=[recycling])
        self.actor = dramatiq.actor(actor_name="act", broker=self.broker)(self._act)
        self.worker = dramatiq.Worker(self.broker, worker_timeout=20, worker_threads=2)
        self.worker.start()

    def _act(self, waits: bool) -> None:
        self.begun += 1
        assert not waits or self.may_end.wait(30)
        self.done += 1


@pytest.fixture
def deployments() -> Iterator[list[Deployment]]:
    """What was started, stopped at the end."""
    started: list[Deployment] = []
    yield started
    for each in started:
        each.may_end.set()
        each.worker.stop()
        each.broker.close()


def test_messages_in_work_end_first_and_no_further_one_begins(
    ends: list[int], deployments: list[Deployment]
) -> None:
    made = Deployment(Recycling(max_messages=1, max_memory_bytes=0))
    deployments.append(made)
    made.actor.send(True)
    eventually(lambda: made.begun == 1, within_s=10)
    made.actor.send(False)
    eventually(lambda: made.done == 1, within_s=10)
    eventually(lambda: all(each.paused for each in made.worker.workers), within_s=10)
    assert ends == []
    made.may_end.set()
    eventually(lambda: ends == [signal.SIGTERM], within_s=10)
    assert made.done == 2
    made.actor.send(False)
    assert made.begun == 2


def test_process_over_its_memory_ends(ends: list[int], deployments: list[Deployment]) -> None:
    made = Deployment(Recycling(max_messages=0, max_memory_bytes=1))
    deployments.append(made)
    made.actor.send(False)
    eventually(lambda: ends == [signal.SIGTERM], within_s=10)


def test_process_within_its_measure_goes_on(ends: list[int], deployments: list[Deployment]) -> None:
    made = Deployment(Recycling(max_messages=4, max_memory_bytes=resident_bytes() * 4))
    deployments.append(made)
    for _ in range(3):
        made.actor.send(False)
    eventually(lambda: made.done == 3, within_s=10)
    made.broker.join("default")
    assert ends == []
    assert not any(each.paused for each in made.worker.workers)


def test_no_limit_is_none(ends: list[int], deployments: list[Deployment]) -> None:
    made = Deployment(Recycling(max_messages=0, max_memory_bytes=0))
    deployments.append(made)
    made.actor.send(False)
    eventually(lambda: made.done == 1, within_s=10)
    made.broker.join("default")
    assert ends == []


def test_resident_memory_is_that_of_this_process() -> None:
    before = resident_bytes()
    held = bytearray(64 << 20)
    held[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(held[:: os.sysconf("SC_PAGE_SIZE")])
    assert resident_bytes() - before > 48 << 20
