"""Where the figures of a worker's processes are read together: one address for the whole fleet.

Each process writes what it counts into files of its own; Dramatiq runs one more that reads them all
when Prometheus asks. The files lie in a folder that no other fleet has, of this machine or of an
earlier run, so nothing is counted twice and every counter of a fleet begins at zero.
"""

import logging
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.middleware import prometheus

from pipeline import logs, metrics
from pipeline.settings import get_settings

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

#: A port that another program has is asked for again after so long.
RETRY_S = 5.0


class FleetFigures(prometheus.Prometheus):
    """Dramatiq's own figures and ours, in files that nobody else has."""

    @property
    def forks(self) -> list[Callable[[], int]]:
        """What runs beside the worker processes: Dramatiq's own server would end for good where its
        port is taken, and show what killed processes had in work for ever."""
        return [serve]

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """This worker process counts. Nobody has imported the client of Prometheus before: that
        looks once whether there is a folder."""
        _remove_stale()
        prometheus.DB_PATH = str(folder())
        super().after_process_boot(broker)
        metrics.begin()
        metrics.WORKER_PROCESSES.set(1)
        metrics.POOL_SIZE.set(get_settings().database_pool)


def folder() -> Path:
    """Return the folder of this process's fleet: its master's id and birth name it."""
    master = multiprocessing.parent_process()
    pid = master.pid if master and master.pid else os.getpid()
    made = _all_fleets() / f"{pid}-{_born(pid)}"
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def _all_fleets() -> Path:
    return Path(tempfile.gettempdir()) / f"quayline-metrics-{os.getuid()}"


def _born(pid: int) -> str:
    """Return when the process began, in the kernel's ticks; ``""`` when it does not live."""
    with suppress(OSError):
        # pid (name) state …: the name may hold blanks and brackets; the birth is the 22nd field.
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if told[0] in "ZX" else told[19]
    return ""


def _remove_stale() -> None:
    """Remove what fleets left behind whose master is gone."""
    with suppress(FileNotFoundError):
        for each in _all_fleets().iterdir():
            pid, _, born = each.name.partition("-")
            if not pid.isdigit() or _born(int(pid)) != born:
                shutil.rmtree(each, ignore_errors=True)


class Fleet:
    """The figures of all processes that write into the folder, as Prometheus's client collects.

    What processes had in work ends with them. What they did stays, added up in one file for all of
    them: a fleet may replace its processes for years.
    """

    def __init__(self, files: Path) -> None:
        self._files = files
        self._lock = threading.Lock()

    def collect(self) -> Iterable["Metric"]:
        """Return them."""
        from prometheus_client.multiprocess import MultiProcessCollector

        with self._lock:
            for file in self._files.glob("*.db"):
                pid = file.stem.rpartition("_")[2]
                if pid.isdigit() and not _born(int(pid)):
                    self._fold(file)
            found: Iterable[Metric] = MultiProcessCollector(None, str(self._files)).collect()
        return found

    def _fold(self, file: Path) -> None:
        """Keep what counters and histograms of a process say that is gone."""
        from prometheus_client.mmap_dict import MmapedDict

        kind = file.stem.partition("_")[0]
        if kind in ("counter", "histogram"):
            with closing(MmapedDict(str(self._files / f"{kind}_ended.db"))) as kept:
                for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):
                    kept.write_value(key, kept.read_value(key)[0] + value, 0.0)
        # Dramatiq's hook removes those of a process that ends in peace, too.
        file.unlink(missing_ok=True)


def serve() -> int:
    """Answer Prometheus until the master ends; Dramatiq runs this in a process of its own."""
    settings = get_settings()
    logs.configure(settings.log_level, settings.log_format)
    master = multiprocessing.parent_process()
    assert master is not None
    _listen(settings.metrics_host, settings.worker_metrics_port, master)
    # One that outlived its master would keep the port from the next.
    master.join()
    return 0


def _listen(host: str, port: int, master: BaseProcess) -> None:
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    fleet: Any = Fleet(folder())
    registry.register(fleet)
    while master.is_alive():
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            told = {"address": f"{host}:{port}", "error": str(error)}
            log.warning("Nobody can read this worker's figures", extra=told)
            master.join(RETRY_S)
        else:
            return
