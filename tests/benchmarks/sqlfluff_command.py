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
    """Lint the corpus; ``rust`` False takes SQLFluff's Python parser, as it is plainly installed.

    LT07 walks a set: the same hash seed as in our lint children makes the two comparable.
    """
    config, out = folder / f"peer-{rust}.cfg", folder / "peer.json"
    config.write_text(CONFIG.format(rust="auto" if rust else "False"))
    command = [sys.executable, "-m", "sqlfluff", "lint", ".", "--processes", str(processes)]
    command += ["--format", "json", "--config", str(config), "--write-output", str(out)]
    began, used = time.perf_counter(), os.times()
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=corpus.folder, env=environment, capture_output=True, timeout=LIMIT_S
    )
    seconds, now = time.perf_counter() - began, os.times()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"sqlfluff ended with {done.returncode}: {done.stderr[-2000:]!r}")
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return Run(seconds, cpu, json.loads(out.read_text()))


def differing(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return the files with other violations (or in one report only), and those that may differ.

    They may in the position of LT07: SQLFluff's two parsers differ there, and two runs of one.
    """
    mine, peers = _by_file(ours), _by_file(theirs)
    names = sorted(name for name in {*mine, *peers} if mine.get(name) != peers.get(name))
    licensed = [name for name in names if _placeless(mine, name) == _placeless(peers, name)]
    return [name for name in names if name not in licensed], licensed


def _by_file(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        record["filepath"].removeprefix("./"): sorted(map(_violation, record["violations"]))
        for record in records
    }


def _violation(told: dict[str, Any]) -> str:
    kept = {key: value for key, value in told.items() if key != "fixable"}
    return json.dumps(kept, sort_keys=True)


def _placeless(files: dict[str, list[str]], name: str) -> list[str] | None:
    if name not in files:
        return None
    return sorted("LT07" if '"code": "LT07"' in each else each for each in files[name])
