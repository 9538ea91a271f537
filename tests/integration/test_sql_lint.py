"""The main job, embedded and whole: an archive in, violations, reports and a verdict out."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import Client, Job
from pipeline.errors import Refused, WaitTimeout
from pipeline.settings import Settings
from pipeline.states import Reason
from tests.unit.adapters.archives.kit import CASES, Case

SHOP = Path(__file__).parent.parent / "samples" / "shop"
CLEAN = b"SELECT a FROM b\n"
DIRTY = b"select a  from b\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("state")
    told = Settings(
        state_dir=folder, backoff_s=0.1, lint_time_limit_s=3, lint_memory_limit_bytes=512 * 2**20
    )
    with Client(told) as opened:
        yield opened


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def failed_gate(job: Job) -> bool:
    """Tell what the verdict of an ended job says."""
    verdict = job.verdict()
    assert verdict is not None
    return bool(verdict["failed"])


def told_by_sqlfluff(folder: Path, *options: str) -> dict[str, list[dict[str, object]]]:
    command = [sys.executable, "-m", "sqlfluff", "lint", ".", "--format", "json", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=100)
    return {str(Path(each["filepath"])): each["violations"] for each in json.loads(done.stdout)}


def test_shop_is_linted_as_sqlfluff_does_it(client: Client) -> None:
    job = client.lint(SHOP).wait(90)
    ours = {
        file.path: [
            {key: value for key, value in each.items() if key != "fixable"}
            for each in file.violations
        ]
        for file in job.results()
    }
    theirs = told_by_sqlfluff(SHOP)
    assert theirs
    assert ours == theirs
    assert job.status == "succeeded"


def test_files_of_one_name_in_two_folders_are_two_files(client: Client) -> None:
    job = client.lint(zip_of({"a/x.sql": CLEAN, "b/x.sql": DIRTY}), dialect="ansi").wait(60)
    assert [(file.path, bool(file.violations)) for file in job.results()] == [
        ("a/x.sql", False),
        ("b/x.sql", True),
    ]


def test_cached_result_equals_the_fresh_one_and_travels_in_no_message(client: Client) -> None:
    files = {"q.sql": b"select cached  from t\n"}
    first = client.lint(zip_of(files), dialect="ansi", cache=False).wait(60)
    second = client.lint(zip_of(files), dialect="ansi").wait(60)
    third = client.lint(zip_of(files), dialect="ansi", cache=False).wait(60)
    one, two, three = (next(iter(job.results())) for job in (first, second, third))
    assert one.result == two.result == three.result
    assert (one.cached, two.cached, three.cached) == (False, True, False)
    assert "running" not in {e["to_state"] for e in second.events() if e["subject"] == "tasks"}


def test_other_configuration_is_another_result(client: Client) -> None:
    files = {"q.sql": b"select other  from t\n"}
    client.lint(zip_of(files), dialect="ansi").wait(60)
    job = client.lint(zip_of(files), dialect="ansi", rules="LT01").wait(60)
    [file] = job.results()
    assert not file.cached
    assert {each["code"] for each in file.violations} == {"LT01"}


def test_empty_archive_succeeds_with_nothing_to_do(client: Client) -> None:
    job = client.lint(zip_of({}), dialect="ansi").wait(60)
    assert (job.status, job.progress().total) == ("succeeded", 0)


def test_missing_dialect_fails_each_file_with_a_sentence(client: Client) -> None:
    job = client.lint(zip_of({"a.sql": CLEAN, "b.sql": CLEAN})).wait(60)
    assert job.status == "failed"
    assert {file.reason for file in job.results()} == {Reason.BAD_CONFIG}
    assert "dialect" in next(iter(job.results())).message


def test_sqlfluffignore_and_other_suffixes_are_left_out(client: Client) -> None:
    files = {
        ".sqlfluffignore": b"old/\n",
        "old/a.sql": DIRTY,
        "new/a.sql": CLEAN,
        "new/notes.txt": b"hello",
    }
    job = client.lint(zip_of(files), dialect="ansi").wait(60)
    assert [file.path for file in job.results()] == ["new/a.sql"]


def test_refused_configuration_is_a_warning_in_the_report(client: Client) -> None:
    files = {".sqlfluff": b"[sqlfluff]\nlibrary_path = lib\ndialect = ansi\n", "a.sql": CLEAN}
    job = client.lint(zip_of(files)).wait(60)
    report = json.loads(job.report("json"))
    assert "library_path" in str(report["job"]["warnings"])
    assert job.status == "succeeded"


def test_hostile_files_cost_themselves_only(client: Client) -> None:
    files = {
        "hang.sql": b"SELECT t0.a FROM t0\n"
        + b"".join(b"INNER JOIN t%d ON t%d.a = t%d.a\n" % (n, n, n - 1) for n in range(1, 1601)),
        "eat.sql": b"SELECT '{{ 'a' * 2000000000 }}'\n",
        "binary.sql": bytes(range(256)) * 8,
        "good.sql": CLEAN,
    }
    job = client.lint(zip_of(files), dialect="ansi").wait(90)
    ends = {file.path: (file.state, file.reason) for file in job.results()}
    assert ends["good.sql"][0] == "succeeded"
    assert ends["hang.sql"] == ("timed_out", "time_limit")
    assert ends["eat.sql"] == ("failed", "out_of_memory")
    assert ends["binary.sql"] == ("failed", "unreadable")
    assert job.status == "partial"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_hostile_archive_ends_typed_and_loses_no_neighbour(client: Client, case: Case) -> None:
    job = client.lint(case.build(), dialect="ansi", reports=["json"]).wait(60)
    info = job.info()
    if case.limits == Case("", bytes).limits and case.whole is not None:
        assert (job.status, info["reason"]) == ("failed", case.whole)
        assert info["message"].endswith(".")
    if case.limits == Case("", bytes).limits and case.whole is None:
        ends = {file.path: file.reason for file in job.results()}
        expected = {
            name: reason
            for name, reason in case.entries.items()
            if name.lower().endswith((".sql", ".ddl", ".dml", ".sql.j2"))
        }
        for name, reason in expected.items():
            if reason is not None:
                assert ends[name] == reason
            else:
                assert ends[name] in (None, Reason.REUSED, Reason.UNREADABLE)
    assert "Traceback" not in str(info)


def test_baseline_lets_only_new_violations_fail_the_gate(client: Client) -> None:
    before = client.lint(zip_of({"a.sql": DIRTY}), dialect="ansi").wait(60)
    assert failed_gate(before)
    baseline = before.baseline()
    moved = {"a.sql": b"\n\n" + DIRTY}
    options: dict[str, Any] = {
        "dialect": "ansi",
        "baseline": baseline,
        "fail_on": "new",
        "rules": "LT01",
    }
    same = client.lint(zip_of({"a.sql": DIRTY}), **options).wait(60)
    later = client.lint(zip_of(moved), **options).wait(60)
    worse = {"a.sql": DIRTY + b"SELECT b  FROM c\n"}
    more = client.lint(zip_of(worse), **options).wait(60)
    failed = [failed_gate(job) for job in (same, later, more)]
    assert failed == [False, False, True]


def test_fix_gives_the_fixed_sql_and_a_diff(client: Client) -> None:
    job = client.lint(zip_of({"d/a.sql": DIRTY, "b.sql": CLEAN}), dialect="ansi", fix=True)
    job.wait(60)
    with zipfile.ZipFile(io.BytesIO(job.report("fixed"))) as fixed:
        assert fixed.namelist() == ["d/a.sql"]
        assert fixed.read("d/a.sql") == b"select a from b\n"
    assert b"+++ b/d/a.sql" in job.report("diff")


def test_cancel_stops_a_running_lint(client: Client) -> None:
    loop = b"{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}"
    job = client.lint(zip_of({f"{n}.sql": loop + b"%d" % n for n in range(20)}), dialect="ansi")
    with pytest.raises(WaitTimeout):
        job.wait(1)
    assert job.cancel()
    job.wait(20)
    assert job.status == "cancelled"


def test_deadline_times_a_running_lint_out(client: Client) -> None:
    loop = b"{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}"
    files = {f"{n}.sql": loop + b"%d" % n for n in range(20)}
    job = client.lint(zip_of(files), dialect="ansi", deadline_s=1).wait(30)
    assert (job.status, job.info()["reason"]) == ("timed_out", "deadline")


def test_sources_of_every_form_are_taken(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.sql").write_bytes(CLEAN)
    whole = tmp_path / "models.zip"
    whole.write_bytes(zip_of({"a.sql": CLEAN}))
    sources: list[Any] = [
        folder,
        str(folder / "a.sql"),
        [folder / "a.sql"],
        whole,
        whole.read_bytes(),
        io.BytesIO(whole.read_bytes()),
        {"a.sql": CLEAN},
    ]
    for source in sources:
        job = client.lint(source, dialect="ansi").wait(60)
        assert [file.path for file in job.results()] == ["a.sql"]


def test_callers_faults_are_refused_before_anything_is_stored(
    client: Client, tmp_path: Path
) -> None:
    jobs = len(client.jobs(limit=1000))
    with pytest.raises(Refused):
        client.lint(tmp_path / "nothing.zip")
    with pytest.raises(Refused):
        client.lint({"a.sql": CLEAN}, dialect="no such dialect!")
    with pytest.raises(Refused):
        client.lint({"a.sql": CLEAN}, fail_on="sometimes")
    with pytest.raises(Refused):
        client.lint({"a.sql": CLEAN}, baseline=b"nonsense")
    assert len(client.jobs(limit=1000)) == jobs


def test_settings_and_config_say_what_counts_as_sql_in_a_folder(
    client: Client, tmp_path: Path
) -> None:
    for name in ("a.sql", "b.pgsql"):
        (tmp_path / name).write_bytes(CLEAN)
    config = b"[sqlfluff]\ndialect = ansi\nsql_file_exts = .pgsql\n"
    job = client.lint(tmp_path, config=config).wait(60)
    assert [file.path for file in job.results()] == ["b.pgsql"]


def test_every_report_can_be_had_of_an_ended_job(client: Client) -> None:
    job = client.lint(SHOP).wait(90)
    for name in ("json", "sarif", "junit", "gitlab", "github", "csv", "text", "html", "diff"):
        assert job.report(name) or name == "diff"
    with pytest.raises(Refused):
        job.report("pdf")
