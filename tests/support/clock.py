"""A clock of a test's own for some processes: it may jump while they run (libfaketime)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import Postgres, own_server
from tests.support.workers import ROOT

PACKAGE = "libfaketime"
PLACES = ("/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
#: The build for programs with threads first.
NAMES = ("libfaketimeMT.so.1", "libfaketime.so.1")


class Clock:
    """The wall clock of the processes that were started with ``environment``.

    Monotonic clocks stay true, as they do when a machine's time is set.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = library()
        self.jump_to(0)

    def jump_to(self, offset_s: int) -> None:
        """From now on the clock is so many seconds ahead of the true one (behind: negative)."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to go by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # It would leave a file in /dev/shm for each process that is killed.
            "FAKETIME_DISABLE_SHM": "1",
            "PYTHONPATH": f"{Path(__file__).parent / 'faketime'}:{ROOT}",
        }


class ClockedPostgres(Postgres):
    """A cluster whose clock may jump."""

    def __init__(self, folder: Path) -> None:
        self.clock: Clock | None = None
        super().__init__(folder)
        self.clock = Clock(folder)

    def environment(self) -> dict[str, str]:
        told = super().environment()
        return {**told, **self.clock.environment} if self.clock else told


@contextmanager
def clocked_postgres() -> Iterator[ClockedPostgres]:
    """Yield a running cluster with a clock of its own; nothing of it is left afterwards."""
    with own_server("postgres", ClockedPostgres) as server:
        yield server


def library() -> Path:
    """Return libfaketime's path; the test fails with what to install without it."""
    for place in PLACES:
        for name in NAMES:
            for found in Path("/").glob(f"{place[1:]}/{name}"):
                return found
    pytest.fail(
        "libfaketime is not installed. The tests of clocks that jump give servers and processes of"
        f" their own a clock that is not the machine's: apt-get install {PACKAGE}",
        pytrace=False,
    )
