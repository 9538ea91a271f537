"""Inserts as many tasks as were asked for."""

from pipeline.core.tasks import NewTask
from tests.support.trivial import TrivialParameters

FIRST_CHUNK, CHUNK = 500, 2500


def plan(job, planning, context):
    """Insert the tasks in chunks, a small one first."""
    told = TrivialParameters.model_validate(job.parameters)
    first, chunk = 0, FIRST_CHUNK
    while first < told.tasks:
        places = range(first, min(first + chunk, told.tasks))
        planning.add([NewTask(place, f"task {place}", 1, {}) for place in places])
        first, chunk = first + chunk, CHUNK
