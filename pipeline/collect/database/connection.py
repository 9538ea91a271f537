"""One connection to a database, of whichever maker."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from pipeline.collect.database.columns import Column, UniqueKey

Row = tuple[Any, ...]
#: The parts of a table's name: its own, or a schema's before it.
TableName = tuple[str, ...]
CONNECT_S = 10


class DatabaseTrouble(Exception):
    """A database refused, or did not answer; ``passing`` where another try may help."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class Connection(ABC):
    """SQL in one dialect. Names are quoted here; values are always parameters.

    Every method raises ``DatabaseTrouble``. Nothing is open between two calls but what the caller
    began: outside of ``snapshot`` and ``transaction`` each statement stands for itself.
    """

    placeholder = "%s"
    quotes = '"'

    def name(self, name: str) -> str:
        """Return a column's name as SQL has it."""
        quoted = name.replace(self.quotes, self.quotes * 2)
        return self.literal(f"{self.quotes}{quoted}{self.quotes}")

    def table(self, table: TableName) -> str:
        """Return a table's name as SQL has it."""
        return ".".join(self.name(part) for part in table)

    def literal(self, sql: str) -> str:
        """Return a piece of SQL in which nothing is taken for a placeholder."""
        return sql.replace("%", "%%")

    def selected(self, column: Column) -> str:
        """Return what reads a column without loss."""
        return self.name(column.name)

    def sorted_by(self, column: Column) -> str:
        """Return what a column is ordered and compared by."""
        return self.name(column.name)

    @abstractmethod
    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Return how many rows a statement has changed."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """The statement has run for each row."""

    @abstractmethod
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a short answer."""

    @abstractmethod
    def stream(
        self, sql: str, values: Sequence[Any], columns: Sequence[Column]
    ) -> Generator[Row, None, None]:
        """Yield the rows of an answer of any length, a few of them in memory at a time.

        No other statement may run on the connection until the iterator is at its end or closed.
        """

    @abstractmethod
    def describe(self, sql: str) -> list[Column]:
        """Return the columns of a query, without running it to its end."""

    @abstractmethod
    def exists(self, table: TableName) -> bool:
        """Return True where there is such a table or view."""

    @abstractmethod
    def unique_keys(self, table: TableName) -> list[UniqueKey]:
        """Return what tells the rows of a table apart, the primary key first."""

    @abstractmethod
    def type_of(self, column: Column, *, key: bool) -> str:
        """Return the type of a new column that holds what another database has in its own."""

    @abstractmethod
    def upsert(self, table: TableName, columns: Sequence[str], keys: Sequence[str]) -> str:
        """Return the statement that makes a row be as given, whether its key is there or not.

        It fails where it would change a row of another key.
        """

    @abstractmethod
    def bound(self, value: Any) -> Any:
        """Return a value as the driver takes it."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the time of the database's clock, with its zone."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read within is of one moment, and nothing is written."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing of what is done within."""

    @abstractmethod
    def close(self) -> None:
        """The connection is gone, with whatever was open on it."""
