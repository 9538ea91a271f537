"""Plain text: SQLFluff's layout, and nothing that could drive a terminal."""

from tests.unit.kinds.sql_lint.reports import kit

SMALL = """\
WARNING: templater.jinja.library_path in .sqlfluff was refused: it loads code.
== [models/orders.sql] FAIL
L:   1 | P:  15 | CP01 | CP01 was broken. [capitalisation.keywords]
L:   1 | P:  13 | LT01 | WARNING: LT01 was broken. [layout.spacing]
L:   3 | P:  13 | LT01 | LT01 was broken. [layout.spacing]
== [slow query.sql] ERROR
It took longer than 60 s. [time_limit]
== [data/数据.sql] ERROR
The linter died on this file. [crashed]
== [late.sql] ERROR
The job was cancelled. [cancelled]
== [vendor.zip] SKIPPED
An archive inside the archive. [unsupported]
Files: 6 in all, 1 clean, 1 with violations, 3 not linted, 1 skipped; 1 from the cache.
Violations: 3 in all, 2 errors, 1 warnings; 1 fixable.
Gate (fail on any): FAILED.
  2 violations of severity error.
  3 files could not be linted: 1 failed, 1 timed out, 1 cancelled.
  1 entry was skipped.
"""


def text_of(*files, **fields):
    return kit.written("text", kit.report(files, **fields)).decode()


def test_report_reads_like_sqlfluffs():
    assert kit.written("text", kit.small()).decode() == SMALL


def test_long_description_is_wrapped_under_its_own_column():
    words = "Select targets should be on a new line unless there is only one select target."
    text = text_of(kit.linted("a.sql", kit.violation("LT09", 1, 1, description=words)))
    assert (
        "L:   1 | P:   1 | LT09 | Select targets should be on a new line unless there is\n" in text
    )
    assert " " * 23 + "| only one select target. [layout.spacing]\n" in text


def test_parsing_error_has_no_name():
    record = kit.violation("PRS", 2, 1, description="Found unparsable section.", name="")
    text = text_of(kit.linted("a.sql", record))
    assert "L:   2 | P:   1 |  PRS | Found unparsable section.\n" in text


def test_file_with_warnings_only_passes_as_it_does_in_sqlfluff():
    text = text_of(kit.linted("a.sql", kit.violation(warning=True)))
    assert "== [a.sql] PASS\n" in text
    assert "Gate (fail on any): passed.\n" in text


def test_violations_outside_the_baseline_are_marked():
    file = kit.linted("a.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
    text = text_of(file)
    assert "L:   1 | P:   1 | LT01 | LT01 was broken." in text
    assert "L:   2 | P:   1 | LT01 | NEW: LT01 was broken." in text


def test_hostile_texts_stay_on_their_line():
    text = kit.written("text", kit.hostile()).decode()
    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    assert not any(line.startswith("::error") for line in text.splitlines())
