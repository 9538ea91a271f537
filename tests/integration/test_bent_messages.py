"""Messages that nobody meant, on every queue of a real worker among real jobs: each is set aside
with a reason or does nothing, and the jobs end well.

``FUZZ_EXAMPLES=20000 pytest tests/integration/test_bent_messages.py`` sends more of them.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import Client, Job, broker
from pipeline.core import dead_letters, doorbells
from pipeline.messages import Actors, decoded, defect
from tests.chaos import network
from tests.support.faults import Fleet
from tests.support.servers import Rabbit
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = pytest.mark.timeout(600)

#: Messages of one example, and how many examples there are.
FLOOD = 60
EXAMPLES = max(2, int(os.environ.get("FUZZ_EXAMPLES", "150")) // FLOOD)

ACTORS = {
    "expand_archive": "zip_processing",
    "lint_files": "sql_analysis",
    "finish_job": "monitoring",
    "sweep": "monitoring",
}
QUEUES = sorted(set(ACTORS.values()))

nobody = st.uuids().map(str)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    nobody.map(str.upper),
    st.sampled_from(
        ["\0", "\ud800", "1e999", "../x", "a" * 5000, [[[[]]]], {"a": [1]}, [None] * 2000]
    ),
)
anything = st.recursive(
    odd, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=9), each), max_leaves=9
)
#: Mostly what an actor takes.
arguments = st.one_of(
    st.just([]),
    nobody.map(lambda job: [job]),
    st.tuples(nobody, nobody).map(list),
    st.tuples(nobody, anything).map(list),
    st.lists(anything, max_size=4),
)
named = st.dictionaries(st.sampled_from(["job_id", "batch", "more"]), anything | nobody)
#: Fields of a message with other values than ours.
other = st.dictionaries(
    st.sampled_from(["args", "kwargs", "options", "queue_name", "actor_name", "message_id", "x"]),
    anything | st.just({"form": 1, "eta": 1}) | st.sampled_from(QUEUES),
    max_size=2,
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a queue, and a message of ours that may be bent."""
    actor = draw(st.sampled_from(sorted(ACTORS)))
    ours = json.loads(broker.message(ACTORS[actor], actor, *draw(arguments)).encode())
    if draw(st.booleans()):
        ours["kwargs"] = draw(st.just({}) | named)
    if draw(st.integers(0, 3)) == 0:
        ours.update(draw(other))
    body = json.dumps(ours).encode()
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=5)) + body[place + draw(st.integers(0, 5)) :]
    return ACTORS[actor], body


def wanted(queue: str, body: bytes, actors: Actors) -> str | None:
    """Return the reason with which a message is to be set aside; None for one that is taken."""
    told = decoded(body)
    if wrong := defect(told, queue, actors):
        return wrong
    assert told is not None
    return None if told.actor_name in actors else "unknown_actor"


def ended_well(job: Job) -> bool:
    return job.progress().finalized and job.status == "succeeded"


def test_bent_messages_are_set_aside_and_good_jobs_end_well(
    fleet: Fleet, rabbit_node: Rabbit
) -> None:
    actors = doorbells.declared()
    aside: dict[tuple[str, bytes], str] = {}
    worker = fleet.worker(module=doorbells.PACKAGE)

    with Client(fleet.settings) as client, running(worker):

        def dead() -> int:
            return network.dead(rabbit_node, QUEUES)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(messages(), min_size=FLOOD, max_size=FLOOD, unique=True))
        def flood(sent: Sequence[tuple[str, bytes]]) -> None:
            new = {each: why for each in sent if (why := wanted(*each, actors))}
            before = dead()
            half = len(sent) // 2
            network.publish(rabbit_node, sent[:half])
            files = {f"{n}.sql": f"SELECT {n}\n".encode() for n in range(4)}
            job = client.lint(files, dialect="ansi", cache=False)
            network.publish(rabbit_node, sent[half:])
            eventually(lambda: ended_well(job), within_s=60, what="the job ended well")
            eventually(lambda: dead() == before + len(new), within_s=30, what="all are set aside")
            aside.update(new)

        flood()
        for queue in QUEUES:
            eventually(lambda: broker.waiting(queue) == 0, within_s=20)  # noqa: B023
        # Nobody died on the way: each queue has its consumer.
        with rabbit_node.channel() as channel:
            told = {q: channel.queue_declare(q, passive=True).method for q in QUEUES}
        assert {queue: each.consumer_count for queue, each in told.items()} == dict.fromkeys(
            QUEUES, 1
        )
        assert dead_letters.take_in() == len(aside)
        listed = dead_letters.listed(len(aside) + 1)

    assert Counter(letter.reason for letter in listed) == Counter(aside.values())
    assert "bad_arguments" in aside.values()
    assert worker.said("bad_arguments") == list(aside.values()).count("bad_arguments")
    assert worker.said("Traceback") == 0
