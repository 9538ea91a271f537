"""The named points do nothing unless a test arms them."""

from pathlib import Path

from pipeline import failpoints
from pipeline.failpoints import Point

ROOT = Path(__file__).parents[2]


def test_point_that_nobody_armed_does_nothing() -> None:
    for point in Point:
        failpoints.reach(point)


def test_armed_point_is_told_and_forgotten() -> None:
    told: list[Point] = []
    failpoints.arm(told.append)
    failpoints.reach(Point.CLAIMED)
    failpoints.arm(None)
    failpoints.reach(Point.WORKED)
    assert told == [Point.CLAIMED]


def test_nothing_that_is_shipped_arms_a_point() -> None:
    shipped = [
        path
        for folder in ("pipeline", "actors", "schedules", "deploy")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != "failpoints.py"
    ]
    assert len(shipped) > 100
    for path in shipped:
        text = path.read_text(errors="replace")
        assert "failpoints.arm" not in text, path
        assert "import arm" not in text, path


def test_every_point_is_reached_somewhere() -> None:
    code = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    for point in Point:
        assert f"failpoints.reach(Point.{point.name})" in code, point
