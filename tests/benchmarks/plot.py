"""The figures as a picture: how many times faster than each peer, and a task's cost by size."""

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import RESULTS

PICTURE = "results.svg"


def draw(folder: Path) -> Path:
    """Draw what ``results.json`` in the folder holds; return the picture's path."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    told = json.loads((folder / RESULTS).read_text())
    ratios = [each for each in told if each["ratio"] is not None]
    curves = _curves(told)
    figure, (left, right) = pyplot.subplots(
        *(1, 2), figsize=(15, 1.5 + 0.45 * max(6, len(ratios))), width_ratios=(3, 2)
    )
    names = [f"{each['name']}\nagainst {each['peer']}" for each in ratios]
    bars = left.barh(names, [each["ratio"] for each in ratios], color="#3b6ea5")
    left.bar_label(bars, [f"{each['ratio']:g} x" for each in ratios], padding=3)
    left.axvline(1.0, color="#999999", linewidth=1)
    left.set_xscale("log")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=8)
    left.set_title("times faster than the peer (log)")
    for name, points in curves.items():
        right.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("tasks in the job")
    right.set_ylabel("microseconds a task")
    right.set_title("cost of a task")
    right.grid(visible=True, which="both", alpha=0.2)
    if curves:
        right.legend()
    figure.tight_layout()
    path = folder / PICTURE
    figure.savefig(path)
    pyplot.close(figure)
    return path


def _curves(told: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for each in told:
        name, _, words = each["name"].partition(": ")
        if name == "scale" and (cost := each["detail"].get("us_per_task")):
            curves.setdefault(words.partition(" ")[2], []).append((each["n"], cost))
    return curves
