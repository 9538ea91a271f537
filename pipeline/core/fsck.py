"""Checks what the rows promise against a recount, and the storage against the rows.

What can be wrong after a crash, a restored backup or a hand in the database: counters that are not
what the tasks say, a job left open though nothing of it is, tasks left open in a job that ended,
tasks that wait for a need that has ended, leases that nobody takes back, rows of a job that is
gone; blobs nobody refers to (each write is whole, but a process may die between a blob and its
row), blobs that a row needs and that are gone, files of dead writers. The history (events) is not
compared: nothing of it could be mended.

In the system's temporary folder no process of ours makes a file that has a name
(``tests/integration/test_temporary_files.py`` watches them), so that a SIGKILL leaves nothing
there. Where its file system has no nameless files, what is left bears our name and is found by an
fsck of the same machine, user and TMPDIR.
"""

from dataclasses import dataclass, field

from pipeline.core import job_check, storage_check
from pipeline.core.context import Context
from pipeline.core.storage_check import GRACE_S
from pipeline.core.sweep import sweep


@dataclass(slots=True)
class Findings:
    """What a check found; ``repaired`` counts what it mended.

    All but ``missing_blobs`` can be mended: a job that needs a blob that is gone ends with that
    reason, and is submitted again by whoever has the source.
    """

    jobs: int = 0
    wrong_counters: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    missing_blobs: list[str] = field(default_factory=list)
    wrong_needs: int = 0
    lapsed_leases: int = 0
    homeless_rows: int = 0
    orphan_blobs: int = 0
    orphan_bytes: int = 0
    spooled_files: int = 0
    temporary_files: int = 0
    repaired: int = 0

    @property
    def clean(self) -> bool:
        """True when nothing was found that needs mending."""
        return not (
            self.wrong_counters
            or self.left_open
            or self.left_over
            or self.missing_blobs
            or self.wrong_needs
            or self.lapsed_leases
            or self.homeless_rows
            or self.orphan_blobs
            or self.spooled_files
            or self.temporary_files
        )


def fsck(context: Context, *, repair: bool = False, grace_s: float = GRACE_S) -> Findings:
    """Check every job and every stored file; with ``repair`` mend what can be mended.

    Safe beside running workers and submitters: rows are mended by compare-and-set, files younger
    than ``grace_s`` are left alone, and so is one that is put again while it is looked at.
    """
    found = Findings()
    _check_leases(found, context, repair=repair)
    for job_id in job_check.job_ids():
        found.jobs += 1
        _check_job(job_id, found, repair=repair)
    found.wrong_needs = job_check.wrong_needs(mend=repair)
    found.repaired += found.wrong_needs if repair else 0
    found.homeless_rows = job_check.homeless_rows(remove=repair)
    found.repaired += found.homeless_rows if repair else 0
    _check_files(found, context, repair=repair, grace_s=grace_s)
    return found


def _check_leases(found: Findings, context: Context, *, repair: bool) -> None:
    """A lease that lapsed is the sweep's; one that lapsed a lease ago has none."""
    lease_s = context.settings.lease_s
    left = found.lapsed_leases = job_check.lapsed_leases(lease_s)
    if not repair or not left:
        return
    job_check.release_lapsed(lease_s)
    # A sweep takes so many at a time; the last one sends what has come due.
    while left:
        sweep(context)
        before, left = left, job_check.lapsed_leases(lease_s)
        if left == before:
            break
    found.repaired += found.lapsed_leases - left


def _check_job(job_id: str, found: Findings, *, repair: bool) -> None:
    told = job_check.look(job_id)
    if told is None:
        return
    for is_so, jobs in (
        (told.is_miscounted, found.wrong_counters),
        (told.is_left_open, found.left_open),
        (told.has_left_over, found.left_over),
    ):
        if is_so:
            jobs.append(job_id)
    if repair:
        found.repaired += job_check.mend(told)


def _check_files(found: Findings, context: Context, *, repair: bool, grace_s: float) -> None:
    rubbish = storage_check.clean(
        context.blobs, remove=repair, grace_s=grace_s, missing=found.missing_blobs
    )
    found.orphan_blobs, found.orphan_bytes = rubbish.orphan_files, rubbish.orphan_bytes
    found.spooled_files = rubbish.spooled_files
    found.temporary_files = rubbish.temporary_files
    found.repaired += rubbish.removed
