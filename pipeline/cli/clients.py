"""Clients for commands: settings with the command's wishes, and a log that does not disturb."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.cli import faults
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.producer import Client
    from pipeline.settings import Settings


@contextmanager
def open_client(*, work: bool = False, threads: int | None = None) -> Iterator["Client"]:
    """Yield a client; with ``work`` it may also do the work, where that is this process's."""
    from pipeline.producer import Client
    from pipeline.settings import get_settings

    settings = get_settings()
    configure_logs(settings)
    if work and settings.embedded:
        need_engine()
    if threads is not None:
        settings = settings.model_copy(update={"threads": threads})
    client = Client(settings, work=work)
    try:
        yield client
    finally:
        client.close()


def configure_logs(settings: "Settings") -> None:
    """Keep the log silent unless it was asked for: by ``--debug`` or QUAYLINE_LOG_LEVEL."""
    from pipeline import logs

    if faults.debugging():
        logs.configure("debug", "text")
    elif "log_level" in settings.model_fields_set:
        logs.configure(settings.log_level, "text")
    else:
        logs.configure("critical", "text")


def need_engine() -> None:
    """Raise ``Refused`` when SQLFluff is not installed here."""
    if importlib.util.find_spec("sqlfluff") is None:
        raise Refused("Linting in this process needs SQLFluff: pip install 'quayline[lint]'.")


def threads_of(processes: int | None) -> int | None:
    """Return the files at the same time; 0 and below count from all cores, as SQLFluff's do."""
    if processes is None or processes > 0:
        return processes
    return max(1, (os.cpu_count() or 1) + processes)
