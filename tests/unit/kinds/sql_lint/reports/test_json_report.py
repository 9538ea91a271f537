"""JSON: SQLFluff's records, plus what only the job knows."""

import json

from tests.unit.kinds.sql_lint.reports import kit


def test_file_has_sqlfluffs_fields_and_the_tasks():
    document = json.loads(kit.written("json", kit.small()))
    assert document["job"]["state"] == "partial"
    first = document["files"][0]
    assert list(first)[:4] == ["filepath", "violations", "statistics", "timings"]
    assert first["violations"] == next(iter(kit.small().files())).violations
    assert [file["state"] for file in document["files"]] == [
        "succeeded",
        "succeeded",
        "timed_out",
        "failed",
        "cancelled",
        "skipped",
    ]
    assert document["files"][1]["cached"] is True
    assert document["files"][2]["message"] == "It took longer than 60 s."
    assert "new" not in first


def test_new_violations_are_listed_when_a_baseline_was_given():
    file = kit.linted("a.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
    (record,) = json.loads(kit.written("json", kit.report([file])))["files"]
    assert record["new"] == [1]


def test_hostile_texts_come_back_as_they_were():
    source = kit.hostile()
    text = kit.written("json", source)
    assert text.isascii()
    document = json.loads(text)
    file = next(iter(source.files()))
    assert document["files"][0]["filepath"] == file.path
    assert document["files"][0]["violations"] == file.violations


def test_empty_job_is_a_list_without_files():
    assert json.loads(kit.written("json", kit.report()))["files"] == []
