"""The peer: SQLFluff's own command on the extracted corpus."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.corpus import Corpus

#: As SQLFluff is, but for its limit of file size, which would leave files out.
CONFIG = "[sqlfluff]\nlarge_file_skip_byte_limit = 0\nuse_rust_parser = {rust}\n"
LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command."""

    seconds: float
    cpu_s: float
    records: list[dict[str, Any]]


def run(corpus: Corpus, folder: Path, *, rust: bool = True, processes: int = 2) -> Run:
    """Lint the corpus; ``rust`` False takes SQLFluff's Python parser, as it is plainly installed."""
    config, out = folder / f"peer-{rust}.cfg", folder / "peer.json"
    config.write_text(CONFIG.format(rust="auto" if rust else "False"))
    command = [sys.executable, "-m", "sqlfluff", "lint", ".", "--processes", str(processes)]
    command += ["--format", "json", "--config", str(config), "--write-output", str(out)]
    began, used = time.perf_counter(), os.times()
    done = subprocess.run(command, cwd=corpus.folder, capture_output=True, timeout=LIMIT_S)
    seconds, now = time.perf_counter() - began, os.times()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"sqlfluff ended with {done.returncode}: {done.stderr[-2000:]!r}")
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return Run(seconds, cpu, json.loads(out.read_text()))


def differing(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    """Return the files whose violations are not the same, or that only one of the two reports."""
    mine, peers = _by_file(ours), _by_file(theirs)
    return sorted(name for name in {*mine, *peers} if mine.get(name) != peers.get(name))


def _by_file(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        record["filepath"].removeprefix("./"): sorted(map(_violation, record["violations"]))
        for record in records
    }


def _violation(told: dict[str, Any]) -> str:
    kept = {key: value for key, value in told.items() if key != "fixable"}
    return json.dumps(kept, sort_keys=True)
