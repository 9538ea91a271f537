"""What rows tell Prometheus is what stands in them, alike on both databases."""

import uuid
from collections.abc import Mapping
from typing import Any

from pipeline import metrics
from pipeline.core import dead_letters, executions, health, hosts, row_figures, runner, transitions
from pipeline.core.context import Context
from pipeline.core.health import Finding, State
from pipeline.core.schedules import firing
from pipeline.core.sweep import sweep
from pipeline.states import Reason, TaskState
from pipeline.store.database import dialect, execute, session, transaction
from tests.support import factories as make
from tests.support.schedules import clear, made


def told(context: Context) -> dict[str, Mapping[tuple[str, ...], float]]:
    """Return what all collectors tell, by the names of the figures."""
    return {
        figure.name: values
        for collector in row_figures.COLLECTORS.values()
        for figure, values in collector(context)
    }


def aged(sql: str, seconds: float, *parameters: Any) -> None:
    """Run the statement with the time of so long ago for its ``{then}``."""
    with transaction():
        execute(sql.format(then=dialect().later(str(-seconds))), *parameters)


def test_where_nothing_is_every_figure_is_zero_and_there(context: Context) -> None:
    found = told(context)
    assert set(found) == {figure.name for figure in row_figures.FIGURES}
    assert found["quayline_jobs"]["sql_lint", "running"] == 0
    assert found["quayline_tasks"]["container", "pending"] == 0
    assert found["quayline_oldest_due_seconds"]["sql_analysis",] == 0
    assert found["quayline_dead_letters"]["monitoring",] == 0
    assert not any(value for values in found.values() for value in values.values())


def test_jobs_and_tasks_are_counted_by_kind_and_state(context: Context) -> None:
    make.pending_job()
    job_id = make.planned_job(context, tasks=5)
    claims = make.claimed(context, job_id)
    make.close(job_id, claims[:1])
    make.close(job_id, claims[1:2], TaskState.FAILED)
    running = make.planned_job(context, tasks=2)
    make.claimed(context, running)
    done = make.planned_job(context, tasks=2)
    make.work_off(done, context)
    found = told(context)
    states = {state: found["quayline_jobs"]["trivial", state] for state in ("pending", "running")}
    assert states == {"pending": 1, "running": 2}
    assert found["quayline_jobs"]["trivial", "succeeded"] == 1
    tasks = {state: number for (_, state), number in found["quayline_tasks"].items() if number}
    assert tasks["succeeded"] == 3
    assert tasks["failed"] == 1
    assert tasks["running"] + tasks.get("pending", 0) == 5
    assert tasks["running"] == len(claims) - 2 + 2


def test_due_age_is_told_for_the_queue_of_each_step(context: Context) -> None:
    planned = make.pending_job()
    aged("UPDATE jobs SET not_before = {then} WHERE id = %s", 100, planned.hex)
    working = make.planned_job(context, tasks=30)
    aged("UPDATE tasks SET not_before = {then} WHERE job_id = %s", 200, working.hex)
    ended = make.planned_job(context, tasks=1)
    make.work_off(ended, context)
    aged("UPDATE jobs SET not_before = {then} WHERE id = %s", 300, ended.hex)
    ages = told(context)["quayline_oldest_due_seconds"]
    assert 100 <= ages["trivial_plan",] < 160
    assert 200 <= ages["trivial_work",] < 260
    assert 300 <= ages["monitoring",] < 360
    assert ages["sql_analysis",] == 0


def test_due_age_is_told_of_what_was_never_sent_and_of_nothing_in_its_pause(
    context: Context,
) -> None:
    job_id = make.planned_job(context, tasks=3)
    aged("UPDATE tasks SET not_before = {then}, hinted_at = NULL, batch = NULL", 50)
    assert 50 <= told(context)["quayline_oldest_due_seconds"]["trivial_work",] < 110
    aged("UPDATE tasks SET not_before = {then} WHERE job_id = %s", -50, job_id.hex)
    assert told(context)["quayline_oldest_due_seconds"]["trivial_work",] == 0


def test_containers_are_counted_by_host_and_state(context: Context) -> None:
    for name in ("big", "small"):
        hosts.add(name, "process://", slots=4, labels={})
    hosts.note_away("small", "gone")
    job_id = make.planned_job(context, tasks=4)
    claims = make.claimed(context, job_id)
    for claim in claims:
        with transaction():
            where = {"host": "big", "container": f"task-{claim.id}"}
            executions.place(claim.id, job_id, claim.attempt, **where)
    for claim in claims[1:]:
        executions.launched(claim.id, 1)
    executions.beat([executions.Beat(claims[1].id, 1, "box", "running", None)])
    aged("UPDATE executions SET heartbeat_at = {then} WHERE heartbeat_at IS NOT NULL", 70)
    with transaction():
        executions.ended(claims[-1].id, 1, exit_code=0)
    found = told(context)
    counted = {labels: number for labels, number in found["quayline_containers"].items() if number}
    assert counted == {
        ("big", "placed"): 1,
        ("big", "running"): len(claims) - 2,
        ("big", "ended"): 1,
    }
    assert found["quayline_containers"]["small", "running"] == 0
    assert 70 <= found["quayline_heartbeat_age_seconds"]["big",] < 130
    assert found["quayline_host_up"] == {("big",): 1, ("small",): 0}
    assert found["quayline_host_slots"] == {("big",): 4, ("small",): 4}


def test_dead_letters_are_counted_until_they_are_sent_again(context: Context) -> None:
    dead_letters._store("sql_analysis", [b"not JSON", b"neither"])
    assert told(context)["quayline_dead_letters"]["sql_analysis",] == 2
    with transaction():
        execute(f"UPDATE dead_letters SET replayed_at = {dialect().now}")
    assert told(context)["quayline_dead_letters"]["sql_analysis",] == 0


# --- What is counted as it happens ----------------------------------------------------------------


def counted(name: str, **labels: str) -> float:
    """Return how much this process has counted."""
    return metrics.begin().get_sample_value(name, {"kind": "trivial", **labels}) or 0.0


def test_ends_retries_and_losses_are_counted_once(context: Context) -> None:
    def now() -> dict[str, float]:
        ended = {"name": "quayline_tasks_ended_total"}
        return {
            "well": counted(**ended, state="succeeded", reason=""),
            "badly": counted(**ended, state="failed", reason="exit_code"),
            "cancelled": counted(**ended, state="cancelled", reason="cancelled"),
            "again": counted("quayline_task_retries_total", reason="crashed"),
            "lost": counted("quayline_lease_losses_total"),
            "jobs": counted("quayline_jobs_ended_total", state="cancelled", reason="cancelled"),
            "runs": counted("quayline_task_run_seconds_count"),
        }

    metrics.begin()
    before = now()
    job_id = make.planned_job(context, tasks=6)
    one, two, three, *rest = make.claimed(context, job_id)
    close = lambda *outcomes: transitions.close_tasks(job_id, outcomes, actor="w")  # noqa: E731
    for _ in range(2):  # told twice
        close(
            make.outcome(one),
            make.outcome(two, TaskState.PENDING)._replace(reason=Reason.CRASHED),
            make.outcome(three, TaskState.FAILED)._replace(reason=Reason.EXIT_CODE),
        )
    make.let_leases_lapse()
    sweep(context)
    lost = len(rest)
    assert transitions.request_cancel(job_id, actor="ann")
    transitions.close_pending(
        job_id, TaskState.CANCELLED, Reason.CANCELLED, "Cancelled.", actor="ann"
    )
    other = make.planned_job(context, tasks=2)
    make.work_off(other, context)
    found = {name: value - before[name] for name, value in now().items()}
    assert found == {
        **{"well": 1 + 2, "badly": 1, "again": 1, "lost": lost},
        **{"cancelled": 6 - 2, "jobs": 1, "runs": 2},
    }


def test_claim_that_was_lost_meanwhile_is_not_counted(context: Context) -> None:
    job_id = make.planned_job(context, tasks=1)
    [claim] = make.claimed(context, job_id)
    make.close(job_id, [claim])
    before = counted("quayline_tasks_ended_total", state="failed", reason="error")
    make.close(job_id, [claim], TaskState.FAILED)
    assert counted("quayline_tasks_ended_total", state="failed", reason="error") == before


def test_message_about_a_job_that_is_gone_counts_nothing(context: Context) -> None:
    metrics.begin()
    runner.run_batch(uuid.uuid4(), uuid.uuid4(), context)


def test_leader_and_lag_of_schedules_are_told(context: Context) -> None:
    clear()
    found = told(context)
    assert found["quayline_scheduler_leader"][()] == 0
    assert found["quayline_schedule_lag_seconds"][()] == 0
    assert firing.leads(context)
    made(context, "late", every_s=60)
    aged("UPDATE schedules SET next_fire_at = {then}", 100)
    found = told(context)
    assert found["quayline_scheduler_leader"][()] == 1
    assert 100 <= found["quayline_schedule_lag_seconds"][()] < 160
    with session():
        execute(f"UPDATE leases SET lease_until = {dialect().later('-1')}")
    assert told(context)["quayline_scheduler_leader"][()] == 0
    clear()


def test_health_is_told_as_it_was_found(context: Context) -> None:
    health.note({"storage": Finding(State.FAILED, "full"), "broker": Finding(State.OK, "")})
    found = told(context)
    states = {labels for labels, number in found["quayline_health"].items() if number}
    assert states == {("storage", "failed"), ("broker", "ok")}
    assert 0 <= found["quayline_health_age_seconds"]["storage",] < 60
