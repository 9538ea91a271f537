"""What a deployment holds besides memory: connections, messages, temporary and stored files."""

from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from pika.exceptions import ChannelClosedByBroker

from tests.support.faults import QUEUES
from tests.support.servers import Rabbit


class Gauges:
    """Reads them all at once, as {name: value}; holds a database connection of its own."""

    def __init__(self, database_url: str, rabbit: Rabbit, state: Path, temporary: Path) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True)
        self._rabbit = rabbit
        self._state = state
        self._temporary = temporary

    def __call__(self) -> dict[str, float]:
        """Return every gauge."""
        stored, stored_bytes, spooled = self._stored()
        return {
            "database connections": self.database_connections(),
            "RabbitMQ connections": self._rabbit_connections(),
            "messages waiting": self.messages(),
            "temporary files": sum(1 for _ in self._temporary.rglob("*")),
            "spooled files": spooled,
            "stored files": stored,
            "stored MiB": stored_bytes / 1024 / 1024,
            "open jobs": self.open_jobs(),
        }

    def database_connections(self) -> int:
        """Return the connections to the database but for this one."""
        return self._one(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def open_jobs(self) -> int:
        """Return the jobs whose reports do not stand yet."""
        return self._one("SELECT count(*) FROM jobs WHERE finalized_at IS NULL")

    def batches_of(self, pids: set[int]) -> int:
        """Return how many batches the workers of these processes have begun."""
        return sum(
            self._one(
                "SELECT count(*) FROM events WHERE subject = 'tasks' AND to_state = 'running'"
                f" AND actor LIKE '%:{pid}'"
            )
            for pid in pids
        )

    def messages(self) -> int:
        """Return the messages that wait in all queues of ours."""
        total = 0
        for queue in QUEUES:
            with suppress(ChannelClosedByBroker), self._rabbit.channel() as channel:
                total += channel.queue_declare(queue, passive=True).method.message_count
        return total

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _one(self, statement: str) -> int:
        [(number,)] = self._connection.execute(statement.encode())
        return int(number)

    def _rabbit_connections(self) -> int:
        """Return the connections that stand at the node's own end."""
        return sum(
            bool(each.laddr) and each.laddr.port == self._rabbit.port
            for each in psutil.net_connections("tcp4")
            if each.status == psutil.CONN_ESTABLISHED
        )

    def _stored(self) -> tuple[int, int, int]:
        stored = size = spooled = 0
        for path in self._state.rglob("*"):
            with suppress(OSError):
                if not path.is_file():
                    continue
                if path.parent.name == "spool":
                    spooled += 1
                else:
                    stored, size = stored + 1, size + path.stat().st_size
        return stored, size, spooled
