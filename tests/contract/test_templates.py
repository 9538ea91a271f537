"""A version is never changed: made twice at once, asked for twice, retired in between."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.core import jobs, storage_check
from pipeline.core.context import Context
from pipeline.core.templates import book, rows, submitting
from pipeline.core.templates.spec import TemplateJob, TemplateRequest
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.store.database import execute, session
from tests.support import factories as make
from tests.support.templates import BODY, clear, made


@pytest.fixture(autouse=True)
def _none(context: Context) -> Iterator[None]:
    clear()
    yield
    clear()


def submit(context: Context, ref: str, key: str | None = None, **values: Any) -> uuid.UUID:
    asked = TemplateJob(variables=values)
    return submitting.submit(ref, asked, context, owner="ann", idempotency_key=key)


def test_job_is_submitted_with_the_values_and_names_its_version(context: Context) -> None:
    made(context, labels={"team": "web", "from": "template"}, priority=7, deadline_s=60)
    asked = TemplateJob(variables={"tasks": 3}, labels={"from": "job"}, priority=1)
    job_id = submitting.submit("count", asked, context, owner="bob")
    job = jobs.get(job_id)
    assert (job.kind, job.parameters) == ("trivial", {"tasks": 3, "pause_s": 0.5})
    assert (job.owner, job.priority, job.source) == ("bob", 1, {"name": "count@1"})
    assert job.labels == {"team": "web", "from": "job", "template": "count@1"}
    assert job.deadline_at is not None
    assert make.take_messages() == [("plan_trivial", (str(job_id),))]


def test_new_version_is_used_and_the_old_one_stays_as_it_was(context: Context) -> None:
    first = made(context)
    second = made(context, priority=9)
    assert (first.version, second.version) == (1, 2)
    assert rows.get("count") == second
    assert rows.get("count@1") == first
    assert [jobs.get(submit(context, ref, tasks=1)).priority for ref in ("count", "count@1")] == [
        *(9, 5),
    ]
    assert [each.ref for each in rows.versions("count")] == ["count@2", "count@1"]


def test_same_again_is_no_new_version(context: Context) -> None:
    first = made(context)
    assert made(context) == first
    assert made(context, description="other").version == 2
    assert made(context).version == 3, "not the newest one"


def test_makers_at_the_same_time_get_a_version_each(context: Context) -> None:
    together = threading.Barrier(8)
    found: list[int] = []

    def create(number: int) -> None:
        together.wait()
        found.extend(made(context, description=f"{number} {n}").version for n in range(5))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 41))
    assert len({each.description for each in rows.versions("count")}) == 40


def test_retired_version_is_used_no_more(context: Context) -> None:
    made(context)
    made(context, priority=9)
    assert book.retire("count@2") == ["count@2"]
    assert book.retire("count@2") == []
    assert rows.get("count").version == 1
    with pytest.raises(Refused, match="is retired"):
        submit(context, "count@2", tasks=1)
    assert [each.ref for each in rows.listed()] == ["count@1"]
    assert book.retire("count") == ["count@1"]
    with pytest.raises(NotFound, match="Every version"):
        submit(context, "count", tasks=1)
    assert rows.listed() == []
    assert made(context).version == 3, "numbers are not used again"
    for gone in ("none", "count@9"):
        with pytest.raises(NotFound):
            book.retire(gone)


def test_version_that_is_retired_in_the_same_moment_makes_no_job(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(context)
    fill = submitting.filled

    def late(*told: Any) -> submitting.Filled:
        found = fill(*told)
        book.retire("count")
        return found

    monkeypatch.setattr(submitting, "filled", late)
    with pytest.raises(Refused, match="is retired"):
        submit(context, "count", tasks=1)
    assert jobs.listed() == []


def test_request_that_is_repeated_is_its_job_whatever_versions_came(context: Context) -> None:
    made(context)
    job_id = submit(context, "count", "key", tasks=1)
    made(context, priority=9)
    assert submit(context, "count", "key", tasks=1) == job_id
    book.retire("count@1")
    assert submit(context, "count", "key", tasks=1) == job_id
    book.retire("count")
    assert submit(context, "count", "key", tasks=1) == job_id
    with pytest.raises(Conflict):
        submit(context, "count", "key", tasks=2)
    assert len(jobs.listed()) == 1


def test_request_that_came_twice_with_a_new_version_between_is_one_job(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one had looked for the key before the first one's job was there."""
    made(context)
    job_id = submit(context, "count", "key", tasks=1)
    made(context, priority=9)
    look = submitting._used_before
    answers: list[Callable[..., str | None]] = [lambda *_: None]
    monkeypatch.setattr(
        submitting, "_used_before", lambda *told: (answers.pop() if answers else look)(*told)
    )
    assert submit(context, "count", "key", tasks=1) == job_id
    assert len(jobs.listed()) == 1


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"kind": "gone"}, "no kind of job"),
        ({"kind": None}, "Name the kind"),
        ({"parameters": {"task": {"$var": "tasks"}}}, "parameters.task: "),
        ({"parameters": {"tasks": {"$var": "number"}}}, "not declared"),
        ({"parameters": {"tasks": "x"}, "variables": {}}, "parameters.tasks: "),
        ({"parameters": {"tasks": 1, "pause_s": "y" * 2**20}}, "larger than"),
        ({"kind": "sql_lint", "parameters": {}, "variables": {}}, "needs a stored source"),
    ],
)
def test_template_of_which_no_job_could_be_made_is_not_stored(
    context: Context, told: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        made(context, **told)
    assert rows.listed() == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "needs the variable tasks"),
        ({"tasks": "3"}, "type integer"),
        ({"tasks": 101}, "more than 100"),
        ({"tasks": 1, "x": 1}, "no variable 'x'"),
    ],
)
def test_job_with_a_wrong_value_is_not_submitted(
    context: Context, values: dict[str, Any], why: str
) -> None:
    made(context)
    with pytest.raises(Refused, match=why):
        submit(context, "count", **values)
    assert jobs.listed() == []


def test_values_are_checked_by_the_kind_too(context: Context) -> None:
    made(context, variables={**BODY["variables"], "tasks": {"type": "string"}})
    with pytest.raises(Refused, match=r"parameters.tasks: "):
        submit(context, "count", tasks="many")
    assert jobs.listed() == []


@pytest.mark.parametrize("ref", ["", "a/b", "a@", "a@0", "a@x", "@1", "a@1@2"])
def test_name_that_is_none_is_refused(context: Context, ref: str) -> None:
    with pytest.raises(Refused, match="NAME@VERSION"):
        rows.get(ref)


@pytest.mark.parametrize("bent", ["parameters = 'x'", "variables = '[]'", "labels = '1'"])
def test_row_that_nobody_reads_costs_itself(context: Context, bent: str) -> None:
    made(context, "broken")
    made(context, "other")
    with session():
        execute(f"UPDATE templates SET {bent} WHERE name = 'broken'")
    assert [each.name for each in rows.listed()] == ["other"]


def test_source_is_kept_as_long_as_the_version_is_used(context: Context) -> None:
    blob = context.blobs.put(b"PK, or something like it")
    source = {"name": "shop.zip", "digest": blob.digest, "blobs": [blob.digest]}
    told = {"dialect": "ansi", "config": "a ${x}"}
    job_id = jobs.submit(jobs.Submission(kind="sql_lint", parameters=told, source=source))
    book.create(TemplateRequest(name="lint", from_job=job_id), context)
    with session():
        execute("DELETE FROM events")
        execute("DELETE FROM jobs")
    # The job is gone; its source is the template's now.
    assert storage_check.clean(context.blobs, remove=True, grace_s=-60).removed == 0
    job = jobs.get(submit(context, "lint"))
    assert (job.kind, job.parameters, job.source) == ("sql_lint", told, source)
    with session():
        execute("DELETE FROM events")
        execute("DELETE FROM jobs")
    book.retire("lint")
    assert storage_check.clean(context.blobs, remove=True, grace_s=-60).removed == 1
