"""Figures by hand: ``python -m tests.integration.sqlfluff.measure canaries|bombs [SECONDS]``.

Each prints one line and fails unless it is sound. The bombs lie in a process of their own.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.integration.sqlfluff import bombs


def canaries() -> bool:
    """Every hostile key and template past every canary, in this process."""
    from pipeline.adapters.sqlfluff.linting import Engine
    from tests.integration.sqlfluff import hostile
    from tests.integration.sqlfluff.canaries import Canaries
    from tests.integration.sqlfluff.harmless import endure

    with tempfile.TemporaryDirectory() as folder:
        engine = Engine()
        aside = Canaries(Path(folder, "warm"))
        endure([hostile.Hostile("warm", "select a  from {{ b }}\n")], aside, engine)
        aside.close()
        around = Canaries(Path(folder, "canaries"))
        found = endure(hostile.everything(around), around, engine)
        around.close()
    print(found)
    for line in (*found.touched[:20], *found.untyped[:20]):
        print(" ", line)
    return found.sound


def blast(limit_s: float) -> bool:
    """Every bomb in pools of another process, which grows by what an owner does."""
    command = [sys.executable, "-m", __spec__.name, "explode", f"{limit_s}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = bombs.Blast.of(done.stdout.decode())
    print(found)
    for line in found.wrong:
        print(" ", line)
    return found.sound


if __name__ == "__main__":
    what, *more = sys.argv[1:]
    limit_s = float(more[0]) if more else 8.0
    if what == "canaries":
        sys.exit(not canaries())
    elif what == "explode":
        print(bombs.explode(limit_s).told())
    else:
        sys.exit(not blast(limit_s))
