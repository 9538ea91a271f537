"""Ask the servers of the tests, in their own protocols.

``probe.py database URL`` and ``probe.py broker URL`` print the server's version and exit 0, or
print one sentence and exit 1 (nobody answers, or not yet) or 3 (it answers and refuses our login,
database or virtual host). ``probe.py statement URL SQL`` has run one SQL statement, same codes.
"""

import logging
import sys
from collections.abc import Callable

import pika
import pika.exceptions
import psycopg

TIMEOUT_S = 5
AWAY, REFUSED = 1, 3


def connect(url: str) -> psycopg.Connection:
    """Return a connection in autocommit mode: CREATE DATABASE runs in no transaction."""
    return psycopg.connect(url, connect_timeout=TIMEOUT_S, autocommit=True)


def database(url: str) -> str:
    """Return the version of the PostgreSQL that lets us in and runs a statement."""
    with connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return f"PostgreSQL {row[0].split()[0]}" if row else "PostgreSQL"


def statement(url: str, sql: str) -> str:
    """Run one statement."""
    with connect(url) as connection:
        connection.execute(sql.encode())
    return "done"


def broker(url: str) -> str:
    """Return the version of the RabbitMQ that lets us in and opens a channel."""
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = TIMEOUT_S
    parameters.stack_timeout = TIMEOUT_S
    parameters.blocked_connection_timeout = TIMEOUT_S
    connection = pika.BlockingConnection(parameters)
    try:
        connection.channel()
        version = (connection._impl.server_properties or {}).get("version", b"")
    finally:
        connection.close()
    return f"RabbitMQ {version.decode() if isinstance(version, bytes) else version}"


def refused(url: str) -> bool:
    """Say whether a PostgreSQL is up at that address, whatever it thinks of our login."""
    return psycopg.pq.PGconn.ping(url.encode()) == psycopg.pq.Ping.OK


QUESTIONS: dict[str, Callable[..., str]] = {
    "database": database,
    "broker": broker,
    "statement": statement,
}


def main() -> int:
    """Probe the server that the command line names."""
    kind, url, *rest = sys.argv[1:]
    logging.disable(logging.CRITICAL)  # pika logs a traceback for every refused connection
    try:
        print(QUESTIONS[kind](url, *rest))
    except psycopg.Error as error:
        print(" ".join(str(error).split()))
        return REFUSED if refused(url) else AWAY
    except (
        pika.exceptions.AuthenticationError,
        pika.exceptions.ProbableAuthenticationError,
        pika.exceptions.ProbableAccessDeniedError,
        pika.exceptions.ConnectionClosedByBroker,
    ) as error:
        print(f"RabbitMQ refuses the login or the virtual host ({type(error).__name__}).")
        return REFUSED
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"No RabbitMQ answers ({error!r}).")
        return AWAY
    return 0


if __name__ == "__main__":
    sys.exit(main())
