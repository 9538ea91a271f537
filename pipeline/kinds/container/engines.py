"""The way to the engine of a host, opened once in a process."""

import threading
from pathlib import Path

from pipeline.adapters.engines import open_engine
from pipeline.adapters.engines.model import Engine
from pipeline.core import executions
from pipeline.core.hosts import Host
from pipeline.errors import Refused, Transient
from pipeline.settings import Settings

_engines: dict[tuple[str, str, str], Engine] = {}
_lock = threading.Lock()


def engine_of(host: Host, settings: Settings) -> Engine:
    """Return the host's engine, which touches nothing of other deployments."""
    deployment = executions.deployment().id
    key = (host.name, host.url, deployment)
    with _lock:
        if key not in _engines:
            _engines[key] = _open(host, settings, deployment)
        return _engines[key]


def _open(host: Host, settings: Settings, deployment: str) -> Engine:
    try:
        return open_engine(
            host.url or settings.docker_url,
            deployment=deployment,
            folder=settings.state_dir / "processes",
            certs=_certs(host, settings),
            may_be_local=settings.embedded,
            local_image=settings.collect_image,
            sqlite_folders=settings.sqlite_folder_list,
        )
    except Refused as error:
        # This process cannot; that says nothing of the host, and another one may.
        raise Transient(error.message) from error


def _certs(host: Host, settings: Settings) -> Path | None:
    if not settings.docker_cert_dir:
        return None
    folder = Path(settings.docker_cert_dir)
    return folder / host.name if (folder / host.name).is_dir() else folder
