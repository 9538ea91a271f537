"""Messages between a worker and the child of a heavy call."""

import socket

import pytest

from pipeline.kinds.service import frames
from pipeline.kinds.service.frames import Inbox


def test_messages_come_as_they_were_sent_however_they_are_cut() -> None:
    sent = [{"note": "partial", "value": "é" * n} for n in (0, 1, 1000)]
    whole = b"".join(frames.packed(message) for message in sent)
    inbox = Inbox(10_000)
    assert [each for byte in whole for each in inbox.take(bytes([byte]))] == sent
    assert Inbox(10_000).take(whole) == sent


@pytest.mark.parametrize(
    "data", [frames.LENGTH.pack(2) + b"[]", frames.LENGTH.pack(3) + b"no!", b"\xff" * 8]
)
def test_what_is_no_message_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Inbox(10_000).take(data)


def test_other_end_that_has_gone_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(frames.packed({"stop": True})[:3])
        with pytest.raises(EOFError):
            frames.receive(ours)
