"""The constraints of the database name exactly the states of the code."""

import importlib.util
import re
from types import ModuleType

import pytest

from pipeline.states import TERMINAL_JOB, TERMINAL_TASK, JobState, TaskState
from pipeline.store.schema import MIGRATIONS


@pytest.fixture(scope="module")
def machine() -> ModuleType:
    """The first migration; its name begins with a number, so it is no module to import."""
    spec = importlib.util.spec_from_file_location("machine", MIGRATIONS / "001_machine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(sql: str) -> list[str]:
    return sorted(re.findall(r"'(\w+)'", sql))


@pytest.mark.parametrize(("table", "states"), [("jobs", JobState), ("tasks", TaskState)])
def test_the_state_column_takes_every_state_and_no_other(
    machine: ModuleType, table: str, states: type[JobState] | type[TaskState]
) -> None:
    [create] = [sql for sql in machine.TABLES if f"CREATE TABLE {table} (" in sql]
    [check] = re.findall(r"state TEXT NOT NULL CHECK \(state IN \(([^)]*)\)\)", create)
    assert words(check) == sorted(states)


def test_open_and_ended_are_what_the_code_calls_so(machine: ModuleType) -> None:
    assert words(machine.JOB_ENDED) == sorted(TERMINAL_JOB)
    assert words(machine.JOB_OPEN) == sorted(set(JobState) - TERMINAL_JOB)
    assert words(machine.TASK_ENDED) == sorted(TERMINAL_TASK)


def test_every_state_that_a_statement_names_is_a_state(machine: ModuleType) -> None:
    statements = [*machine.TABLES, *machine.POSTGRES_TRIGGERS, *machine.SQLITE_TRIGGERS]
    for statement in statements:
        for named in re.findall(r"state (?:=|<>|IN) \(?('\w+'(?:,\s*'\w+')*)", statement):
            assert set(words(named)) <= {*JobState, *TaskState}, statement


def test_ended_tasks_are_counted_in_columns_of_their_jobs(machine: ModuleType) -> None:
    jobs = machine.TABLES[0]
    assert all(f"{state} INTEGER NOT NULL" in jobs for state in TERMINAL_TASK)
