"""The figures of a fleet: complete however many of its processes have come and gone."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipeline.exposition import Fleet, _all_fleets, _born, _remove_stale, folder
from tests.support.workers import ROOT

#: A process that counts, says so, and ends in peace or lives on until its input ends.
COUNT = """
import sys
from pipeline import metrics
metrics.begin()
metrics.CACHE_HITS.add("sql_lint", by=3)
metrics.LINT_SECONDS.observe_all([0.002, 0.2])
metrics.WORKER_PROCESSES.set(1)
print("counted", flush=True)
sys.stdin.read()
"""


def start(files: Path) -> subprocess.Popen[str]:
    """Return a process that has counted."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(files), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "counted\n"
    return process


def told(fleet: Fleet) -> dict[str, float | None]:
    """Return some of the fleet's figures."""
    registry = CollectorRegistry()
    registry.register(fleet)
    value = registry.get_sample_value
    return {
        "hits": value("quayline_cache_hits_total", {"kind": "sql_lint"}),
        "files": value("quayline_lint_seconds_count"),
        "quick": value("quayline_lint_seconds_bucket", {"le": "0.0025"}),
        "seconds": value("quayline_lint_seconds_sum"),
        "processes": value("quayline_worker_processes"),
    }


def test_what_ended_processes_did_stays_in_one_file(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    for number in range(1, 5):
        process = start(tmp_path)
        alive = told(fleet)
        assert (alive["hits"], alive["processes"]) == (3 * number, 1)
        process.kill() if number % 2 else process.communicate("")
        process.communicate()
        ended = told(fleet)
        assert ended.pop("processes") in (None, 0)
        assert ended.pop("seconds") == pytest.approx(0.202 * number)
        assert ended == {"hits": 3 * number, "files": 2 * number, "quick": number}
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            "counter_ended.db",
            "histogram_ended.db",
        ]


def test_folders_of_masters_that_are_gone_are_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    mine = folder()
    assert mine.parent == _all_fleets()
    gone = subprocess.Popen(["true"])
    born = _born(gone.pid) or "1"
    gone.wait()
    # An id that another process has now; one that none has; what is none of ours.
    stale = [f"{os.getpid()}-1", f"{gone.pid}-{born}", "what-is-this"]
    for name in stale:
        (mine.parent / name).mkdir()
    _remove_stale()
    assert [each.name for each in mine.parent.iterdir()] == [mine.name]
    shutil.rmtree(mine)
    _remove_stale()
