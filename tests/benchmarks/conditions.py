"""What the machine was like while a bench ran."""

import os
import platform
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from tests.support.services import database_url


def conditions(folder: Path) -> dict[str, Any]:
    """Return cores, load, and the median latency of fsync here and of a commit in PostgreSQL."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "fsync_ms": round(fsync_ms(folder), 3),
        "commit_ms": round(commit_ms(), 3),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Return the median time of one 8 KiB write made durable in that folder."""
    taken = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            began = time.perf_counter()
            os.pwrite(file.fileno(), bytes(8192), 0)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def commit_ms(times: int = 50) -> float:
    """Return the median time of one transaction that changes one row in PostgreSQL."""
    taken = []
    with psycopg.connect(database_url(), autocommit=True) as connection:
        table = f"quayline_bench_{os.getpid()}"
        connection.execute(f"CREATE TABLE {table} (n int)")
        try:
            connection.execute(f"INSERT INTO {table} VALUES (0)")
            for _ in range(times):
                began = time.perf_counter()
                connection.execute(f"UPDATE {table} SET n = n + 1")
                taken.append(time.perf_counter() - began)
        finally:
            connection.execute(f"DROP TABLE {table}")
    return median(taken) * 1000
