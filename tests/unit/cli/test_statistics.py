"""``quayline statistics``, ``quayline access-log``, and the chores that are done for a day."""

import json
from pathlib import Path

import pytest

from pipeline.core import access_log
from pipeline.core.context import close_context, open_context
from pipeline.settings import Settings
from tests.support.requests import record
from tests.unit.cli.conftest import Quayline


def test_figures_of_a_day_are_made_by_hand_and_shown(quayline: Quayline, here: Path) -> None:
    assert quayline("lint", ".", "--dialect", "ansi").exit_code == 1
    assert quayline("statistics").stdout.split() == ["DAY", "FIGURE", "VALUE", "OF"]
    made = quayline("upkeep", "generate_statistics", "--day", today())
    assert made.exit_code == 0, made.stderr
    assert made.stdout.splitlines()[0] == f"days: {today()}"
    assert "partial: 1" in made.stdout
    shown = quayline("statistics", "--name", "lint_violations").stdout.splitlines()
    assert [line.split() for line in shown[1:]] == [
        [today(), "lint_violations", "2", "kind=sql_lint"]
    ]
    [told] = json.loads(quayline("statistics", "--from", today(), "--json").stdout)
    assert told["parts"][0]["complete"] is False
    assert {"name": "lint_files", "value": 3.0, "labels": {"kind": "sql_lint"}} in told["figures"]


def today() -> str:
    from pipeline import clock

    return clock.now().date().isoformat()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (("upkeep", "generate_statistics", "--day", "yesterday"), "'yesterday' is no day"),
        (("upkeep", "generate_statistics", "--day", "2099-01-01"), "has not begun"),
        (("upkeep", "daily_cleanup", "--day", "2026-01-01"), "is not done for one day"),
        (("statistics", "--from", "2026-02-30"), "is no day"),
        (("statistics", "--from", "2026-02-02", "--to", "2026-02-01"), "is after the last"),
        (("access-log", "--to", "x"), "is no day"),
    ],
)
def test_what_is_no_day_is_refused(quayline: Quayline, told: tuple[str, ...], why: str) -> None:
    done = quayline(*told)
    assert done.exit_code == 2
    assert why in done.stderr


def test_requests_are_shown(quayline: Quayline, environment: Path) -> None:
    open_context(Settings())
    access_log.store([record(path="/api/v1/jobs/7"), record(user_id=None, path="/nowhere")])
    close_context()
    lines = quayline("access-log").stdout.splitlines()
    assert len(lines) == 3
    assert "GET /api/v1/jobs/7" in lines[2]
    assert len(quayline("access-log", "--user", "ann").stdout.splitlines()) == 2
    [told] = json.loads(quayline("access-log", "--path", "/nowh", "--json").stdout)
    assert (told["path"], told["user_id"]) == ("/nowhere", None)
