"""Figures of rows while PostgreSQL is killed, comes back, and stands still."""

import time

import pytest
from prometheus_client import CollectorRegistry

from pipeline.core.context import current_context
from pipeline.core.row_figures import collectors
from schedules import exporter
from schedules.exporter import PATIENCE_S, RowFigures
from tests.support.faults import Fleet
from tests.support.servers import Postgres
from tests.support.waiting import eventually


def read(figures: RowFigures) -> tuple[float, float | None]:
    """Return how many collectors are up, and the number of pending jobs; it must not take long."""
    registry = CollectorRegistry()
    registry.register(figures)
    began_at = time.monotonic()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }
    assert time.monotonic() - began_at < PATIENCE_S + 2
    up = sum(samples["quayline_collector_up", name] for name in collectors())
    return up, samples.get(("quayline_jobs", "trivial", "pending"))


@pytest.mark.timeout(120)
def test_database_that_is_away_or_hangs_delays_no_scrape(
    mortal_fleet: Fleet, postgres_cluster: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "KNOWN_S", 0.0)
    monkeypatch.setattr(exporter, "KNOWN_TIMES", 0)
    figures = RowFigures(current_context(), collectors())
    mortal_fleet.submit(3)
    assert read(figures) == (len(collectors()), 1)
    postgres_cluster.kill()
    # Its other processes end a moment after the first.
    eventually(lambda: read(figures) == (0, None), within_s=30, every_s=0.2)
    postgres_cluster.start()
    eventually(lambda: read(figures) == (len(collectors()), 1), within_s=30, every_s=0.2)
    postgres_cluster.freeze()
    try:
        assert read(figures) == (0, None)
        assert read(figures) == (0, None)
    finally:
        postgres_cluster.thaw()
    eventually(lambda: read(figures) == (len(collectors()), 1), within_s=30, every_s=0.2)
    figures.close()
