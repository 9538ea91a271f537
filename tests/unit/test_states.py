"""The tables of the allowed moves."""

from pipeline.states import JOB_MOVES, TASK_MOVES, TERMINAL_JOB, TERMINAL_TASK, JobState, TaskState


def test_what_ended_moves_nowhere() -> None:
    assert set(TASK_MOVES) == set(TaskState) - TERMINAL_TASK
    assert set(JOB_MOVES) == set(JobState) - TERMINAL_JOB


def test_every_open_state_can_end_in_every_way() -> None:
    assert all(moves >= TERMINAL_TASK for moves in TASK_MOVES.values())
    assert all(moves >= TERMINAL_JOB for moves in JOB_MOVES.values())


def test_a_task_may_run_again_and_a_job_may_not() -> None:
    assert TaskState.PENDING in TASK_MOVES[TaskState.RUNNING]
    assert JobState.PENDING not in JOB_MOVES[JobState.RUNNING]
