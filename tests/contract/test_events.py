"""Hints that jobs have changed, in one process and through RabbitMQ: heard, never waited for."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import pika
import pytest

from pipeline import events
from pipeline.core import jobs
from pipeline.core.context import Context, close_context, open_context
from pipeline.events.exchange import EXCHANGE
from pipeline.events.publisher import Publisher
from pipeline.settings import Settings
from tests.support import factories as make
from tests.support.services import broker_url
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=["in process", "rabbitmq"])
def opened(
    request: pytest.FixtureRequest, settings: Settings, any_database_url: str
) -> Iterator[Context]:
    url = broker_url() if request.param == "rabbitmq" else ""
    told = {"database_url": any_database_url, "broker_url": url}
    yield open_context(settings.model_copy(update=told))
    close_context()


def heard(listener: events.Listener, wanted: uuid.UUID, *, within_s: float = 10) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if wanted in listener.wait(0.2):
            return True
    return False


def listening(listener: events.Listener) -> None:
    """Return once it hears: a queue is made while others go on."""
    probe = uuid.uuid4()

    def is_heard() -> bool:
        events.changed([probe])
        return probe in listener.wait(0.2)

    eventually(is_heard, within_s=20, what="the listener hears")


def test_a_committed_change_is_heard(opened: Context) -> None:
    with events.Listener() as listener:
        listening(listener)
        job_id = make.pending_job(tasks=1)
        assert heard(listener, job_id)
        jobs.cancel(job_id, actor="test")
        assert heard(listener, job_id)


def test_every_listener_hears(opened: Context) -> None:
    with events.Listener() as one, events.Listener() as two:
        listening(one)
        told = uuid.uuid4()
        events.changed([told])
        assert heard(one, told)
        assert heard(two, told)


def test_who_has_left_hears_nothing(opened: Context) -> None:
    with events.Listener() as listener:
        listening(listener)
    with events.Listener() as other:
        listening(other)
        told = uuid.uuid4()
        events.changed([told])
        assert heard(other, told)
    assert told not in listener.wait(0)


def test_a_waiting_listener_can_be_woken(opened: Context) -> None:
    listener = events.Listener()
    threading.Timer(0.1, listener.tell).start()
    began = time.monotonic()
    assert listener.wait(20) == set()
    assert time.monotonic() - began < 15


@pytest.fixture
def on_rabbitmq(settings: Settings, postgres: str) -> Iterator[Context]:
    told = {"database_url": postgres, "broker_url": broker_url()}
    yield open_context(settings.model_copy(update=told))
    close_context()


def test_a_forked_process_tells_for_itself(on_rabbitmq: Context) -> None:
    """A worker's processes are forked from one that may have told something already."""
    wanted = uuid.uuid4()
    with events.Listener() as listener:
        listening(listener)
        child = os.fork()
        if not child:
            signal.alarm(30)
            try:
                events.changed([wanted])
                events.close()
            finally:
                os._exit(0)
        assert heard(listener, wanted)
        os.waitpid(child, 0)


def test_what_nobody_hears_is_hardly_sent(
    on_rabbitmq: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who listens again hears at once, and then as often as before."""
    sent: list[int] = []
    send = Publisher._send

    def counted(publisher: Publisher) -> None:
        sent.append(1)
        send(publisher)

    monkeypatch.setattr(Publisher, "_send", counted)

    def told_for(seconds: float) -> int:
        before, until = len(sent), time.monotonic() + seconds
        while time.monotonic() < until:
            events.changed([uuid.uuid4()])
            time.sleep(0.01)
        return len(sent) - before

    told_for(1.5)
    assert told_for(2.5) <= 4
    with events.Listener() as listener:
        listening(listener)
        assert told_for(2.5) > 15


def test_many_hints_are_few_messages(on_rabbitmq: Context) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(broker_url()))
    channel = connection.channel()
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, EXCHANGE, "#")
    job_id = make.planned_job(on_rabbitmq, tasks=200)
    for claim in make.claimed(on_rabbitmq, job_id):
        make.close(job_id, [claim])
        make.claimed(on_rabbitmq, job_id)
    jobs.cancel(job_id, actor="test")
    last = uuid.uuid4()
    events.changed([last])
    bodies: list[str] = []

    def has_come() -> bool:
        _, _, body = channel.basic_get(queue, auto_ack=True)
        bodies.extend([] if body is None else [body.decode()])
        return any(last.hex in body for body in bodies)

    eventually(has_come, within_s=20, what="the last hint has come")
    assert any(job_id.hex in body for body in bodies)
    mine = [body for body in bodies if job_id.hex in body]
    assert len(mine) < 100
    connection.close()
