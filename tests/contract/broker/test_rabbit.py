"""What only RabbitMQ can, and how it fails: its queues, its consumers, its silence."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel

from pipeline import broker, rabbit
from pipeline.rabbit import QuaylineConsumer
from tests.contract.broker.conftest import TIMEOUT_S, Seam, rabbit_seam, settings_of
from tests.support.servers import Rabbit
from tests.support.waiting import eventually


def dead_bodies() -> list[bytes]:
    with broker.dead_letters("contract", 100) as bodies:
        return list(bodies)


def test_dead_letters_that_were_not_taken_over_stay(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    seam = rabbit_seam(use(settings_of(vhost, tmp_path)), rabbit_node)
    assert dead_bodies() == []
    seam.publish_raw(xq_name("contract"), b"dead")
    with suppress(RuntimeError), broker.dead_letters("contract", 100) as told:
        assert told == [b"dead"]
        raise RuntimeError
    assert dead_bodies() == [b"dead"]
    assert dead_bodies() == []


def test_deleted_queue_of_dead_letters_is_made_again(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    seam = rabbit_seam(use(settings_of(vhost, tmp_path)), rabbit_node)
    assert dead_bodies() == []
    with rabbit_node.channel() as channel:
        channel.queue_delete(xq_name("contract"))
    assert dead_bodies() == []
    seam.publish_raw(xq_name("contract"), b"dead")
    assert dead_bodies() == [b"dead"]


def test_cpu_heavy_queue_is_taken_one_at_a_time(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    made = use(settings_of(vhost, tmp_path))
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hold(number: int) -> None:
        begun.release()
        go_on.wait(20)

    dramatiq.actor(queue_name="sql_analysis", broker=made)(hold)
    worker = dramatiq.Worker(made, worker_threads=4, worker_timeout=100)
    worker.start()
    try:
        assert broker.send([broker.message("sql_analysis", "hold", n) for n in range(5)])
        assert begun.acquire(timeout=10)
        eventually(lambda: broker.waiting("sql_analysis") == 4, within_s=5)
        assert not begun.acquire(timeout=0.5)
    finally:
        go_on.set()
        worker.stop(timeout=10_000)


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_queues_have_the_type_of_the_setting(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any, queue_type: str
) -> None:
    use(settings_of(vhost, tmp_path, queue_type=queue_type))
    assert broker.send([broker.message("contract", "note", 1)])
    listed = rabbit_node.control("list_queues", "name", "type", "durable", "--formatter", "json")
    kinds = {row["name"]: (row["type"], row["durable"]) for row in json.loads(listed)}
    assert kinds["contract"] == (queue_type, True)


def test_quorum_is_the_default_and_confirms_are_on(vhost: str, tmp_path: Path, use: Any) -> None:
    made = use(settings_of(vhost, tmp_path))
    assert made.queue_type == "quorum"
    assert made.confirm_delivery


def test_no_queue_is_made_for_messages_that_wait(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    """Rows say when work is due: a delay would be kept where no worker looks."""
    made = use(settings_of(vhost, tmp_path))
    seam = rabbit_seam(made, rabbit_node)
    seam.actor()
    with seam.working():
        assert one()
        eventually(lambda: seam.received, within_s=10)
        listed = rabbit_node.control("list_queues", "name", "--formatter", "json")
        assert {row["name"] for row in json.loads(listed)} >= {"contract", xq_name("contract")}
        assert dq_name("contract") not in {row["name"] for row in json.loads(listed)}
    with pytest.raises(ValueError, match="a row says when"):
        made.get_actor("note").send_with_options(args=(1,), delay=1000)


def test_deleted_queue_is_declared_again(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert broker.send([broker.message("contract", "note", 1)])
    rabbit_node.delete_queues(["contract"])
    assert broker.send([broker.message("contract", "note", 2)])
    assert broker.waiting("contract") == 1


def test_deleted_queue_counts_as_empty(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert broker.send([broker.message("contract", "note", 1)])
    assert broker.waiting("contract") == 1
    rabbit_node.delete_queues(["contract"])
    assert broker.waiting("contract") == 0


def test_consumer_of_a_queue_that_is_deleted_and_made_again_hears_on(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)
    monkeypatch.setattr(QuaylineConsumer, "look_every_s", 0.5)
    seam = rabbit_seam(use(settings_of(vhost, tmp_path)), rabbit_node)
    seam.actor()
    with seam.working():
        for number in range(5):
            # RabbitMQ may confirm a message and lose it with the queue that was.
            eventually(lambda: sent(number) and heard(seam, number), within_s=15)  # noqa: B023
            rabbit_node.delete_queues(["contract"])


@pytest.mark.timeout(180)
def test_queue_made_just_before_its_node_was_killed_takes_messages_again(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert one()
    rabbit_node.delete_queues(["contract"])
    assert one()
    rabbit_node.kill()
    rabbit_node.start()
    # At once, or when RabbitMQ has said after 65 s that it did not take the first one.
    assert eventually(one, within_s=120)
    assert broker.waiting("contract")


@pytest.mark.parametrize(("long_s", "offers"), [(60.0, 12), (0.0, 2)])
def test_queue_that_takes_nothing_is_made_anew_once(
    *, long_s: float, offers: int, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each offer to a broken queue may wait a minute: there is one, and one more."""
    monkeypatch.setattr(rabbit, "LONG_S", long_s)
    offered: list[str] = []
    publish = BlockingChannel.basic_publish

    def counted(channel: BlockingChannel, **told: Any) -> None:
        offered.append(told["routing_key"])
        publish(channel, **told)

    monkeypatch.setattr(BlockingChannel, "basic_publish", counted)
    assert not one()
    # Nobody waits for the last of them.
    eventually(lambda: len(offered) >= offers, within_s=20)
    assert offered == ["contract"] * offers
    refusing.control("clear_policy", "none")
    assert eventually(one, within_s=10)
    assert broker.waiting("contract") == 1


@pytest.fixture
def refusing(vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any) -> Iterator[Rabbit]:
    """A node that takes no message for the queue (a quorum queue would take a first one)."""
    use(settings_of(vhost, tmp_path, queue_type="classic"))
    limit = json.dumps({"max-length": 0, "overflow": "reject-publish"})
    rabbit_node.control("set_policy", "none", "^contract$", limit)
    yield rabbit_node
    with suppress(AssertionError):  # the test has cleared it
        rabbit_node.control("clear_policy", "none")


def test_connection_closed_by_the_server_is_opened_again(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert broker.send([broker.message("contract", "note", 1)])
    rabbit_node.control("close_all_connections", "maintenance")
    assert broker.send([broker.message("contract", "note", 2)])
    rabbit_node.control("close_all_connections", "maintenance")
    assert broker.waiting("contract") == 2


def sent(number: int) -> bool:
    return broker.send([broker.message("contract", "note", number)])


def heard(seam: Seam, number: int) -> bool:
    """Tell whether the message arrives soon."""
    with suppress(AssertionError):
        eventually(lambda: (number,) in seam.received, within_s=0.5)
    return (number,) in seam.received


def took_s(act: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return act(), time.monotonic() - began


def one() -> bool:
    return broker.send([broker.message("contract", "note", 1)])


def three() -> bool:
    return broker.send([broker.message("contract", "note", n) for n in range(3)])


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_broker_that_never_answers_is_an_answer(
    how: str, silent_url: str, tmp_path: Path, use: Any
) -> None:
    use(settings_of(silent_url if how == "silent" else "amqp://127.0.0.1:1/", tmp_path))
    for act, answer in ((one, False), (three, False), (lambda: broker.waiting("contract"), None)):
        told, seconds = took_s(act)
        assert told is answer
        assert seconds < 2 * TIMEOUT_S


def test_wrong_password_is_an_answer(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(rabbit_node.url.replace("guest:guest", "guest:wrong"), tmp_path))
    told, seconds = took_s(one)
    assert told is False
    assert seconds < 2 * TIMEOUT_S


@pytest.mark.timeout(180)
def test_killed_broker_is_an_answer_and_its_return_is_noticed(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert three()
    rabbit_node.kill()
    try:
        for act, answer in ((one, False), (lambda: broker.waiting("contract"), None)):
            told, seconds = took_s(act)
            assert told is answer
            assert seconds < 2 * TIMEOUT_S
    finally:
        rabbit_node.start()
    # At once, or when RabbitMQ has said after 65 s that it did not take the first one.
    assert eventually(one, within_s=120)


@pytest.mark.timeout(180)
def test_frozen_broker_holds_no_caller(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    """Connections stand and nobody answers: the caller goes on, and later all is well again."""
    use(settings_of(vhost, tmp_path))
    assert one()
    rabbit_node.freeze()
    try:
        for act, answer in ((one, False), (one, False), (lambda: broker.waiting("contract"), None)):
            told, seconds = took_s(act)
            assert told is answer
            assert seconds < 2 * TIMEOUT_S
    finally:
        rabbit_node.thaw()
    assert eventually(one, within_s=20)


@pytest.mark.timeout(180)
def test_closed_before_a_frozen_broker_it_leaves_no_connection_later(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    made = use(settings_of(vhost, tmp_path))
    assert one()
    [connection] = made.connections
    rabbit_node.freeze()
    try:
        assert not one()
        _, seconds = took_s(made.close)
        assert seconds < 2 * TIMEOUT_S
    finally:
        rabbit_node.thaw()
    eventually(lambda: connection.is_closed, within_s=20)


@pytest.mark.timeout(180)
def test_memory_alarm_holds_no_caller(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert one()
    with rabbit_node.out_of_memory():
        answers = [took_s(act) for act in (three, three)]
        _, seconds = took_s(lambda: broker.waiting("contract"))
    assert max(told[1] for told in answers) < 2 * TIMEOUT_S
    assert not all(told[0] for told in answers)
    assert seconds < 2 * TIMEOUT_S
    assert eventually(one, within_s=20)


@pytest.mark.timeout(180)
def test_many_threads_before_a_frozen_broker_wait_beside_one_another(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    use(settings_of(vhost, tmp_path))
    assert one()
    told: list[tuple[Any, float]] = []
    threads = [threading.Thread(target=lambda: told.append(took_s(one))) for _ in range(8)]
    rabbit_node.freeze()
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        rabbit_node.thaw()
    assert len(told) == 8
    assert max(seconds for _, seconds in told) < 2 * TIMEOUT_S
