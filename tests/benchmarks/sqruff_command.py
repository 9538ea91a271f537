"""Another linter, for the comparison: sqruff, written in Rust, with rules of SQLFluff's names.

It is much quicker, and its results are others: how many files it tells the same of is counted by
rule and line alone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.sqlfluff_command import LIMIT_S, Run

NAME = "sqruff lint"


#: Ours and SQLFluff's command lint large files, too.
CONFIG = "[sqlfluff]\nlarge_file_skip_byte_limit = 0\n"


def run(corpus: Corpus, folder: Path) -> Run | None:
    """Lint the corpus on as many cores as sqruff takes; None when it panics over a file."""
    program = shutil.which("sqruff", path=str(Path(sys.executable).parent))
    if program is None:
        raise RuntimeError("sqruff is not installed; `make bench` does it (the extra `bench`).")
    config = folder / "sqruff.cfg"
    config.write_text(CONFIG)
    began, used = time.perf_counter(), os.times()
    done = subprocess.run(
        [program, "--config", str(config), "lint", "--format", "json", "."],
        cwd=corpus.folder,
        capture_output=True,
        timeout=LIMIT_S,
    )
    seconds, now = time.perf_counter() - began, os.times()
    if b"PanicException" in done.stderr:
        return None
    if done.returncode not in (0, 1):
        raise RuntimeError(f"sqruff ended with {done.returncode}: {done.stderr[-2000:]!r}")
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    told = json.loads(done.stdout)
    return Run(seconds, cpu, [{"filepath": path, "violations": told[path]} for path in told])


def alike(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> int:
    """Return how many files have violations of the same rules on the same lines in both."""
    mine = {
        each["filepath"].removeprefix("./"): sorted(
            (one["code"], one["start_line_no"]) for one in each["violations"]
        )
        for each in ours
    }
    others = {
        each["filepath"].removeprefix("./"): sorted(
            (str(one["code"]), one["range"]["start"]["line"]) for one in each["violations"]
        )
        for each in theirs
    }
    return sum(mine[path] == others.get(path) for path in mine)
