"""Whatever damage does to an archive, only typed errors come out, in bounded time.

``ARCHIVE_MUTATIONS=10000`` runs more of them; ``measure.py`` also tells time and memory.
"""

import os
import time
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters.archives import ArchiveLimits
from tests.unit.adapters.archives.mutating import mutated, seeds, survive

MUTATIONS = int(os.environ.get("ARCHIVE_MUTATIONS", "400"))
LONGEST_S = 5.0


def survives_in_time(data: bytes) -> None:
    started = time.monotonic()
    survive(data)
    assert time.monotonic() - started < LONGEST_S


@settings(max_examples=MUTATIONS, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_damaged_archives_end_in_typed_errors(seed: int) -> None:
    survives_in_time(mutated(Random(seed)))


@settings(max_examples=MUTATIONS // 4, deadline=None)
@given(
    st.sampled_from((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"", b"Rar!")),
    st.binary(max_size=2000),
)
def test_random_bytes_end_in_typed_errors(start: bytes, rest: bytes) -> None:
    survives_in_time(start + rest)


def test_any_limits_hold_for_any_archive() -> None:
    tight = ArchiveLimits(
        max_entries=2,
        max_entry_bytes=5,
        max_total_bytes=9,
        max_ratio=1,
        max_name_bytes=6,
        max_depth=1,
    )
    for data in seeds():
        survive(data, tight)
