"""What rows hold is read as this version's, or the job and the task end with a reason: at once, in
a sentence, alone."""

import json
import logging
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.adapters.sqlfluff.pool import LintReply, LintWork
from pipeline.core import finishing, jobs, planning
from pipeline.core.context import Context, close_context, open_context
from pipeline.core.jobs import Submission
from pipeline.errors import Permanent
from pipeline.kinds.sql_lint import work
from pipeline.kinds.sql_lint.source import as_stream
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.settings import Settings
from pipeline.states import TERMINAL_JOB, JobState, Reason, TaskState
from pipeline.store.database import execute, session
from tests.support import factories as make
from tests.unit.test_fuzz import anything, bent, dear_fuzz

FILES = {"a.sql": b"SELECT 1\n", "b.sql": b"SELECT 2\n", ".sqlfluff": b"[sqlfluff]\n"}
ATTEMPTS = 2


class Child:
    """A lint child that finds nothing."""

    def lint_each(
        self, works: Iterable[LintWork], *, cancelled: Callable[[], bool]
    ) -> Generator[LintReply, None, None]:
        for told in works:
            assert told.data in FILES.values()
            assert isinstance(told.config, dict)
            yield LintReply(None, "", {"violations": []}, 0.0)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    told = Settings(
        state_dir=tmp_path_factory.mktemp("state"), backoff_s=0.0, max_attempts=ATTEMPTS
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "lint_pool", lambda _context: Child())
        yield open_context(told)
        close_context()


@pytest.fixture
def tracebacks(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged with a traceback."""
    caplog.set_level(logging.WARNING)
    return lambda: [each.getMessage() for each in caplog.records if each.exc_info]


def submitted(context: Context) -> uuid.UUID:
    """Submit the files."""
    with as_stream(FILES) as stream:
        blob = context.blobs.put(stream.file)
    parameters = LintParameters(dialect="ansi", cache=False, reports=["json"])
    source = {"name": "x", "digest": blob.digest, "blobs": [blob.digest]}
    return jobs.submit(Submission("sql_lint", parameters.model_dump(mode="json"), source))


def put(table: str, column: str, row_id: uuid.UUID, text: str) -> None:
    """Put the text where the row has a document."""
    with session():
        execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", text, row_id.hex)


def run(job_id: uuid.UUID, context: Context) -> None:
    """Plan the job, do what is due of it, write its reports."""
    planning.run_plan(job_id, context)
    for _ in range(ATTEMPTS):
        make.work_off(job_id, context)
    finishing.run_finish(job_id, context)
    make.take_messages()


def as_text(documents: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return documents.map(lambda each: json.dumps(each))


def bent_text(whole: dict[str, Any]) -> st.SearchStrategy[str]:
    """Return texts that began as this document in JSON, and documents that differ in a part."""
    parts = st.dictionaries(st.sampled_from(sorted(whole)), anything, max_size=2)
    raw = bent(json.dumps(whole).encode()).map(lambda each: each.decode("utf-8", "replace"))
    return (
        raw.map(lambda each: each.replace("\0", ""))
        | as_text(anything)
        | as_text(parts.map(lambda told: {**whole, **told}))
        | as_text(st.sampled_from(sorted(whole)).map(lambda gone: {**whole, gone: None}))
    )


PARAMETERS = LintParameters(dialect="ansi").model_dump(mode="json")
SOURCE = {"name": "x", "size_bytes": 1, "digest": "0" * 64, "blobs": ["0" * 64]}
PLACE = {"blobs": ["0" * 64, "1" * 64], "at": 0, "length": 9, "key": "2" * 64}


@dear_fuzz
@given(st.sampled_from(["source", "parameters"]), st.data())
def test_job_with_another_document_ends_in_one_run_with_a_sentence(
    context: Context, tracebacks: Callable[[], list[str]], column: str, data: st.DataObject
) -> None:
    job_id = submitted(context)
    text = data.draw(bent_text(SOURCE if column == "source" else PARAMETERS))
    put("jobs", column, job_id, text)
    run(job_id, context)
    assert tracebacks() == []
    with session():
        [(state, reason, message, finalized)] = execute(
            "SELECT state, reason, message, finalized_at FROM jobs WHERE id = %s", job_id.hex
        )
    assert state in TERMINAL_JOB
    assert finalized
    if state == JobState.FAILED:
        assert reason in set(Reason)
        assert message.endswith(".")


@dear_fuzz
@given(bent_text(PLACE))
@example("[" * 100_000)
@example(json.dumps({**PLACE, "blobs": ["../../../etc/passwd", "1" * 64]}))
@example(json.dumps({**PLACE, "form": 2, "pack": {"at": 1}}))
def test_task_with_another_payload_ends_typed_and_its_neighbour_well(
    context: Context, tracebacks: Callable[[], list[str]], text: str
) -> None:
    job_id = submitted(context)
    planning.run_plan(job_id, context)
    bad, good = map(uuid.UUID, make.task_ids(job_id))
    put("tasks", "payload", bad, text)
    run(job_id, context)
    assert tracebacks() == []
    told = {each["id"]: each for each in jobs.tasks(job_id)}
    told = {uuid.UUID(str(task_id)): each for task_id, each in told.items()}
    assert told[good]["state"] == TaskState.SUCCEEDED
    assert told[bad]["state"] == TaskState.FAILED
    assert told[bad]["reason"] in {Reason.CORRUPT, Reason.STORAGE}
    assert told[bad]["message"].endswith(".")
    assert jobs.get(job_id).state == JobState.PARTIAL


@pytest.mark.parametrize("at", [1, 7, 10**30])
def test_place_beside_the_file_costs_that_task_alone(
    context: Context, tracebacks: Callable[[], list[str]], at: int
) -> None:
    job_id = submitted(context)
    planning.run_plan(job_id, context)
    bad, _ = map(uuid.UUID, make.task_ids(job_id))
    with session():
        [(text,)] = execute("SELECT payload FROM tasks WHERE id = %s", bad.hex)
    put("tasks", "payload", bad, json.dumps({**json.loads(text), "at": at}))
    run(job_id, context)
    assert tracebacks() == []
    assert {each["reason"] for each in jobs.tasks(job_id)} == {Reason.CORRUPT, None}


@pytest.mark.parametrize("column", ["parameters", "source"])
def test_row_that_is_no_json_after_the_plan_ends_the_tasks_and_the_job(
    context: Context, tracebacks: Callable[[], list[str]], column: str
) -> None:
    job_id = submitted(context)
    planning.run_plan(job_id, context)
    put("jobs", column, job_id, "{")
    run(job_id, context)
    assert tracebacks() == []
    with pytest.raises(Permanent, match="no JSON"):
        jobs.get(job_id)
    with session():
        [told] = execute("SELECT state, finalized_at FROM jobs WHERE id = %s", job_id.hex)
    assert told[0] == JobState.FAILED
    assert told[1] is not None


def test_cancel_ends_a_job_that_cannot_be_read(context: Context) -> None:
    job_id = submitted(context)
    put("jobs", "parameters", job_id, "{")
    assert jobs.cancel(job_id, actor="ann")
    with session():
        [(state,)] = execute("SELECT state FROM jobs WHERE id = %s", job_id.hex)
    assert state == JobState.CANCELLED
    make.take_messages()


@pytest.mark.parametrize(
    ("column", "text"),
    [("parameters", "[]"), ("parameters", '{"dialekt": "x"}'), ("labels", "3"), ("source", "[1]")],
)
def test_job_of_another_version_is_not_run_again(context: Context, column: str, text: str) -> None:
    job_id = submitted(context)
    jobs.cancel(job_id, actor="ann")
    put("jobs", column, job_id, text)
    with pytest.raises(Permanent, match=f"{column}.* submit the job again") as told:
        jobs.retry(job_id, Settings(), actor="ann")
    assert told.value.reason == Reason.CORRUPT
    make.take_messages()


def test_reports_of_another_versions_parameters_say_why(context: Context, tmp_path: Path) -> None:
    job_id = submitted(context)
    run(job_id, context)
    put("jobs", "parameters", job_id, '{"fail_on": "never"}')
    from pipeline.kinds.sql_lint.finish import lint_report

    with pytest.raises(Permanent, match=r"parameters\.fail_on"):
        lint_report(jobs.get(job_id), context.blobs)
