"""A caller in a process of its own: submits archives one after the other, then waits for all.

``python -m tests.benchmarks.submitting OUT ARCHIVE …`` writes {id: seconds of its submit} to OUT.
"""

import json
import sys
import time
from pathlib import Path

from pipeline.producer import Client

#: Longer than any bench runs.
LIMIT_S = 6 * 3600.0


def main(out: Path, archives: list[Path]) -> None:
    """Submit and wait."""
    with Client() as client:
        taken = {}
        jobs = []
        for archive in archives:
            began = time.perf_counter()
            jobs.append(client.lint(archive))
            taken[jobs[-1].id] = round(time.perf_counter() - began, 4)
        part = out.with_suffix(".part")
        part.write_text(json.dumps(taken))
        part.rename(out)
        for job in jobs:
            job.wait(LIMIT_S, poll_s=1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
