"""Inserts as many tasks as were asked for."""

from pipeline.core.tasks import NewTask
from pipeline.states import RunWhen
from tests.support.trivial import TrivialParameters

FIRST_CHUNK, CHUNK = 500, 2500


def plan(job, planning, context):
    """Insert the tasks in chunks, a small one first."""
    told = TrivialParameters.model_validate(job.parameters)
    first, chunk = 0, FIRST_CHUNK
    while first < told.tasks:
        places = range(first, min(first + chunk, told.tasks))
        planning.add([_task(place, told) for place in places])
        first, chunk = first + chunk, CHUNK


def _task(place, told):
    needs = tuple(told.needs.get(place, ()))
    run_when = RunWhen.ALL_ENDED if place in told.always else RunWhen.ALL_SUCCEEDED
    stops = place in told.stops
    return NewTask(*(place, f"task {place}", 1, {}), needs=needs, run_when=run_when, stops=stops)
