"""The talk with a child, whatever pieces its words come in, and whatever it says unasked."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.adapters.sqlfluff import frames
from pipeline.adapters.sqlfluff.conversation import Conversation, Ended, Limits
from pipeline.states import Reason

LIMITS = Limits(time_s=0.3, memory_bytes=1000)


@dataclass
class Child:
    """A child whose words are those of the test."""

    connection: socket.socket
    memory: int = 0

    def memory_bytes(self) -> int:
        return self.memory


@pytest.fixture
def ends() -> Iterator[tuple[Any, socket.socket]]:
    """The talk, and the child's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Conversation(Child(ours)), theirs  # type: ignore[arg-type]


def said(number: int) -> bytes:
    """A reply with a number in it."""
    return frames.pack_reply({"reason": None, "message": "", "result": {"number": number}})


def heard(talk: Conversation) -> Any:
    """The number of the next reply, or why there is none."""
    told = talk.reply(LIMITS, lambda: False)
    return told if isinstance(told, Ended) else told["result"]["number"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_replies_are_told_apart_whatever_pieces_they_come_in(
    ends: tuple[Conversation, socket.socket], size: int
) -> None:
    talk, child = ends
    talk.send(b"one")
    talk.send(b"two")
    words = said(1) + said(2)
    for at in range(0, len(words), size):
        child.sendall(words[at : at + size])
    assert talk.unanswered == 2
    assert [heard(talk), heard(talk)] == [1, 2]
    assert talk.is_at_rest
    assert child.recv(100) == b"onetwo"


def test_work_that_no_socket_takes_at_once_is_sent_while_the_reply_is_waited_for(
    ends: tuple[Conversation, socket.socket],
) -> None:
    talk, child = ends
    child.setblocking(False)
    works = [letter * 4_000_000 for letter in (b"a", b"b")]
    taken = bytearray()

    def take() -> bool:
        with suppress(BlockingIOError):
            while len(taken) < 8_000_000:
                taken.extend(child.recv(1 << 16))
            child.sendall(said(7))
        return False

    for each in works:
        talk.send(each)
    assert len(taken) == 0
    told = talk.reply(Limits(time_s=20, memory_bytes=1000), take)
    assert not isinstance(told, Ended)
    assert bytes(taken) == b"".join(works)


def test_child_that_says_more_than_it_was_asked_is_not_at_rest(
    ends: tuple[Conversation, socket.socket],
) -> None:
    talk, child = ends
    talk.send(b"one")
    child.sendall(said(1) + b"\0")
    assert heard(talk) == 1
    assert talk.unanswered == 0
    assert not talk.is_at_rest


@pytest.mark.parametrize("words", [b"", b"\0\0", said(1)[:-1]], ids=["none", "size", "most"])
def test_child_that_goes_before_its_reply_is_whole_has_ended(
    ends: tuple[Conversation, socket.socket], words: bytes
) -> None:
    talk, child = ends
    talk.send(b"one")
    child.sendall(words)
    child.close()
    assert heard(talk) == Ended(None, "")


def test_reply_beyond_the_bound_is_not_waited_for(
    ends: tuple[Conversation, socket.socket],
) -> None:
    talk, child = ends
    talk.send(b"one")
    child.sendall(frames.REPLY.pack(frames.MAX_REPLY_BYTES + 1))
    assert heard(talk).reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "document",
    [
        *(1, [], {}, {"reason": None, "message": 1, "result": {}}),
        {"reason": "nonsense", "message": "", "result": None},
        {"reason": "crashed", "message": "", "result": {}},
        {"reason": None, "message": "", "result": None},
    ],
)
def test_reply_of_another_shape_is_a_crash(
    ends: tuple[Conversation, socket.socket], document: object
) -> None:
    talk, child = ends
    talk.send(b"one")
    words = json.dumps(document).encode()
    child.sendall(frames.REPLY.pack(len(words)) + words)
    assert heard(talk).reason is Reason.CRASHED


def test_silent_child_is_ended_by_time_memory_or_cancel(
    ends: tuple[Any, socket.socket],
) -> None:
    talk, _ = ends
    talk.send(b"one")
    assert heard(talk).reason is Reason.TIME_LIMIT
    assert talk.reply(LIMITS, lambda: True).reason is Reason.CANCELLED
    talk.child.memory = 1001
    assert heard(talk).reason is Reason.OUT_OF_MEMORY
