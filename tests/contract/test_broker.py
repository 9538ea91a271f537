"""What a broker must do, in memory and on RabbitMQ alike; then what only RabbitMQ can."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError, UnroutableError

from pipeline import broker, rabbit
from pipeline.rabbit import QuaylineConsumer
from pipeline.settings import Settings
from pipeline.signatures import BatchId, JobId
from tests.support.servers import Rabbit, drop_broken_connections
from tests.support.waiting import eventually

TIMEOUT_S = 2.0


@dataclass
class Seam:
    """A broker under test, and the ways to look behind it."""

    broker: dramatiq.Broker
    publish_raw: Callable[[str, bytes], None]
    dead_letters: Callable[[str], int]
    received: list[tuple[Any, ...]] = field(default_factory=list)

    def actor(self, **told: Any) -> None:
        """Declare the actor ``note`` on the queue ``contract``; it notes its arguments."""

        def note(*args: Any) -> None:
            self.received.append(args)

        told = {"queue_name": "contract", **told}
        dramatiq.actor(actor_name="note", broker=self.broker, **told)(note)

    @contextmanager
    def working(self, threads: int = 2) -> Iterator[None]:
        """Work on the queues inside the block."""
        worker = dramatiq.Worker(self.broker, worker_threads=threads, worker_timeout=100)
        worker.start()
        try:
            yield
        finally:
            worker.stop(timeout=10_000)


def settings_of(url: str, folder: Path, **told: Any) -> Settings:
    told = {"broker_timeout_s": TIMEOUT_S, **told}
    return Settings(state_dir=folder, broker_url=url, **told)


@pytest.fixture
def use() -> Iterator[Callable[[Settings], dramatiq.Broker]]:
    """Make a broker of settings this process's own until the test ends."""

    def make(settings: Settings) -> dramatiq.Broker:
        broker.use_broker(broker.make_broker(settings))
        return broker.current_broker()

    yield make
    broker.current_broker().close()
    broker.use_broker(None)
    drop_broken_connections()


@pytest.fixture(params=["stub", "rabbitmq"])
def seam(request: pytest.FixtureRequest, tmp_path: Path, use: Any) -> Seam:
    """Each broker in turn, empty."""
    if request.param == "stub":
        return stub_seam(use(settings_of("memory://", tmp_path)))
    node: Rabbit = request.getfixturevalue("rabbit_node")
    return rabbit_seam(use(settings_of(request.getfixturevalue("vhost"), tmp_path)), node)


def stub_seam(made: StubBroker) -> Seam:
    return Seam(
        made,
        lambda queue, body: made.queues[queue].put(body),
        lambda queue: len(made.dead_letters_by_queue[queue]),
    )


def rabbit_seam(made: dramatiq.Broker, node: Rabbit) -> Seam:
    def publish(queue: str, body: bytes) -> None:
        # A worker that boots beside us has not made its queue yet, or it has no leader yet.
        eventually(lambda: taken(queue, body), within_s=10, what="the message is taken")

    def taken(queue: str, body: bytes) -> bool:
        with node.channel() as channel:
            channel.confirm_delivery()
            try:
                channel.basic_publish("", queue, body, mandatory=True)
            except (NackError, UnroutableError):
                return False
        return True

    def dead(queue: str) -> int:
        return count(node, xq_name(queue))

    return Seam(made, publish, dead)


def count(node: Rabbit, queue: str) -> int:
    """Return how many messages are ready in a queue that exists."""
    with node.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_message_to_an_actor_by_name_arrives_with_its_arguments(seam: Seam) -> None:
    seam.actor()
    told = ("job", ["a", "ü", "\U0001f600"], {"n": 1, "x": None}, 2.5, True)
    with seam.working():
        assert broker.send([broker.message("contract", "note", *told)])
        eventually(lambda: seam.received, within_s=10)
    assert seam.received == [told]


def test_sent_before_anybody_listens_is_kept(seam: Seam) -> None:
    assert broker.send([broker.message("contract", "note", n) for n in range(20)])
    assert broker.waiting("contract") == 20
    seam.actor()
    with seam.working():
        eventually(lambda: len(seam.received) == 20, within_s=10)
        eventually(lambda: broker.waiting("contract") == 0, within_s=5)
    assert sorted(seam.received) == [(n,) for n in range(20)]


def test_group_of_no_messages_is_taken(seam: Seam) -> None:
    assert broker.send([])


def test_messages_are_json_with_nothing_but_ids(seam: Seam) -> None:
    encoded = broker.message("contract", "note", "id", ["id"]).encode()
    document = json.loads(encoded)
    assert document["args"] == ["id", ["id"]]
    assert isinstance(dramatiq.get_encoder(), dramatiq.JSONEncoder)
    with pytest.raises(TypeError):
        broker.message("contract", "note", object()).encode()


def test_unknown_actor_is_dead_lettered_and_blocks_nobody(seam: Seam) -> None:
    seam.actor()
    unknown = [broker.message("contract", "nobody", n) for n in range(10)]
    with seam.working():
        assert broker.send([*unknown, broker.message("contract", "note", 1)])
        eventually(lambda: seam.received == [(1,)], within_s=10)
        eventually(lambda: seam.dead_letters("contract") == 10, within_s=10)


def test_undecodable_messages_block_nobody(seam: Seam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.1)
    seam.actor()
    with seam.working():
        for body in (b"", b"\xff\x00", b"{}", b"[]", b"not json", b'{"args": 1}', b"null"):
            seam.publish_raw("contract", body)
        assert broker.send([broker.message("contract", "note", 1)])
        eventually(lambda: seam.received == [(1,)], within_s=20)


def fields(**told: Any) -> bytes:
    """Return a message of ours with some fields of its own."""
    ours = json.loads(broker.message("contract", "note", 0).encode())
    return json.dumps({**ours, **told}).encode()


#: Each ended the thread that took it, held it for ever, or acknowledged another message.
TRAPS = (
    *(fields(options=None), fields(options={"eta": 1e15}), fields(options={"throws": 3})),
    *(fields(actor_name=["x"]), fields(queue_name="elsewhere"), fields(kwargs=None)),
    *(fields(queue_name=["contract"]), fields(options={"form": 0}), fields(args={"a": 1}) + b" "),
    *(fields(actor_name="x", options={"form": 2}), b"[" * 100_000),
)


@pytest.mark.timeout(60)
def test_messages_that_are_not_ours_are_set_aside_and_block_nobody(
    vhost: str, rabbit_node: Rabbit, tmp_path: Path, use: Any
) -> None:
    seam = rabbit_seam(use(settings_of(vhost, tmp_path)), rabbit_node)
    seam.actor()
    with seam.working():
        for trap in TRAPS * 3:
            seam.publish_raw("contract", trap)
        assert broker.send([broker.message("contract", "note", 1)])
        eventually(lambda: (1,) in seam.received, within_s=20)
        eventually(lambda: seam.dead_letters("contract") >= 3 * len(TRAPS) - 3, within_s=20)
    # An object of arguments is read as the list of its keys.
    assert {told for told in seam.received if told != (1,)} <= {("a",)}


def bound(actor: str, *args: Any, **kwargs: Any) -> dramatiq.Message[Any]:
    """Return a message of ours with these arguments."""
    return broker.message("contract", actor, *args).copy(kwargs=kwargs)


JOB = str(uuid.UUID(int=0xABC))
#: Each would raise in the actor, or make it do what nobody asked for.
MISFITS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    *(((), {}), ((1,), {}), ((None, JOB), {}), (("not-a-uuid", JOB), {}), ((JOB,), {})),
    *(((JOB, "x"), {}), ((JOB, [JOB]), {}), ((JOB, None), {}), ((JOB, {JOB: 1}), {})),
    *(((JOB, JOB, 1), {}), ((JOB, JOB), {"job_id": JOB}), ((JOB, JOB), {"more": 1})),
    *(((JOB, [JOB] * 1001), {}), (([JOB] * 5000,), {}), ((JOB, JOB), {"\ud800": 1})),
    *((("\ud800", JOB), {}), ((JOB.upper(), JOB), {}), ((f"{JOB}\n", JOB), {})),
)


def test_arguments_that_the_actor_does_not_take_are_set_aside_in_one_line(
    seam: Seam, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[tuple[str, str]] = []

    def work(job_id: JobId, batch: BatchId) -> None:
        taken.append((job_id, batch))

    dramatiq.actor(queue_name="contract", broker=seam.broker)(work)
    with seam.working():
        for args, kwargs in MISFITS:
            seam.publish_raw("contract", bound("work", *args, **kwargs).encode())
        assert broker.send([bound("work", JOB, JOB), bound("work", job_id=JOB, batch=JOB)])
        eventually(lambda: len(taken) == 2, within_s=20)
        eventually(lambda: seam.dead_letters("contract") == len(MISFITS), within_s=20)
        eventually(lambda: broker.waiting("contract") == 0, within_s=10)
    assert taken == [(JOB, JOB)] * 2
    told = [each for each in caplog.records if each.levelname not in ("DEBUG", "INFO")]
    assert [each.__dict__["why"] for each in told] == ["bad_arguments"] * len(MISFITS)
    assert all(each.exc_info is None and each.__dict__["told"] for each in told)


def test_without_types_an_actor_is_given_any_number_that_it_takes(seam: Seam) -> None:
    seen: list[tuple[Any, Any]] = []

    def loose(first, second=None):
        seen.append((first, second))

    dramatiq.actor(queue_name="contract", broker=seam.broker)(loose)
    with seam.working():
        assert broker.send([bound("loose"), bound("loose", 1, 2, 3), bound("loose", [[1]], {})])
        eventually(lambda: seam.dead_letters("contract") == 2, within_s=20)
        eventually(lambda: seen == [([[1]], {})], within_s=10)


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


def test_actor_that_raises_is_not_run_again_by_the_broker(seam: Seam) -> None:
    runs: list[int] = []

    def fail(number: int) -> None:
        runs.append(number)
        raise RuntimeError("wanted")

    dramatiq.actor(queue_name="contract", broker=seam.broker)(fail)
    seam.actor()
    with seam.working():
        assert broker.send([broker.message("contract", "fail", 1)])
        eventually(lambda: runs, within_s=10)
        assert broker.send([broker.message("contract", "note", 1)])
        eventually(lambda: seam.received, within_s=10)
    assert runs == [1]


def test_threads_that_send_and_end_leave_nothing_behind(seam: Seam) -> None:
    """A web application sends from short-lived threads, thousands of them."""
    seam.actor()
    answers: list[bool] = []

    def send() -> None:
        answers.append(broker.send([broker.message("contract", "note", 1)]))

    for _ in range(30):
        thread = threading.Thread(target=send)
        thread.start()
        thread.join()
    assert answers == [True] * 30
    assert len(getattr(seam.broker, "connections", ())) <= 2


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
    assert eventually(one, within_s=20)


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
