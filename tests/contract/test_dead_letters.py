"""Messages that nobody can take are kept as rows, told apart, and can be sent again."""

import json
import re
import uuid
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from peewee_migrate import Router

from pipeline import broker, messages
from pipeline.core import dead_letters
from pipeline.core.context import Context
from pipeline.core.kinds import all_kinds
from pipeline.errors import NotFound, Refused
from pipeline.store import schema
from pipeline.store.database import proxy, transaction
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


JOB = str(uuid.UUID(int=0xABC))


def test_each_is_kept_once_with_its_reason(dead: list[object]) -> None:
    dead.append(broker.message("monitoring", "finish_job", JOB))
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


def body(**told: Any) -> Raw:
    """Return a message of ours with some fields of its own."""
    fields = json.loads(broker.message("monitoring", "finish_job", JOB).encode())
    return Raw(json.dumps({**fields, **told}).encode())


#: Each decodes as JSON, and a field is not what Dramatiq and the database take it for.
MALFORMED: tuple[dict[str, Any], ...] = (
    *({"options": None}, {"options": [1]}, {"kwargs": None}, {"args": 3}, {"args": None}),
    *({"actor_name": ["x"]}, {"actor_name": None}, {"queue_name": {}}, {"message_id": 3}),
    *({"message_id": None}, {"message_timestamp": "x"}, {"more": 1}),
)
OTHER: tuple[dict[str, Any], ...] = (
    *({"options": {"form": 0}}, {"options": {"form": "1"}}, {"options": {"form": None}}),
    *({"options": {"form": 1, "eta": 1e18}}, {"options": {"throws": 3}}),
    *({"queue_name": "sql_analysis"}, {"queue_name": ""}),
)


@pytest.mark.parametrize(
    ("told", "reason"),
    [*((each, "undecodable") for each in MALFORMED), *((each, "other_form") for each in OTHER)],
)
def test_what_we_would_not_have_written_is_told_by_its_defect(
    dead: list[object], told: dict[str, Any], reason: str
) -> None:
    dead.append(body(**told))
    assert dead_letters.take_in() == 1
    [letter] = dead_letters.listed()
    assert letter.reason == reason


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0", b"[" * 100_000, b'{"a": ' * 100_000, b"\xff" * 1000, b"null", b"1e999", b"{}"],
)
def test_no_bytes_keep_others_from_being_taken_in(dead: list[object], raw: bytes) -> None:
    dead.extend([Raw(raw), broker.message("monitoring", "finish_job", JOB)])
    assert dead_letters.take_in() == 2
    assert [letter.reason for letter in dead_letters.listed()] == ["failed", "undecodable"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\0b", "a\\x00b"), ("\x1b[2J", "\\x1b[2J"), ("\ud800", "\\ud800"), ("\u202ea", "\\u202ea")],
)
def test_names_from_messages_disturb_neither_database_nor_terminal(
    dead: list[object], name: str, shown: str
) -> None:
    dead.append(body(actor_name=name))
    assert dead_letters.take_in() == 1
    [letter] = dead_letters.listed()
    assert (letter.actor, letter.reason) == (shown, "unknown_actor")


def test_long_names_and_ids_are_taken_in(dead: list[object]) -> None:
    dead.append(body(actor_name="x" * 100_000, message_id="y" * 100_000))
    assert dead_letters.take_in() == 1
    assert dead_letters.listed()[0].actor == "x" * 200


def test_two_messages_of_one_id_are_two_rows(dead: list[object]) -> None:
    dead.extend([body(message_id="same"), body(message_id="same", args=[2])])
    assert dead_letters.take_in() == 2


def test_a_flood_is_taken_in_at_once(dead: list[object]) -> None:
    number = 2 * dead_letters.STEP + 1
    dead.extend(broker.message("monitoring", "finish_job", n) for n in range(number))
    assert dead_letters.take_in() == number
    assert dead == []


def test_seen_twice_is_one_row(dead: list[object]) -> None:
    letter = broker.message("monitoring", "finish_job", JOB)
    dead.extend([letter, letter])
    assert dead_letters.take_in() == 1
    dead.append(letter)
    assert dead_letters.take_in() == 0
    assert len(dead_letters.listed()) == 1


def test_replay_sends_it_anew_and_says_when(dead: list[object]) -> None:
    dead.append(broker.message("monitoring", "finish_job", JOB))
    dead_letters.take_in()
    [letter] = dead_letters.listed()
    dead_letters.replay(str(letter.id))
    assert make.take_messages() == [("finish_job", (JOB,))]
    assert dead_letters.get(str(letter.id)).replayed_at is not None


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"args": []}, "job_id: Missing required argument"),
        ({"args": [1]}, "job_id: Input should be a valid string"),
        ({"args": [JOB, JOB]}, "argument 2: Unexpected positional argument"),
        ({"args": [[[JOB]] * 1000]}, "job_id: Input should be a valid string"),
        ({"kwargs": {"job_id": JOB}}, "job_id: Got multiple values for argument"),
        ({"kwargs": {"\x1b[2J": 1}}, "\\x1b[2J: Unexpected keyword argument"),
        ({"actor_name": "sweep"}, "argument 1: Unexpected positional argument"),
    ],
)
def test_arguments_that_the_actor_does_not_take_are_told_and_not_sent_again(
    dead: list[object], told: dict[str, Any], wrong: str
) -> None:
    # Whoever takes dead letters in has not declared the actors: that is a worker's business.
    assert not broker.current_broker().actors
    dead.append(body(**told))
    assert dead_letters.take_in() == 1
    [letter] = dead_letters.listed()
    assert (letter.reason, dead_letters.misfit(letter)) == ("bad_arguments", wrong)
    with pytest.raises(Refused, match=f"does not take .*{re.escape(wrong)}"):
        dead_letters.replay(str(letter.id))
    assert make.take_messages() == []
    assert dead_letters.get(str(letter.id)).replayed_at is None


def test_arguments_of_every_kind_are_judged_where_no_worker_runs(dead: list[object]) -> None:
    for kind in all_kinds():
        if kind.name != "trivial":
            dead.extend([body(actor_name=kind.plan_actor, args=[])])
            dead.extend([body(actor_name=kind.work_actor, args=[])])
    number = len(dead)
    assert dead_letters.take_in() == number > 0
    assert {letter.reason for letter in dead_letters.listed()} == {"bad_arguments"}


def test_undecodable_cannot_be_replayed_but_looked_at(dead: list[object]) -> None:
    dead.append(Raw(b"\x80nonsense"))
    dead_letters.take_in()
    [letter] = dead_letters.listed()
    assert bytes(letter.body) == b"\x80nonsense"
    with pytest.raises(Refused):
        dead_letters.replay(str(letter.id))


def test_malformed_cannot_be_replayed(dead: list[object]) -> None:
    dead.append(body(actor_name=["x"]))
    dead_letters.take_in()
    [letter] = dead_letters.listed()
    with pytest.raises(Refused):
        dead_letters.replay(str(letter.id))
    assert make.take_messages() == []


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
    assert body["options"]["form"] == messages.FORM


def test_letters_of_the_version_before_are_kept(context: Context, dead: list[object]) -> None:
    dead.append(body(args=[1]))
    dead_letters.take_in()
    [before] = dead_letters.listed()
    router = Router(proxy.obj, migrate_dir=schema.MIGRATIONS)
    with transaction():
        while "003_bad_arguments" in router.done:
            router.rollback()
    assert schema.pending()[0] == "003_bad_arguments"
    assert [letter.reason for letter in dead_letters.listed()] == ["failed"]
    schema.migrate()
    [kept] = dead_letters.listed()
    assert (kept.id, kept.key, kept.body) == (before.id, before.key, before.body)
    assert dead_letters.take_in() == 0
