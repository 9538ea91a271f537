"""Rules that hold for every format."""

import os
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest

from pipeline.kinds.sql_lint.reports import FORMATS, FileReport
from tests.unit.kinds.sql_lint.reports import kit

MIB = 1024 * 1024
NAMES = sorted(FORMATS)


def test_every_promised_format_is_there():
    promised = "json sarif junit gitlab github csv html fixed diff text"
    assert set(FORMATS) == set(promised.split())
    assert all(name == form.name for name, form in FORMATS.items())
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_equal_reports_are_equal_bytes(name):
    assert kit.written(name, kit.small()) == kit.written(name, kit.small())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "files",
    [[], [kit.failed("a.sql"), kit.crashed("b.sql")], [FileReport("a.sql", "running")]],
    ids=["empty job", "all failed", "still running"],
)
def test_job_without_a_result_has_a_report(name, files):
    assert isinstance(kit.written(name, kit.report(files)), bytes)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"fixed", "diff"}))
def test_job_that_came_to_nothing_says_why_in_every_report(name):
    report = kit.report(state="failed", reason="not_an_archive", message="It is not an archive.")
    assert b"It is not an archive." in kit.written(name, report)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"fixed"}))
def test_hostile_texts_leave_readable_text_and_no_control_characters(name):
    text = kit.written(name, kit.hostile()).decode("utf-8")
    lines = text.replace("\r\n", "\n") if name == "csv" else text
    assert not any(character < " " and character not in "\n\t" for character in lines)
    assert "\x7f" not in text
    assert "\u202e" not in text
    assert "\u2028" not in text


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_number_of_files(name):
    violations = [kit.violation()]
    patch = "--- a\n+++ b\n@@ -1 +1 @@\n-select 1\n+SELECT 1\n"

    def files():
        for number in range(20_000):
            result: dict[str, Any] = {"violations": [], "lines": {"1": f"{number:400}"}}
            if number % 4 == 0:
                result |= {"violations": violations, "fixed": "SELECT 1\n", "diff": patch}
            yield FileReport(f"team_{number % 50}/{number}.sql", "succeeded", result=result)

    with open(os.devnull, "wb") as out:
        tracemalloc.start()
        try:
            FORMATS[name].write(kit.streamed(files), out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # The files alone would take more than 20 MB.
    assert peak < 6 * MIB


def test_reports_and_gate_import_no_engine():
    code = (
        "import sys; from pipeline.kinds.sql_lint import gate, reports; "
        "print(sorted({'sqlfluff', 'sqlfluffrs', 'jinja2'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
