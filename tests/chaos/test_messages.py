"""Messages doubled, reordered, dropped, and such as nobody can take: jobs go on, none is unseen."""

import json
import re
from collections import Counter
from itertools import cycle, islice

import psycopg
import pytest

from pipeline import broker
from tests.chaos import network
from tests.chaos.conftest import Form, told
from tests.support.faults import Fleet
from tests.support.servers import Rabbit
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def test_every_message_comes_twice(fleet: Fleet, rabbit_node: Rabbit, form: Form) -> None:
    processes = running(fleet.worker(processes=2), fleet.scheduler())
    with network.doubled_messages(rabbit_node) as doubled, processes:
        for _ in range(5):
            fleet.submit(form.of(60, 1000), pause_s=0.02)
        found = fleet.settled(within_s=form.of(90, 300))
    assert doubled.number >= 60
    told(found, "messages doubled", messages=doubled.number)


def test_messages_come_in_any_order(fleet: Fleet, rabbit_node: Rabbit, form: Form) -> None:
    fleet.settings = fleet.settings.model_copy(update={"window": 40})
    processes = running(fleet.worker(processes=2), fleet.scheduler())
    with processes, network.shuffled_messages(rabbit_node) as shuffled:
        for _ in range(form.of(40, 100)):
            fleet.submit(form.of(20, 100), pause_s=0.01)
        found = fleet.settled(within_s=form.of(90, 300))
    # A plan, a batch and a report of each job, at the least.
    assert shuffled.number >= form.of(120, 300)
    told(found, "messages reordered", messages=shuffled.number)


def test_messages_vanish(fleet: Fleet, rabbit_node: Rabbit, form: Form) -> None:
    dropped = 0
    # More batches on their way than the workers take ahead, so that some wait in the queue.
    fleet.settings = fleet.settings.model_copy(update={"window": 60})
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(form.of(400, 3000), pause_s=0.03)
        for number in range(form.of(3, 20)):
            fleet.done(job_id, (number + 1) * form.of(40, 100))
            dropped += network.drop_messages(rabbit_node)
        found = fleet.settled(within_s=form.of(90, 300))
    assert dropped
    told(found, "messages dropped", messages=dropped)


#: The queues that the command line knows of, too.
KNOWN = ("monitoring", "zip_processing", "sql_analysis")


def strays(number: int) -> list[tuple[str, str, bytes]]:
    """Return so many messages that nobody can take, no two alike: reason, queue and body."""
    found = []
    for place, queue in enumerate(islice(cycle(KNOWN), number)):
        ours = json.loads(broker.message(queue, "finish_job", str(place)).encode())
        made = {
            "unknown_actor": json.dumps({**ours, "actor_name": "nobody"}).encode(),
            "undecodable": b"\x80%d" % place,
            "other_form": json.dumps({**ours, "options": {"form": place % 2 * 7}}).encode(),
        }
        reason = list(made)[place // len(KNOWN) % len(made)]
        found.append((reason, queue, made[reason]))
    return found


def test_messages_that_nobody_can_take_come_in_a_flood(
    fleet: Fleet, rabbit_node: Rabbit, form: Form
) -> None:
    number = form.of(50, 1000)
    flood = strays(number)
    with running(fleet.worker(processes=2), fleet.scheduler()):
        job_id = fleet.submit(form.of(200, 2000), pause_s=0.05)
        fleet.done(job_id, 20)
        network.publish(rabbit_node, [(queue, body) for _, queue, body in flood])
        fleet.submit(20)
        found = fleet.settled(within_s=form.of(90, 300))
        eventually(
            lambda: network.dead(rabbit_node, KNOWN) + kept(fleet) == number,
            within_s=form.of(20, 60),
            what="all are set aside",
        )
        listed = fleet.command("dead-letters", "list", "--limit", str(2 * number))
    rows = [line.split() for line in listed.splitlines()[1:]]
    assert Counter(row[4] for row in rows) == Counter(reason for reason, _, _ in flood)
    found.leftovers = network.dead(rabbit_node, KNOWN)
    told(found, "a flood of messages that nobody can take", messages=number, listed=len(rows))
    one = next(row[0] for row in rows if row[4] == "other_form")
    assert re.search(r"body: .*finish_job", fleet.command("dead-letters", "show", one))
    assert fleet.command("dead-letters", "replay", one) == f"sent again: {one}\n"
    assert fleet.command("dead-letters", "purge", "--all") == f"thrown away: {number}\n"


def kept(fleet: Fleet) -> int:
    """Return how many messages lie in rows."""
    with psycopg.connect(fleet.settings.database) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM dead_letters")
    return int(number)
