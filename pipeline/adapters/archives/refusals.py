"""The sentences that every format of archive says alike."""

from pipeline.adapters.archives.model import ArchiveLimits, Problem
from pipeline.errors import Refused
from pipeline.states import Reason


def too_many(limits: ArchiveLimits) -> Refused:
    """The whole has too many entries."""
    return Refused(
        f"The archive has more than {limits.max_entries} entries: split it.",
        reason=Reason.TOO_MANY_ENTRIES,
    )


def too_large(limits: ArchiveLimits) -> Refused:
    """The whole is too large once unpacked."""
    return Refused(
        f"The archive holds more than {limits.max_total_bytes} bytes unpacked: split it.",
        reason=Reason.TOO_LARGE,
    )


def entry_too_large(size_bytes: int, limits: ArchiveLimits) -> Problem:
    """One entry declares more than an entry may have."""
    return Problem(
        Reason.TOO_LARGE,
        f"The entry has {size_bytes} bytes, more than the limit of {limits.max_entry_bytes}.",
    )


def entry_shrank(limits: ArchiveLimits) -> Problem:
    """One entry shrank more than honest data does."""
    return Problem(
        Reason.TOO_LARGE,
        f"The entry shrank more than {limits.max_ratio} times, as bombs do: "
        "pack it without compression.",
    )
