"""CSV: a row a violation, a row a file not linted, and no formula."""

import csv
import io

from pipeline.kinds.sql_lint.reports.csv_report import COLUMNS
from tests.unit.kinds.sql_lint.reports import kit

SMALL = (
    "path,state,reason,line,column,end_line,end_column,code,name,severity,fixable,new,description\r\n"
    "models/orders.sql,succeeded,,1,15,1,18,CP01,capitalisation.keywords,error,true,,"
    "CP01 was broken.\r\n"
    "models/orders.sql,succeeded,,1,13,1,16,LT01,layout.spacing,warning,false,,LT01 was broken.\r\n"
    "models/orders.sql,succeeded,,3,13,3,16,LT01,layout.spacing,error,false,,LT01 was broken.\r\n"
    "slow query.sql,timed_out,time_limit,,,,,,,,,,It took longer than 60 s.\r\n"
    "data/数据.sql,failed,crashed,,,,,,,,,,The linter died on this file.\r\n"
    "late.sql,cancelled,cancelled,,,,,,,,,,The job was cancelled.\r\n"
    "vendor.zip,skipped,unsupported,,,,,,,,,,An archive inside the archive.\r\n"
)


def rows_of(report):
    return list(csv.reader(io.StringIO(kit.written("csv", report).decode(), newline="")))


def test_rows_follow_rfc_4180():
    assert kit.written("csv", kit.small()).decode() == SMALL


def test_cells_that_a_spreadsheet_would_run_are_defused():
    texts = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1"]
    files = [kit.linted(f"{text}.sql", kit.violation(description=text)) for text in texts]
    rows = rows_of(kit.report(files))[1:]
    assert all(row[0].startswith("'") and row[-1].startswith("'") for row in rows)


def test_quotes_commas_and_line_feeds_stay_in_their_cell():
    text = 'a "quoted", long\ntext'
    rows = rows_of(kit.report([kit.linted("a,b.sql", kit.violation(description=text))]))
    assert rows[1][0] == "a,b.sql"
    assert rows[1][-1] == text


def test_hostile_texts_keep_the_shape_of_the_table():
    assert {len(row) for row in rows_of(kit.hostile())} == {len(COLUMNS)}


def test_new_is_said_when_a_baseline_was_given():
    file = kit.linted("a.sql", kit.violation(), kit.violation(line=2), new=frozenset({1}))
    place = COLUMNS.index("new")
    assert [row[place] for row in rows_of(kit.report([file]))] == ["new", "false", "true"]


def test_empty_job_is_a_header():
    assert len(rows_of(kit.report())) == 1
