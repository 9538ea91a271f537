"""The scheduler's figures: read seldom, told at once, whatever the database does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pipeline.core.context import Context, close_context, open_context
from pipeline.core.row_figures import Collector, Reading, RowFigure, collectors
from pipeline.settings import Settings
from schedules import exporter
from schedules.exporter import RowFigures
from tests.support.servers import free_port
from tests.support.waiting import eventually
from tests.support.workers import environment, scheduler

FIGURE = RowFigure("quayline_rows", "Rows.", ("kind",))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """An open context on SQLite."""
    yield open_context(Settings(state_dir=tmp_path / "state"))
    close_context()


def scrape(figures: RowFigures) -> list[str]:
    """Return the lines of an exposition."""
    registry = CollectorRegistry()
    registry.register(figures)
    return generate_latest(registry).decode().splitlines()


class Counting:
    """A collector that counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, context: Context) -> Iterator[Reading]:
        """Tell how often."""
        self.times += 1
        yield FIGURE, {("a",): float(self.times)}


def test_rows_are_read_once_for_many_scrapes(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    figures = RowFigures(context, {"rows": counting})
    for _ in range(3):
        assert 'quayline_rows{kind="a"} 1.0' in scrape(figures)
    assert 'quayline_collector_up{collector="rows"} 1.0' in scrape(figures)
    monkeypatch.setattr(exporter, "KNOWN_S", 0.0)
    monkeypatch.setattr(exporter, "KNOWN_TIMES", 0)
    again = RowFigures(context, {"rows": counting})
    scrape(again)
    assert 'quayline_rows{kind="a"} 3.0' in scrape(again)


def test_collector_that_takes_long_is_asked_seldom(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "KNOWN_S", 0.0)

    def slow(context: Context) -> Iterator[Reading]:
        threading.Event().wait(0.05)
        return counting(context)

    counting = Counting()
    figures = RowFigures(context, {"rows": slow})
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        scrape(figures)
    assert counting.times == 1


def test_collector_that_hangs_delays_no_scrape_and_no_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "PATIENCE_S", 0.2)
    monkeypatch.setattr(exporter, "KNOWN_S", 0.0)
    answers = threading.Event()

    def hanging(context: Context) -> Iterator[Reading]:
        answers.wait(30)
        yield FIGURE, {("b",): 1.0}

    figures = RowFigures(context, {"hanging": hanging, "rows": Counting()})
    for _ in range(3):
        began_at = time.monotonic()
        lines = scrape(figures)
        assert time.monotonic() - began_at < 2
        assert 'quayline_collector_up{collector="hanging"} 0.0' in lines
        assert 'quayline_collector_up{collector="rows"} 1.0' in lines
        assert any(line.startswith('quayline_rows{kind="a"}') for line in lines)
        assert 'quayline_rows{kind="b"} 1.0' not in lines
    answers.set()
    eventually(
        lambda: 'quayline_collector_up{collector="hanging"} 1.0' in scrape(figures), within_s=10
    )


def test_collector_that_fails_is_told_and_asked_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "KNOWN_S", 0.0)
    broken = [True]

    def failing(context: Context) -> Iterator[Reading]:
        if broken:
            raise ValueError("a column that is not there")
        yield FIGURE, {("a",): 1.0}

    collectors: dict[str, Collector] = {"failing": failing, "rows": Counting()}
    figures = RowFigures(context, collectors)
    assert 'quayline_collector_up{collector="failing"} 0.0' in scrape(figures)
    assert 'quayline_collector_up{collector="rows"} 1.0' in scrape(figures)
    broken.clear()
    assert 'quayline_collector_up{collector="failing"} 1.0' in scrape(figures)


def test_closed_database_is_told(tmp_path: Path) -> None:
    closed = open_context(Settings(state_dir=tmp_path / "state"))
    figures = RowFigures(closed, collectors())
    close_context()
    lines = scrape(figures)
    assert {line for line in lines if line.startswith("quayline_collector_up")} == {
        f'quayline_collector_up{{collector="{name}"}} 0.0' for name in collectors()
    }


def test_taken_port_is_told_and_stops_no_scheduler(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", sweep_s=0.05, metrics_port=free_port())
    processes = [
        scheduler(environment(settings), tmp_path, name=name).start() for name in ("one", "two")
    ]
    try:
        url = f"http://127.0.0.1:{settings.metrics_port}/metrics"

        def sweeps() -> bool:
            try:
                return 'quayline_tick_seconds_count{entry="sweep"}' in httpx.get(url).text
            except httpx.HTTPError:
                return False

        eventually(sweeps, within_s=30, what="one tells its figures")
        told = lambda: sum(each.said("Nobody can read the figures") for each in processes)  # noqa: E731
        eventually(lambda: told() == 1, within_s=30, what="the other says that it cannot")
        assert all(each.running() for each in processes)
    finally:
        for each in processes:
            each.kill()
            each.show()
