"""The files are counted by whoever reads them first, once."""

from collections.abc import Iterator

from pipeline.kinds.sql_lint.gate import Counted, Tally
from pipeline.kinds.sql_lint.reports import FileReport
from tests.unit.kinds.sql_lint.reports import kit


class Files:
    """A stream of files that counts its readers."""

    def __init__(self) -> None:
        self.readers = 0

    def __call__(self) -> Iterator[FileReport]:
        self.readers += 1
        return kit.small().files()


def counted_alone() -> Tally:
    tally = Tally()
    for file in kit.small().files():
        tally.add(file)
    return tally


def test_first_reader_that_comes_to_the_end_counts():
    files = Files()
    counted = Counted(files)
    next(counted())
    assert list(counted()) == list(counted())
    assert counted.tally() == counted_alone()
    assert files.readers == 3


def test_nobody_has_read():
    files = Files()
    assert Counted(files).tally() == counted_alone()
    assert files.readers == 1
