"""The real servers of the tests, as `make services` found them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

DATABASE = "postgresql://quayline:quayline@127.0.0.1:5432/quayline_test"
BROKER = "amqp://guest:guest@127.0.0.1:5672/quayline-test"


def database_url() -> str:
    """Return the address of PostgreSQL; its role may make databases."""
    return os.environ.get("QUAYLINE_TEST_DATABASE_URL", DATABASE)


def broker_url() -> str:
    """Return the address of RabbitMQ; the virtual host is the tests' own."""
    return os.environ.get("QUAYLINE_TEST_BROKER_URL", BROKER)


@contextmanager
def own_database() -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database that is dropped afterwards."""
    name = f"quayline_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database_url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(database_url())._replace(path=f"/{name}").geturl()
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            admin.execute(drop)
