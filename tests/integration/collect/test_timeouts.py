"""How long an answer may take, whatever the other side does."""

import gzip
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from pipeline.collect.database.connection import DatabaseTrouble
from pipeline.collect.database.postgresql import PostgreSQL
from pipeline.collect.http.answer import TryAgain, fetch, get, open_client
from tests.integration.collect.wires import Relay, dripping
from tests.support.services import own_database

HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
PAGE = gzip.compress(b"a page")
# What no decoder makes anything of until it is whole.
NAME = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03" + b"n" * 1000
WHOLE = (HEAD % len(PAGE) + PAGE, b"")


@pytest.mark.parametrize(
    "slow",
    [(b"", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100), (HEAD % 2000, NAME)],
    ids=["headers", "body"],
)
@pytest.mark.parametrize("answers_before", [0, 1])
def test_answer_that_drips_ends_at_the_timeout(
    slow: tuple[bytes, bytes], answers_before: int
) -> None:
    """On a new connection, and on one that is used again."""
    with (
        dripping(*[WHOLE] * answers_before, slow, gap_s=0.05) as url,
        open_client(1.0, {}) as client,
    ):
        for _ in range(answers_before):
            answer = fetch(client, get(client, url), limit_bytes=9999, timeout_s=1.0)
            assert answer.body == b"a page"
        begun = time.monotonic()

        with pytest.raises(TryAgain, match=r"took longer than 1 s|timed out"):
            fetch(client, get(client, url), limit_bytes=9999, timeout_s=1.0)

        assert 0.9 < time.monotonic() - begun < 2.5


def test_database_that_falls_silent_is_a_trouble_that_may_pass() -> None:
    with own_database() as url:
        parts = urlsplit(url)
        with Relay(parts.port or 5432).open() as relay:
            there = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{relay.port}"))
            with closing(PostgreSQL(there.geturl(), None, 0.5)) as db:
                db.query("SELECT 1")
                begun = time.monotonic()

                with pytest.raises(DatabaseTrouble, match="answer") as trouble:
                    _ask_a_frozen_one(db, relay)

                assert trouble.value.passing
                assert time.monotonic() - begun < 5


def _ask_a_frozen_one(db: PostgreSQL, relay: Relay) -> None:
    with db.transaction():
        relay.frozen.set()
        db.query("SELECT 1")
