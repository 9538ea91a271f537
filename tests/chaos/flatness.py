"""Whether what was sampled over a soak stayed flat: its second tenth against its last."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.benchmarks.memory import Series

TENTHS = 10


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the last tenth may stand above the second: the larger of the two."""

    amount: float
    share: float = 0.0

    def above(self, early: float) -> float:
        """Return the most that is still flat."""
        return max(self.amount, self.share * abs(early))


#: By a series' name, the first that fits. Processes that are killed every minute are of
#: all ages, so that theirs waver; the spared ones are held to the closer of the two.
TOLERANCES = (
    ("elder *rss MiB", Tolerance(16, 0.15)),
    ("*rss MiB", Tolerance(24, 0.25)),
    ("*descriptors", Tolerance(10, 0.2)),
    ("*threads", Tolerance(8, 0.2)),
    ("database connections", Tolerance(12, 0.3)),
    ("RabbitMQ connections", Tolerance(8, 0.3)),
    ("messages waiting", Tolerance(40)),
    ("temporary files", Tolerance(5)),
    ("spooled files", Tolerance(10)),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One series: means of its second and last tenth, its peak, and the verdict."""

    name: str
    early: float
    late: float
    peak: float
    allowed: float | None

    @property
    def flat(self) -> bool:
        """Within the tolerance; what grows with the work by its nature has none."""
        return self.allowed is None or self.late - self.early <= self.allowed


def judge(series: Mapping[str, Series]) -> list[Judged]:
    """Return the verdict on every series that has a value in each tenth."""
    judged = []
    for name, each in sorted(series.items()):
        early, late = each.mean(1, TENTHS), each.mean(TENTHS - 1, TENTHS)
        if early is None or late is None:
            continue
        fits = [told for pattern, told in TOLERANCES if fnmatchcase(name, pattern)]
        allowed = fits[0].above(early) if fits else None
        judged.append(Judged(name, early, late, each.peak, allowed))
    return judged


def as_table(judged: list[Judged]) -> str:
    """Return the verdicts as a Markdown table."""
    lines = [
        "| series | second tenth | last tenth | growth | allowed | peak | flat |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for each in judged:
        allowed = "" if each.allowed is None else f"{each.allowed:.1f}"
        verdict = "" if each.allowed is None else "yes" if each.flat else "NO"
        growth = f"{each.late - each.early:+.1f}"
        told = (f"{each.early:.1f}", f"{each.late:.1f}", growth, allowed, f"{each.peak:.1f}")
        lines.append("| " + " | ".join((each.name, *told, verdict)) + " |")
    return "\n".join(lines) + "\n"
