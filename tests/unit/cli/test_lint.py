"""``quayline lint``: exit codes, sources, formats and outputs, the gate and the baseline."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from pipeline.cli.asking import FailOn, Form
from pipeline.kinds.sql_lint.gate import FAIL_ON
from pipeline.kinds.sql_lint.reports import FORMATS


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
    return path


def test_clean_files_end_with_code_0(quayline, here):
    result = quayline("lint", "a", "-d", "ansi")
    assert result.exit_code == 0, result.output
    assert "Gate (fail on any): passed." in result.stdout


def test_violations_end_with_code_1_and_are_told_on_stdout(quayline, here):
    result = quayline("lint", ".", "-d", "ansi")
    assert result.exit_code == 1
    assert "== [b/dirty.sql] FAIL" in result.stdout
    assert "LT01" in result.stdout
    assert "\x1b[" not in result.output


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (["nowhere"], "There is no file or folder nowhere."),
        (["-", "a"], "- (standard input) stands alone."),
        (["a", "--config", "no.cfg"], "no.cfg"),
        (["a", "--baseline", "no.json"], "no.json"),
        (["a", "-f", "json", "-f", "html"], "2 formats need a folder"),
        (["a", "--label", "x"], "KEY=VALUE"),
        (["a", "--rules", "a;b"], "rules"),
        (["a", "--fail-on", "everything"], "everything"),
        (["a", "--format", "pdf"], "pdf"),
        (["a", "--priority", "10"], "--priority"),
    ],
)
def test_what_the_user_can_mend_is_a_sentence_and_code_2(quayline, here, told, sentence):
    result = quayline("lint", *told)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_damaged_archive_ends_with_code_2_and_its_sentence(quayline, here):
    Path("broken.zip").write_bytes(b"PK\x03\x04 and nothing more")
    result = quayline("lint", "broken.zip")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ") or "\nError: " in result.stderr


def test_nothing_linted_ends_with_code_2_whatever_the_gate(quayline, here):
    Path("a/clean.sql").write_text("crash")
    result = quayline("lint", "a", "-d", "ansi", "--fail-on", "none")
    assert result.exit_code == 2
    assert "None of the 1 files could be linted." in result.stderr


def test_some_files_not_linted_fail_the_gate(quayline, here):
    Path("a/other.sql").write_text("crash")
    assert quayline("lint", "a", "-d", "ansi").exit_code == 1
    assert quayline("lint", "a", "-d", "ansi", "--fail-on", "none").exit_code == 0


def test_a_folder_without_sql_is_clean_and_said(quayline, here):
    Path("empty").mkdir()
    result = quayline("lint", "empty")
    assert result.exit_code == 0, result.output
    assert "No SQL files were found there." in result.stderr


def test_an_unusable_setting_is_a_sentence(quayline, here, monkeypatch):
    monkeypatch.setenv("QUAYLINE_THREADS", "many")
    result = quayline("lint", "a")
    assert result.exit_code == 2
    assert "QUAYLINE_THREADS" in result.stderr


def test_a_database_that_is_away_is_a_sentence(quayline, here, monkeypatch):
    monkeypatch.setenv("QUAYLINE_DATABASE_URL", "postgresql://x:y@127.0.0.1:9/none")
    result = quayline("lint", "a")
    assert result.exit_code == 2
    assert "The database does not answer" in result.stderr
    assert "Traceback" not in result.output


def test_an_unexpected_error_shows_its_traceback_only_with_debug(quayline, here, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("surprise")

    monkeypatch.setattr("pipeline.producer.Client.lint", broken)
    short = quayline("lint", "a")
    assert (short.exit_code, "Traceback" in short.stderr) == (2, False)
    assert "surprise" in short.stderr
    assert "Traceback" in quayline("--debug", "lint", "a").stderr


def test_standard_input_is_linted_under_its_filename(quayline, here, engine):
    Path("b/.sqlfluff").write_text("[sqlfluff]\ndialect = mysql\n")
    result = quayline("lint", "-", "--stdin-filename", "b/new.sql", stdin="SELECT  1\n")
    assert result.exit_code == 1
    assert "== [b/new.sql] FAIL" in result.stdout
    assert "mysql" in json.dumps(engine.works[0].config)


def test_standard_input_without_a_name_is_sql(quayline, here):
    assert quayline("lint", "-", "-d", "ansi", stdin="SELECT 1\n").exit_code == 0
    odd = quayline("lint", "-", "-d", "ansi", "--stdin-filename", "x.txt", stdin="SELECT  1\n")
    assert "== [x.txt.sql] FAIL" in odd.stdout


def test_names_are_told_from_the_working_folder_also_through_dots(quayline, here, monkeypatch):
    monkeypatch.chdir(here / "a")
    result = quayline("lint", "../b", "-d", "ansi", "--format", "json")
    assert [file["filepath"] for file in json.loads(result.stdout)["files"]] == [
        "clean.sql",
        "dirty.sql",
    ]


def test_folders_and_files_are_one_job_and_each_archive_another(quayline, here):
    archive(Path("one.zip"), {"x.sql": "SELECT  1\n"})
    archive(Path("two.zip"), {"x.sql": "SELECT 1\n"})
    result = quayline("lint", "one.zip", "a", "b/clean.sql", "two.zip", "-d", "ansi")
    assert result.exit_code == 1
    heads = [line for line in result.stdout.splitlines() if line.startswith("# ")]
    assert heads == ["# one.zip", "# two.zip", "# a, clean.sql"]


def test_the_worst_of_several_jobs_decides_the_exit_code(quayline, here):
    archive(Path("bad.zip"), {"x.sql": "SELECT  1\n"})
    Path("broken.zip").write_bytes(b"PK\x03\x04")
    assert quayline("lint", "bad.zip", "a", "-d", "ansi").exit_code == 1
    assert quayline("lint", "bad.zip", "broken.zip", "-d", "ansi").exit_code == 2


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in ("fixed", "text")])
def test_a_machine_format_has_standard_output_for_itself(quayline, here, form):
    result = quayline("lint", "b", "-d", "ansi", "--format", form)
    assert result.exit_code == 1, result.output
    assert "Gate (fail on any): FAILED." not in result.stdout
    assert "Gate (fail on any): FAILED." in result.stderr
    if form in ("json", "sarif", "gitlab"):
        json.loads(result.stdout)


def test_several_formats_go_to_a_folder_under_their_suffixes(quayline, here, tmp_path):
    result = quayline(
        "lint", "b", "-d", "ansi", "-f", "json", "-f", "sarif", "-o", tmp_path / "out"
    )
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "report.json",
        "report.sarif",
    ]
    assert f"Report: {tmp_path / 'out' / 'report.sarif'}" in result.stdout
    assert "Gate" in result.stdout


def test_a_format_may_have_an_output_of_its_own(quayline, here, tmp_path):
    x, y = tmp_path / "x", tmp_path / "y"
    assert quayline("lint", "a", "-d", "ansi", "-f", "json", "-o", x, "-f", "csv", "-o", y)
    assert json.loads(x.read_text())["files"]
    assert "clean.sql" not in y.read_text().splitlines()[0]


def test_a_file_name_tells_the_format(quayline, here, tmp_path):
    quayline("lint", "b", "-d", "ansi", "-o", tmp_path / "report.sarif")
    assert json.loads((tmp_path / "report.sarif").read_text())["version"] == "2.1.0"


def test_several_jobs_have_a_folder_each(quayline, here, tmp_path):
    archive(Path("one.zip"), {"x.sql": "SELECT 1\n"})
    (here / "c").mkdir()
    archive(Path("c/one.zip"), {"y.sql": "SELECT 1\n"})
    quayline("lint", "one.zip", "c/one.zip", "-d", "ansi", "-f", "json", "-o", tmp_path / "out")
    assert (tmp_path / "out/one.zip/report.json").is_file()
    assert (tmp_path / "out/one.zip-2/report.json").is_file()


def test_an_output_that_cannot_be_written_is_a_sentence(quayline, here):
    Path("file").write_text("")
    result = quayline("lint", "a", "-d", "ansi", "-f", "json", "-o", "file/report.json")
    assert result.exit_code == 2
    assert "file" in result.stderr
    assert "Traceback" not in result.output


def test_the_fixed_sql_needs_no_second_option(quayline, here, engine, tmp_path):
    quayline("lint", "b", "-d", "ansi", "-f", "fixed", "-o", tmp_path / "fixed.zip")
    assert all(work.fix for work in engine.works)
    content = zipfile.ZipFile(io.BytesIO((tmp_path / "fixed.zip").read_bytes()))
    assert content.read("b/dirty.sql") == b"SELECT 1\nFROM t\n"


def test_what_a_baseline_knows_does_not_fail_and_what_is_new_does(quayline, here, tmp_path):
    baseline = tmp_path / "known.json"
    first = quayline("lint", ".", "-d", "ansi", "--write-baseline", baseline)
    assert first.exit_code == 1
    assert f"Baseline of 2 violations: {baseline}" in first.stderr
    known = ("lint", ".", "-d", "ansi", "--baseline", baseline, "--fail-on", "new")
    assert quayline(*known).exit_code == 0
    Path("a/clean.sql").write_text("SELECT  3\n")
    Path("b/dirty.sql").write_text("\n\nSELECT  1\nFROM  t\n")
    again = quayline(*known)
    assert again.exit_code == 1
    assert "== [a/clean.sql] FAIL" in again.stdout


def test_quiet_leaves_the_report_alone(quayline, here):
    result = quayline("lint", "b", "-d", "ansi", "-q")
    assert result.stderr == ""
    assert "LT01" in result.stdout


def test_options_reach_the_engine(quayline, here, engine):
    quayline("lint", "a", "-d", "ansi", "-r", "LT01", "-e", "LT02", "-t", "raw", "--disable-noqa")
    document = json.dumps(engine.works[0].config)
    assert all(word in document for word in ("ansi", "LT01", "LT02", "raw", "disable_noqa"))


def test_local_configuration_counts_unless_it_is_ignored(quayline, here, home, engine):
    (home / ".sqlfluff").write_text("[sqlfluff]\nmax_line_length = 77\n")
    Path(".sqlfluff").write_text("[sqlfluff]\ndialect = mysql\n")
    Path(".sqlfluffignore").write_text("dirty.sql\n")
    quayline("lint", "b")
    assert {work.name for work in engine.works} == {"b/clean.sql"}
    assert "mysql" in json.dumps(engine.works[0].config)
    assert "77" in json.dumps(engine.works[0].config)
    engine.works.clear()
    quayline("lint", "b", "-d", "ansi", "--ignore-local-config", "--no-cache")
    assert {work.name for work in engine.works} == {"b/clean.sql"}
    assert "mysql" not in json.dumps(engine.works[0].config)
    assert "77" not in json.dumps(engine.works[0].config)


def test_results_are_reused_unless_no_cache_is_said(quayline, here, engine):
    quayline("lint", "a", "-d", "ansi")
    quayline("lint", "a", "-d", "ansi")
    assert len(engine.works) == 1
    quayline("lint", "a", "-d", "ansi", "--no-cache")
    assert len(engine.works) == 2


def test_the_choices_are_those_of_the_library():
    assert set(Form) == set(FORMATS)
    assert set(map(str, FailOn)) == set(map(str, FAIL_ON))
