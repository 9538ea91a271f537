"""Whatever damage does to an archive, only typed errors come out, in bounded time and memory.

``ARCHIVE_MUTATIONS=10000`` runs more of them; ``measure.py`` runs as many and tells the figures.
"""

import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters.archives import ArchiveLimits
from tests.unit.adapters.archives.arena import Arena, arena
from tests.unit.adapters.archives.deforming import deformed
from tests.unit.adapters.archives.enduring import Figures
from tests.unit.adapters.archives.mutating import mutated, seeds, survive

MUTATIONS = int(os.environ.get("ARCHIVE_MUTATIONS", "400"))
LONGEST_S = 5.0
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)
SOUND = Figures(10, 2, [], [], 60, 0.1, 3)


def survives_in_time(data: bytes) -> None:
    started = time.monotonic()
    survive(data)
    assert time.monotonic() - started < LONGEST_S


@settings(max_examples=MUTATIONS, deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_damaged_archives_end_in_typed_errors(seed: int) -> None:
    survives_in_time(mutated(Random(seed)))


@settings(max_examples=MUTATIONS, deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_archives_with_lying_fields_end_in_typed_errors(seed: int) -> None:
    survives_in_time(deformed(Random(seed)))


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


def test_hurt_archives_expand_within_their_folder_time_and_memory() -> None:
    command = [sys.executable, "-m", "tests.unit.adapters.archives.measure", "mutations"]
    done = subprocess.run(
        [*command, str(MUTATIONS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{MUTATIONS:,} mutated archives" in done.stdout


@pytest.mark.parametrize(
    "bad", [{"tracebacks": ["x"]}, {"outside": ["x"]}, {"peak_mib": 256}, {"slowest_s": 5.0}]
)
def test_each_figure_can_fail_the_measure(bad: dict[str, object]) -> None:
    assert SOUND.sound
    assert not replace(SOUND, **bad).sound  # type: ignore[arg-type]


def test_measure_sees_what_is_written_elsewhere_and_every_traceback(tmp_path: Path) -> None:
    with arena(tmp_path) as around:
        assert around.expand(b"") == "not_an_archive"
        assert (around.strays(), around.tracebacks.seen) == ([], [])
        _misbehave(around, tmp_path)
        strays = [line.replace(str(tmp_path), "") for line in around.strays()]
        assert strays == sorted(["/canary", "/tmp/new", "/state/blobs/spool/x", "open /tmp/new"])
        assert len(around.tracebacks.seen) == 1


def _misbehave(around: Arena, folder: Path) -> None:
    with around.watch.within(around.state):
        (folder / "tmp" / "new").write_text("outside")
        (around.state / "blobs" / "spool" / "x").write_text("left behind")
    (folder / "canary").write_text("touched")
    try:
        raise ValueError("unexpected")
    except ValueError:
        logging.getLogger("pipeline.core.planning").exception("A plan failed")
