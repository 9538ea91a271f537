"""Tasks that kill their worker each time they run: they fail, a bounded number of deaths later."""

from collections.abc import Mapping

import psycopg
import pytest

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.retries import LOST_GRACE
from tests.chaos.conftest import Form, told
from tests.support.faults import Fleet
from tests.support.recount import Wanted
from tests.support.workers import Census, supervised

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def test_task_that_kills_its_worker_fails_and_its_neighbours_do_not(
    fleet: Fleet, form: Form
) -> None:
    tasks, deadly = form.of(60, 600), form.of([7], [7, 200, 400])
    fleet.settings = fleet.settings.model_copy(update={"max_attempts": form.of(1, 3)})
    workers = [fleet.worker(f"worker{n}", threads=2) for n in range(2)]
    census = Census(*workers)
    with supervised(*workers, fleet.scheduler()) as supervisors:
        parameters = {"tasks": tasks, "pause_s": 0.05, "deadly": deadly}
        job_id = str(jobs.submit(Submission(kind="trivial", parameters=parameters)))
        fleet.accepted[job_id] = Wanted(tasks, bad=dict.fromkeys(deadly, "failed/worker_lost"))
        found = fleet.settled(within_s=form.of(60, 180))
        census.take()
        deaths = sum(each.restarts for each in supervisors)
    found.leftovers = len(census.left())
    runs = runs_of(fleet)
    told(found, "tasks that kill their worker", deadly=len(deadly), deaths=deaths)
    allowed = fleet.settings.max_attempts + LOST_GRACE
    assert {seq: runs[seq] for seq in deadly} == dict.fromkeys(deadly, allowed)
    assert deaths <= allowed * len(deadly)


def runs_of(fleet: Fleet) -> Mapping[int, int]:
    """Return how often each task was begun, by place."""
    with psycopg.connect(fleet.settings.database) as connection:
        return dict(connection.execute("SELECT seq, attempt FROM tasks"))
