"""fsck at the command line: what it says and how it ends."""

from pathlib import Path

from pipeline.settings import get_settings
from tests.unit.cli.conftest import Quayline, StandIn


def test_blob_that_is_gone_is_told_and_cannot_be_mended(
    quayline: Quayline, here: Path, engine: StandIn
) -> None:
    job_id = quayline("submit", "a", "-d", "ansi").stdout.strip()
    for blob in Path(get_settings().storage, "sha256").rglob("*"):
        if blob.is_file():
            blob.unlink()
    for arguments in (("fsck",), ("fsck", "--repair"), ("fsck",)):
        told = quayline(*arguments)
        assert told.exit_code == 1
        assert f"blobs are gone: job {job_id}" in told.stdout
        assert "repaired: 0" in told.stdout


def test_every_sort_of_finding_has_its_line(
    quayline: Quayline, here: Path, engine: StandIn
) -> None:
    said = quayline("fsck").stdout.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "jobs checked",
        "leases of dead workers",
        "tasks that wait for what has ended",
        "rows of jobs that are gone",
        "orphan files",
        "spooled files of dead writers",
        "temporary files of dead processes",
        "repaired",
    ]
