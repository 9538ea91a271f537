"""The look at all hosts, alike on both databases: what is wrong with one is in no other's way."""

import uuid

import pytest

from pipeline.core import executions, hosts, jobs, planning
from pipeline.core.context import Context
from pipeline.core.hosts import Host
from pipeline.core.jobs import Submission
from pipeline.errors import Refused, Transient
from pipeline.kinds.container import KIND, cleaning, monitor
from pipeline.kinds.container.engines import engine_of
from pipeline.settings import Settings
from pipeline.store.database import execute, session, transaction
from tests.support import factories as make

TASK = {
    **{"task_name": "one", "task_type": "custom", "docker_image": "quayline-collect:latest"},
    **{"command": ["python", "-c", "pass"], "schedule_to_start_s": 0.001},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Child processes of this machine."""
    return settings.model_copy(update={"docker_url": "process://"})


def planned(context: Context) -> uuid.UUID:
    """Return a container job whose task is pending."""
    job_id = jobs.submit(Submission(kind=KIND.name, parameters=TASK))
    planning.run_plan(job_id, context)
    return job_id


def test_host_that_cannot_be_opened_is_in_no_others_way(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(host: Host, settings: Settings) -> object:
        if host.name == "ajar":
            raise Transient("The Docker SDK is missing.")
        return engine_of(host, settings)

    hosts.add("ajar", "process://", slots=1, labels={})
    hosts.add("open", "process://", slots=1, labels={})
    monkeypatch.setattr(monitor, "engine_of", opened)

    monitor.monitor(context)
    checked = {host.name: host.checked_at is not None for host in hosts.known(context.settings)}
    assert checked == {"ajar": False, "open": True}


@pytest.mark.parametrize("is_placed", [False, True])
def test_task_that_was_never_started_ends_in_time(context: Context, is_placed: bool) -> None:
    job_id = planned(context)
    if is_placed:
        # Its host went away before it was started; the task was given back.
        [task_id] = make.task_ids(job_id)
        with transaction():
            executions.place(uuid.UUID(task_id), job_id, 1, host="local", container="task-1")

    assert monitor.monitor(context).not_started == 1
    assert (jobs.get(job_id).state, jobs.get(job_id).reason) == ("timed_out", "not_started")


def test_task_that_waits_for_its_second_run_may_wait_longer(context: Context) -> None:
    job_id = planned(context)
    [task_id] = make.task_ids(job_id)
    with transaction():
        executions.place(uuid.UUID(task_id), job_id, 1, host="local", container="task-1")
        executions.launched(uuid.UUID(task_id), 1)
        executions.ended(uuid.UUID(task_id), 1, exit_code=137)

    assert monitor.monitor(context).not_started == 0
    assert executions.unfinished() == {"task-1"}


def test_job_whose_row_cannot_be_read_is_read_again(context: Context) -> None:
    job_id = planned(context)
    with session():
        [(parameters,)] = execute("SELECT parameters FROM jobs")
        execute("UPDATE jobs SET parameters = '{}'")
    assert monitor.monitor(context).not_started == 0
    with session():
        execute("UPDATE jobs SET parameters = %s", parameters)

    assert monitor.monitor(context).not_started == 1
    assert jobs.get(job_id).state == "timed_out"


def test_image_that_is_allowed_no_longer_is_not_launched(context: Context) -> None:
    submitted = {**TASK, "docker_image": "old/one", "schedule_to_start_s": 600}
    job_id = jobs.submit(Submission(kind=KIND.name, parameters=submitted))
    planning.run_plan(job_id, context)
    make.work_off(job_id, context)

    assert jobs.get(job_id).state == "failed"
    assert "allow-list" in jobs.get(job_id).message
    assert executions.of_job(job_id) == []
    with pytest.raises(Refused, match="allow-list"):
        jobs.retry(job_id, context.settings, actor="ann")


def test_cleaning_removes_what_is_left_of_an_ended_run(context: Context) -> None:
    job_id = planned(context)
    [task_id] = make.task_ids(job_id)
    with transaction():
        executions.place(uuid.UUID(task_id), job_id, 1, host="local", container=f"task-{task_id}")
        executions.ended(uuid.UUID(task_id), 1, exit_code=0)

    assert cleaning.clean_containers(context).containers == 1
    assert executions.get(uuid.UUID(task_id)).removed_at is not None
