"""The peer's workers: tasks that do nothing, and the callback of a chord of them.

``celery --app tests.benchmarks.celery_app worker``; the addresses come from the environment.
"""

import os

from celery import Celery

BROKER, BACKEND = "BENCH_CELERY_BROKER", "BENCH_CELERY_BACKEND"

app = Celery("bench", broker=os.environ.get(BROKER), backend=os.environ.get(BACKEND))


@app.task
def nothing(number: int) -> int:
    """Do nothing."""
    return number


@app.task
def finished(results: list[int]) -> int:
    """Return how many results came."""
    return len(results)
