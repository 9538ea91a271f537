"""Messages that nobody can take are kept as rows, told apart, and can be sent again."""

import json

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from pipeline import broker
from pipeline.core import dead_letters
from pipeline.core.context import Context
from pipeline.errors import NotFound, Refused
from tests.support import factories as make


@pytest.fixture
def dead(context: Context) -> list[dramatiq.MessageProxy]:
    """The dead letters of the in-memory broker's queue ``monitoring``."""
    made = broker.current_broker()
    assert isinstance(made, StubBroker)
    made.declare_queue("monitoring")
    return made.dead_letters_by_queue["monitoring"]


class Raw:
    """A message as bytes that Dramatiq did not write."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def encode(self) -> bytes:
        return self.body


def test_each_is_kept_once_with_its_reason(dead: list[object]) -> None:
    dead.append(broker.message("monitoring", "finish_job", "id"))
    dead.append(broker.message("monitoring", "no_such_actor", 1))
    dead.append(broker.message("monitoring", "sweep").copy(options={"form": 99}))
    dead.extend([Raw(b"\x80nonsense"), Raw(b"[1]"), Raw(b'{"actor_name": 3}')])
    assert dead_letters.take_in() == 6
    assert dead == []
    assert [letter.reason for letter in dead_letters.listed()][::-1] == [
        "failed",
        "unknown_actor",
        "other_form",
        "undecodable",
        "undecodable",
        "undecodable",
    ]


def test_seen_twice_is_one_row(dead: list[object]) -> None:
    letter = broker.message("monitoring", "finish_job", "id")
    dead.extend([letter, letter])
    assert dead_letters.take_in() == 1
    dead.append(letter)
    assert dead_letters.take_in() == 0
    assert len(dead_letters.listed()) == 1


def test_replay_sends_it_anew_and_says_when(dead: list[object]) -> None:
    dead.append(broker.message("monitoring", "finish_job", "id"))
    dead_letters.take_in()
    [letter] = dead_letters.listed()
    dead_letters.replay(str(letter.id))
    assert make.take_messages() == [("finish_job", ("id",))]
    assert dead_letters.get(str(letter.id)).replayed_at is not None


def test_undecodable_cannot_be_replayed_but_looked_at(dead: list[object]) -> None:
    dead.append(Raw(b"\x80nonsense"))
    dead_letters.take_in()
    [letter] = dead_letters.listed()
    assert bytes(letter.body) == b"\x80nonsense"
    with pytest.raises(Refused):
        dead_letters.replay(str(letter.id))


def test_purge_takes_what_is_named_or_all(dead: list[object]) -> None:
    dead.extend(broker.message("monitoring", "finish_job", n) for n in range(3))
    dead_letters.take_in()
    first, *_ = dead_letters.listed()
    assert dead_letters.purge([str(first.id)]) == 1
    assert dead_letters.purge() == 2
    for unknown in (str(first.id), "nonsense"):
        with pytest.raises(NotFound):
            dead_letters.get(unknown)


def test_our_messages_say_their_form(context: Context) -> None:
    body = json.loads(broker.message("monitoring", "sweep").encode())
    assert body["options"]["form"] == broker.FORM
