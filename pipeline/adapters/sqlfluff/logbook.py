"""Collects what SQLFluff logs as warnings while one file is linted."""

import logging

MAX_WARNINGS = 50
MAX_CHARS = 500


class Logbook(logging.Handler):
    """The first line of every warning and error since the last ``take``, without repeats."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: dict[str, None] = {}
        self.out_of_memory = False

    @classmethod
    def attach(cls) -> "Logbook":
        """The logbook is the only reader of SQLFluff's loggers from here on."""
        book = cls()
        logger = logging.getLogger("sqlfluff")
        logger.handlers[:] = [book]
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        return book

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line of the record; never fail."""
        if record.exc_info and isinstance(record.exc_info[1], MemoryError):
            self.out_of_memory = True
        if len(self._lines) < MAX_WARNINGS:
            text = record.getMessage().strip()
            self._lines[text.partition("\n")[0][:MAX_CHARS]] = None

    def take(self) -> list[str]:
        """What was kept; the book is empty afterwards."""
        lines, self._lines, self.out_of_memory = list(self._lines), {}, False
        return lines
