"""What a bench found, and the two files it is kept in."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = "results.json"
TABLE = "results.md"


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians of a pair run in turn. ``ratio`` is peer over ours: above 1, ours is faster.

    It is the median of the pairs' own ratios, not the ratio of the medians: both halves of a pair
    saw the same machine. Without a peer there is none. ``detail`` says what else was seen.
    """

    name: str
    n: int
    ours_s: float
    peer: str | None = None
    peer_s: float | None = None
    ratio: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_pairs(
        cls, name: str, n: int, peer: str, pairs: list[tuple[float, float]], **detail: Any
    ) -> "Figure":
        """Return the figure of (ours, peer) pairs in seconds."""
        ratios = [theirs / ours for ours, theirs in pairs]
        return cls(
            *(name, n, round(median(ours for ours, _ in pairs), 3), peer),
            round(median(theirs for _, theirs in pairs), 3),
            round(median(ratios), 2),
            {**detail, "ratios": [round(each, 2) for each in ratios]},
        )


def keep(folder: Path, conditions: dict[str, Any], figures: list[Figure]) -> str:
    """Write ``results.json`` and ``results.md``, what was not run as it was; return the table.

    The JSON is a list of {name, n, ours_s, peer, peer_s, ratio, detail, conditions}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULTS
    told = [{**asdict(figure), "conditions": conditions} for figure in figures]
    fresh = {bench_of(figure.name) for figure in figures}
    old = json.loads(path.read_text()) if path.exists() else []
    kept = [each for each in old if bench_of(each["name"]) not in fresh]
    path.write_text(json.dumps(kept + told, indent=1) + "\n")
    table = as_table(kept + told)
    (folder / TABLE).write_text(table)
    return table


def bench_of(name: str) -> str:
    """Return the bench that a figure's name begins with."""
    return name.partition(" ")[0].partition(":")[0]


def as_table(told: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table, each with its conditions."""
    lines = [
        "| bench | n | ours, s | peer | peer, s | ratio | detail | load | commit, ms |",
        "|---|---:|---:|---|---:|---:|---|---:|---:|",
    ]
    for each in told:
        detail = ", ".join(f"{key} {_short(value)}" for key, value in each["detail"].items())
        conditions = each["conditions"]
        cells = (
            *(each["name"], f"{each['n']:,}", _short(each["ours_s"]), each["peer"]),
            *(_short(each["peer_s"]), _short(each["ratio"]), detail),
            *(_short(conditions.get("load")), _short(conditions.get("commit_ms"))),
        )
        lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, list):
        return " ".join(_short(each) for each in value)
    return str(value)
