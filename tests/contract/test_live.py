"""What is new of jobs, on both databases: all of it, once, in order, for whoever follows."""

import itertools
import threading
import uuid
from typing import Any

import pytest

from pipeline.core import executions, finishing, jobs, planning, transitions
from pipeline.core.context import Context
from pipeline.core.jobs import Submission
from pipeline.core.live import Follow, Message, look
from pipeline.core.live.cursor import Cursor
from pipeline.core.live.looking import MOST_ROWS, MOST_TASKS
from pipeline.core.live.scouting import going_on, known
from pipeline.core.tasks import Outcome
from pipeline.kinds.service import accounts
from pipeline.kinds.service.accounts import Account, Before
from pipeline.states import Reason, TaskState
from pipeline.store.database import dialect, execute, proxy, session, snapshot, transaction
from pipeline.store.models import moment
from tests.support import factories as make


def seen(follow: Follow, *, late: bool = False) -> list[Message]:
    """Return what one look tells."""
    return follow.take(look([follow.ask(late=late)])[0])


def states(messages: list[Message]) -> list[tuple[str, str]]:
    return [(m.data["subject"], m.data["to_state"]) for m in messages if m.event == "transition"]


def end(job_id: uuid.UUID, context: Context) -> None:
    """Do the job's work, and write its reports."""
    make.work_off(job_id, context)
    finishing.run_finish(job_id, context)


def service_job(context: Context, tasks: int = 1, **told: Any) -> uuid.UUID:
    inputs = [{"n": n} for n in range(tasks)]
    parameters = {"mode": "m", "service": "s", "task": "t", "inputs": inputs, **told}
    job_id = jobs.submit(Submission(kind="service", parameters=parameters))
    planning.run_plan(job_id, context)
    return job_id


def test_a_job_is_told_from_its_begin_to_its_end(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    follow = Follow(job_id)
    first = seen(follow)
    assert states(first) == [("job", "pending"), ("job", "running"), ("tasks", "pending")]
    assert first[-1].event == "job"
    assert first[-1].data["total"] == 2
    assert seen(follow) == []
    end(job_id, context)
    then = seen(follow)
    assert ("tasks", "succeeded") in states(then)
    assert then[-1].event == "end"
    assert then[-1].data["state"] == "succeeded"
    assert follow.has_ended


def test_only_the_last_message_of_a_look_has_an_id(context: Context) -> None:
    messages = seen(Follow(make.planned_job(context, tasks=2)))
    assert len(messages) > 1
    assert [m.id is not None for m in messages] == [False] * (len(messages) - 1) + [True]


def test_who_comes_back_with_the_last_id_has_missed_nothing(context: Context) -> None:
    job_id = make.planned_job(context, tasks=3)
    told = seen(Follow(job_id))
    end(job_id, context)
    whole = states(seen(Follow(job_id)))
    again = states(seen(Follow(job_id, Cursor.read(told[-1].id or ""))))
    assert states(told) + again == whole


# SQLite has one writer at a time.
@pytest.mark.parametrize("any_database_url", ["postgresql"], indirect=True)
def test_a_row_that_is_committed_after_a_higher_one_is_told(context: Context) -> None:
    """Two closers of one job: the one that has the lower number commits last."""
    job_id = make.planned_job(context, tasks=2)
    follow = Follow(job_id)
    seen(follow)
    is_written, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction():
            execute(_EVENT, job_id.hex, "late")
            is_written.set()
            may_commit.wait(10)

    thread = threading.Thread(target=slow)
    thread.start()
    assert is_written.wait(10)
    with transaction():
        execute(_EVENT, job_id.hex, "early")
    assert [m.data["message"] for m in seen(follow) if m.event == "transition"] == ["early"]
    may_commit.set()
    thread.join()
    # The number after the last one does not find it, the look that is done now and then does.
    assert seen(follow) == []
    assert [m.data["message"] for m in seen(follow, late=True)] == ["late"]
    assert seen(follow, late=True) == []


_EVENT = (
    "INSERT INTO events (job_id, at, actor, subject, to_state, message)"
    " VALUES (%s, statement_timestamp(), 'test', 'job', 'running', %s)"
)


def test_many_tasks_of_one_look_are_one_transition(context: Context) -> None:
    job_id = make.planned_job(context, tasks=4)
    follow = Follow(job_id)
    seen(follow)
    for claim in make.claimed(context, job_id):
        outcome = Outcome(claim.id, claim.attempt, TaskState.SUCCEEDED)
        transitions.close_tasks(job_id, [outcome], actor="w")
    told = [m.data for m in seen(follow) if m.event == "transition"]
    closed = [each for each in told if each["to_state"] == "succeeded" and each["tasks"]]
    assert [each["tasks"] for each in closed] == [[[0, 3]]]
    assert sum(b - a + 1 for a, b in closed[0]["rows"]) == 4


def test_a_history_longer_than_a_look_is_told_in_parts(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.core.live.looking.MOST_ROWS", 2)
    job_id = make.planned_job(context, tasks=1)
    end(job_id, context)
    follow = Follow(job_id)
    parts = []
    while not follow.has_ended:
        parts.append(states(seen(follow)))
        assert len(parts) < 20
    monkeypatch.setattr("pipeline.core.live.looking.MOST_ROWS", MOST_ROWS)
    assert [*itertools.chain(*parts)] == states(seen(Follow(job_id)))
    assert len(parts) > 2


def test_a_job_that_is_gone_ends(context: Context) -> None:
    follow = Follow(uuid.uuid4())
    assert [m.event for m in seen(follow)] == ["end"]
    assert follow.has_ended


def test_several_are_looked_at_together(context: Context) -> None:
    one, two = (make.planned_job(context, tasks=1) for _ in range(2))
    follows = [Follow(one), Follow(uuid.uuid4()), Follow(two), Follow(one)]
    told = [f.take(n) for f, n in zip(follows, look([f.ask() for f in follows]), strict=True)]
    assert states(told[0]) == states(told[3]) != []
    assert [m.data["job_id"] for m in told[2] if m.event == "job"] == [str(two)]
    assert told[1][0].data["state"] == "gone"


# --- calls of services --------------------------------------------------------------------------


def progress(messages: list[Message]) -> list[dict[str, Any]]:
    return [m.data for m in messages if m.event == "progress"]


def test_a_call_tells_its_progress_and_what_its_output_grew_by(context: Context) -> None:
    job_id = service_job(context, user_id="u1", step=4)
    follow = Follow(job_id)
    assert [p["status"] for p in progress(seen(follow))] == ["pending"]
    [claim] = make.claimed(context, job_id)
    account = Account(claim, user_id="u1", step=4, task="t", before=Before())
    account.note("progress", {"fraction": 0.25, "message": "page 1", "details": {"page": 1}})
    account.note("partial", "Hello")
    accounts.write([account])
    [first] = progress(seen(follow))
    assert first["status"] == "running"
    assert (first["step"], first["task"], first["user_id"]) == (4, "t", "u1")
    assert (first["progress"], first["message"], first["details"]) == (0.25, "page 1", {"page": 1})
    assert (first["partial"], first["partial_at"]) == ("Hello", 0)
    account.note("partial", ", world")
    accounts.write([account])
    [second] = progress(seen(follow))
    assert (second["partial"], second["partial_at"]) == (", world", 5)
    accounts.write([account])
    assert seen(follow) == []


def test_what_an_earlier_run_told_is_not_told_of_the_next(context: Context) -> None:
    job_id = service_job(context)
    follow = Follow(job_id)
    [claim] = make.claimed(context, job_id)
    account = Account(claim, user_id="", step=1, task="t", before=Before())
    account.note("partial", "old")
    accounts.write([account])
    seen(follow)
    outcome = Outcome(claim.id, claim.attempt, TaskState.PENDING, Reason.ERROR, "again")
    transitions.close_tasks(job_id, [outcome], actor="w")
    [pending] = progress(seen(follow))
    assert (pending["status"], pending["reason"]) == ("pending", "error")
    assert "partial" not in pending


def test_a_job_of_too_many_tasks_tells_of_itself(context: Context) -> None:
    job_id = service_job(context, tasks=MOST_TASKS + 1)
    told = progress(seen(Follow(job_id)))
    assert len(told) == 1
    assert told[0]["details"]["total"] == MOST_TASKS + 1
    assert told[0]["task_id"] is None


def test_a_kind_that_tells_of_no_tasks_tells_of_the_job(context: Context) -> None:
    job_id = make.planned_job(context, tasks=2)
    follow = Follow(job_id)
    [running] = progress(seen(follow))
    assert (running["status"], running["task"], running["progress"]) == ("running", "trivial", 0.0)
    end(job_id, context)
    *_, ended = progress(seen(follow))
    assert ended["status"] == "completed"
    assert "result" in ended


def test_a_container_tells_what_its_heartbeats_say(context: Context) -> None:
    parameters = {"task_name": "shop", "task_type": "custom", "docker_image": "x:1"}
    job_id = jobs.submit(Submission(kind="container", parameters=parameters))
    planning.run_plan(job_id, context)
    [claim] = make.claimed(context, job_id)
    with transaction():
        executions.place(claim.id, job_id, claim.attempt, host="here", container="c")
    executions.launched(claim.id, 1)
    follow = Follow(job_id)
    seen(follow)
    beat = executions.Beat(claim.id, 1, "c", "running", {"pages": 7})
    assert executions.beat([beat])[0].live
    [told] = progress(seen(follow))
    assert told["details"]["pages"] == 7


# --- whose jobs ---------------------------------------------------------------------------------


def test_whose_a_job_is_and_for_whom(context: Context) -> None:
    mine = make.pending_job(owner="ann", tasks=1)
    parameters = {"mode": "m", "service": "s", "task": "t", "user_id": "u1"}
    hers = jobs.submit(Submission(kind="service", parameters=parameters, owner="bob"))
    found = {job.id: job for job in known([mine, hers, uuid.uuid4()])}
    assert (found[mine].owner, found[mine].user_id) == ("ann", None)
    assert (found[hers].owner, found[hers].user_id) == ("bob", "u1")
    assert [job.id for job in going_on(["bob"])] == [hers]
    assert {job.id for job in going_on(None)} == {mine, hers}
    assert going_on([]) == []


def test_jobs_that_ended_are_found_by_when(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1, owner="ann")
    with session():
        [(before,)] = execute(f"SELECT {dialect().now}")
    make.work_off(job_id, context)
    assert going_on(["ann"]) == []
    assert [job.id for job in going_on(["ann"], ended_since=moment(before))] == [job_id]


def test_a_look_reads_one_moment(context: Context) -> None:
    """Its statements see what was committed when the first one began."""
    job_id = make.pending_job(tasks=1)
    with snapshot():
        execute("SELECT count(*) FROM jobs")
        other = threading.Thread(target=lambda: jobs.cancel(job_id, actor="other"))
        other.start()
        other.join()
        [(state,)] = execute("SELECT state FROM jobs WHERE id = %s", job_id.hex)
    assert state == "pending"
    assert not proxy.obj.in_transaction()
    assert jobs.get(job_id).state == "cancelled"
