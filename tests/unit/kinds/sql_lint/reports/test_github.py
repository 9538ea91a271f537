"""GitHub annotations: one command a line, whatever the texts hold."""

from tests.unit.kinds.sql_lint.reports import kit


def lines_of(report):
    return kit.written("github", report).decode().splitlines()


def test_annotations_name_file_place_and_rule():
    assert lines_of(kit.small()) == [
        "::warning title=SQLFluff configuration::"
        "templater.jinja.library_path in .sqlfluff was refused: it loads code.",
        "::error file=models/orders.sql,line=1,col=15,endLine=1,endColumn=18,"
        "title=SQLFluff CP01::CP01: CP01 was broken. [capitalisation.keywords]",
        "::warning file=models/orders.sql,line=1,col=13,endLine=1,endColumn=16,"
        "title=SQLFluff LT01::LT01: LT01 was broken. [layout.spacing]",
        "::error file=models/orders.sql,line=3,col=13,endLine=3,endColumn=16,"
        "title=SQLFluff LT01::LT01: LT01 was broken. [layout.spacing]",
        "::error file=slow query.sql,title=Not linted::It took longer than 60 s.",
        "::error file=data/数据.sql,title=Not linted::The linter died on this file.",
        "::error file=late.sql,title=Not linted::The job was cancelled.",
        "::notice file=vendor.zip,title=Skipped::An archive inside the archive.",
    ]


def test_texts_are_escaped_by_githubs_rules():
    file = kit.linted("a:b,c%d.sql", kit.violation(description="50% of\r\nlines: bad, worse"))
    (line,) = lines_of(kit.report([file]))
    assert line.startswith("::error file=a%3Ab%2Cc%25d.sql,line=1,")
    assert line.endswith("::LT01: 50%25 of%0D%0Alines: bad, worse [layout.spacing]")


def test_no_text_starts_a_command_of_its_own():
    lines = lines_of(kit.hostile())
    assert len(lines) == 6
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)
    assert not any("injected" in line and line.startswith("::error::") for line in lines)


def test_columns_are_left_out_when_a_violation_spans_lines():
    (line,) = lines_of(kit.report([kit.linted("a.sql", kit.violation(end_line_no=4))]))
    assert line.startswith("::error file=a.sql,line=1,endLine=4,title=")


def test_known_violation_is_a_notice():
    file = kit.linted("a.sql", kit.violation(), new=frozenset())
    assert lines_of(kit.report([file]))[0].startswith("::notice ")
