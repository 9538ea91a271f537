"""``python -m tests.benchmarks [--bench NAME …] [--quick]``: run, print the table, keep it."""

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.benchmarks.conditions import conditions
from tests.benchmarks.figures import Figure, keep
from tests.benchmarks.plot import draw
from tests.benchmarks.registry import BENCHES, LONG, Plan, bench


def main() -> int:
    """Run the benches that were asked for, one after the other; 1 when one of them broke."""
    told = _arguments()
    names = [name for part in told.bench for name in part.split(",") if name] or list(BENCHES)
    unknown = sorted(set(names) - {*BENCHES, *LONG})
    if unknown:
        print(f"There is no bench {', '.join(unknown)}; there are {', '.join(BENCHES + LONG)}.")
        return 2
    plan = Plan(
        folder=told.out.resolve(),
        quick=told.quick,
        pairs=1 if told.quick else told.pairs,
        processes=told.processes,
        corpus=told.corpus,
        files=told.files,
    )
    broken = 0
    for name in names:
        began = time.monotonic()
        before = conditions(plan.folder)
        print(f"{name}: {before}", file=sys.stderr, flush=True)
        figures: list[Figure] = []
        try:
            for figure in bench(name)(plan):
                figures.append(figure)
                table = keep(plan.folder, before, figures)
        except Exception:  # noqa: BLE001  (one broken bench costs only its own figures)
            traceback.print_exc()
            broken = 1
            continue
        print(table)
        draw(plan.folder)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return broken


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--bench", action="append", default=[], help=", ".join((*BENCHES, *LONG)))
    parser.add_argument("--quick", action="store_true", help="small and once: does it run at all")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of each comparison")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("--corpus", type=Path, help="a folder of SQL of your own")
    parser.add_argument("--files", type=int, help="files of the big job of load and fair")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="for the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
