"""Inserts as many tasks as were asked for."""

from pipeline.core.transitions import NewTask
from tests.support.trivial import TrivialParameters

CHUNK = 1000


def plan(job, planning, context):
    """Insert the tasks in chunks."""
    told = TrivialParameters.model_validate(job.parameters)
    for first in range(0, told.tasks, CHUNK):
        places = range(first, min(first + CHUNK, told.tasks))
        planning.add([NewTask(place, f"task {place}", 1, {}) for place in places])
