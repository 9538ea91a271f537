"""The summary is gathered by whoever reads the files first, once."""

from collections.abc import Iterator

from pipeline.kinds.sql_lint.reports import FileReport
from pipeline.kinds.sql_lint.reports.summary import Counted, Summary
from tests.unit.kinds.sql_lint.reports import kit


class Files:
    """A stream of files that counts its readers."""

    def __init__(self) -> None:
        self.readers = 0

    def __call__(self) -> Iterator[FileReport]:
        self.readers += 1
        return kit.small().files()


def test_first_reader_that_comes_to_the_end_gathers():
    files = Files()
    counted = Counted(files)
    next(counted())
    assert counted.summary is None
    assert list(counted()) == list(counted())
    assert counted.gathered() == Summary.of(kit.small())
    assert files.readers == 3


def test_nobody_has_read():
    files = Files()
    assert Counted(files).gathered() == Summary.of(kit.small())
    assert files.readers == 1
