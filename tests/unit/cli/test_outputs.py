"""Where reports go, and that a file is whole or as it was."""

from typing import Any

import pytest

from pipeline.cli.outputs import Output, planned_outputs, whole_file
from pipeline.cli.paint import painted
from pipeline.errors import Refused


def test_text_goes_to_standard_output_when_nothing_is_said():
    assert planned_outputs([], []) == [[Output("text", None)]]


def test_a_dash_is_standard_output(tmp_path):
    assert planned_outputs(["json"], ["-"]) == [[Output("json", None)]]


def test_one_format_to_a_folder_takes_its_suffix(tmp_path):
    [[output]] = planned_outputs(["junit"], [str(tmp_path)])
    assert output.path == tmp_path / "report.junit.xml"
    [[output]] = planned_outputs(["junit"], [f"{tmp_path}/new/"])
    assert output.path == tmp_path / "new" / "report.junit.xml"


def test_a_format_given_twice_is_one():
    assert planned_outputs(["json", "json"], []) == [[Output("json", None)]]


@pytest.mark.parametrize(
    ("forms", "outputs", "jobs"),
    [
        (["json", "csv"], [], ["x"]),
        (["json"], [], ["x", "y"]),
        (["json", "csv", "html"], ["a", "b"], ["x"]),
        (["json"], ["a", "b"], ["x", "y"]),
    ],
)
def test_what_is_unclear_is_refused(forms, outputs, jobs):
    with pytest.raises(Refused):
        planned_outputs(forms, outputs, jobs=jobs)


def test_several_reports_do_not_go_to_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="is a file"):
        planned_outputs(["json", "csv"], [str(tmp_path / "file")])


def test_a_file_is_as_it_was_when_writing_fails(tmp_path):
    (tmp_path / "x").write_text("before")
    lines: list[Any] = [b"half", "no bytes"]
    with pytest.raises(TypeError), whole_file(tmp_path / "x") as stream:
        stream.writelines(lines)
    assert (tmp_path / "x").read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path):
    (tmp_path / "x").write_text("before")
    (tmp_path / "x").chmod(0o600)
    (tmp_path / "link").symlink_to("x")
    with whole_file(tmp_path / "link") as stream:
        stream.write(b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x").read_text() == "after"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "line",
    [
        b"== [a.sql] FAIL",
        b"L:   1 | P:   9 | LT01 | Expected only [layout.spacing]",
        b"L:   1 | P:   9 | LT01 | WARNING: Expected only [layout.spacing]",
        b"                       | the rest [layout.spacing]",
        b"Gate (fail on any): FAILED.",
        b"WARNING: x",
    ],
)
def test_colours_change_no_character(line):
    import re

    coloured = painted(line)
    assert coloured != line
    assert re.sub(rb"\x1b\[\d+m", b"", coloured) == line


def test_other_lines_are_left_alone():
    assert painted(b"Files: 3 in all") == b"Files: 3 in all"
