"""The benches by name; each module has ``run(plan)``, which yields its figures as they come."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Figure

BENCHES = ("rollup", "cold", "warm", "first", "scale", "rss")
#: Run only when named: they take long.
LONG = ("load", "fair", "heartbeats", "access", "events")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run was asked for; ``folder`` keeps what is costly to make again."""

    folder: Path
    quick: bool = False
    pairs: int = 3
    processes: int = 2
    corpus: Path | None = None
    files: int | None = None


def bench(name: str) -> Callable[[Plan], Iterable[Figure]]:
    """Return the bench of that name."""
    run: Callable[[Plan], Iterable[Figure]] = importlib.import_module(
        f"tests.benchmarks.{name}"
    ).run
    return run
