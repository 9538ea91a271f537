"""Serves what this process counts and what the rows tell, for Prometheus.

A scrape never waits long: a database that is away or slow is told as ``quayline_collector_up`` 0.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from threading import Lock
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Metric,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily

from pipeline import metrics
from pipeline.core.context import Context
from pipeline.core.kinds import all_kinds
from pipeline.core.row_figures import Collector, collectors
from pipeline.errors import QuaylineError

log = logging.getLogger(__name__)

#: What was read is told for so long, and for so many times the time that it took: reading takes at
#: most a fiftieth of one connection, however large the tables are.
KNOWN_S = 5.0
KNOWN_TIMES = 50
#: A scrape waits so long for the rows, well within Prometheus's ten seconds.
PATIENCE_S = 3.0

Families = list[Metric]


class Reader:
    """Reads one collector, at most every few seconds and once at a time."""

    def __init__(self, name: str, collector: Collector, context: Context) -> None:
        self.name = name
        self._collector = collector
        self._context = context
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"figures {name}")
        self._lock = Lock()
        self._reading: Future[Families | None] | None = None
        self._known_until = 0.0

    def begin(self) -> "Future[Families | None]":
        """Return the reading that tells now: a new one, one that goes on, or one just done."""
        with self._lock:
            reading = self._reading
            if reading is None or (reading.done() and time.monotonic() >= self._known_until):
                reading = self._reading = self._thread.submit(self._read)
            return reading

    def close(self) -> None:
        """Read no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> Families | None:
        began_at = time.monotonic()
        known_s = KNOWN_S
        try:
            found = [_family(*each) for each in self._collector(self._context)]
            known_s = max(KNOWN_S, KNOWN_TIMES * (time.monotonic() - began_at))
            return found
        except QuaylineError as error:
            told = {"collector": self.name, "error": str(error)}
            log.warning("Figures could not be read", extra=told)
        except Exception:
            log.exception("Figures could not be read", extra={"collector": self.name})
        finally:
            self._known_until = time.monotonic() + known_s
        return None


def _family(figure: Any, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(figure.name, figure.text, labels=figure.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


class RowFigures:
    """All collectors, as Prometheus's client collects."""

    def __init__(self, context: Context, collectors: Mapping[str, Collector]) -> None:
        self._readers = [Reader(name, each, context) for name, each in collectors.items()]

    def collect(self) -> Iterable[Metric]:
        """Return what the rows tell; those of a collector that does not answer in time are left
        out, which Prometheus sees as gone."""
        until = time.monotonic() + PATIENCE_S
        begun = [(reader.name, reader.begin()) for reader in self._readers]
        up = GaugeMetricFamily(
            *("quayline_collector_up", "1: the rows were read."), labels=("collector",)
        )
        for name, reading in begun:
            found = _within(reading, until)
            up.add_metric((name,), float(found is not None))
            yield from found or ()
        yield up

    def close(self) -> None:
        """Read no more."""
        for reader in self._readers:
            reader.close()


def _within(reading: "Future[Families | None]", until: float) -> Families | None:
    try:
        return reading.result(max(0.0, until - time.monotonic()))
    except NotYet:
        return None


@contextmanager
def exporting(context: Context, entries: Sequence[str]) -> Iterator[None]:
    """Answer Prometheus while the block runs, where a port is set for it."""
    settings = context.settings
    if not settings.metrics_port:
        yield
        return
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(metrics.begin())
    _make_known(entries)
    metrics.POOL_SIZE.set(settings.database_pool)
    rows: Any = RowFigures(context, collectors())
    registry.register(rows)
    try:
        server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        address = f"{settings.metrics_host}:{settings.metrics_port}"
        log.warning("Nobody can read the figures", extra={"address": address, "error": str(error)})
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        rows.close()


def _make_known(entries: Sequence[str]) -> None:
    """What is alerted on is there from the start: Prometheus sees no increase in a first value."""
    for kind in all_kinds():
        metrics.LEASE_LOSSES.add(kind.name, by=0)
    for entry in entries:
        metrics.TICKS_FAILED.add(entry, by=0)
