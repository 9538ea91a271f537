"""What a broker must do, in memory and on RabbitMQ alike."""

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from pipeline import broker
from pipeline.signatures import BatchId, JobId
from tests.contract.broker.conftest import Seam, rabbit_seam, settings_of
from tests.support.servers import Rabbit
from tests.support.waiting import eventually


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
