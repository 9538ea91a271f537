"""Servers of the collectors' tests."""

import os
import uuid
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pymysql
import pytest

from tests.integration.collect.local_server import LocalServer, serving

MARIADB = "mysql://quayline:quayline@127.0.0.1:3306/quayline_test"


@pytest.fixture
def site() -> Iterator[LocalServer]:
    """A web site, or an API."""
    with serving() as server:
        yield server


@pytest.fixture
def service() -> Iterator[LocalServer]:
    """What takes heartbeats and completions."""
    with serving() as server:
        yield server


@pytest.fixture
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB database of the test's own."""
    parts = urlsplit(os.environ.get("QUAYLINE_TEST_MARIADB_URL", MARIADB))
    name = f"quayline_test_{uuid.uuid4().hex[:12]}"
    admin = pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        autocommit=True,
    )
    with admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield parts._replace(path=f"/{name}").geturl()
        finally:
            cursor.execute(f"DROP DATABASE {name}")
