"""Which engine an address means."""

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipeline.adapters.engines.model import Engine
from pipeline.adapters.engines.process_engine import ProcessEngine
from pipeline.errors import Refused

log = logging.getLogger(__name__)

PROCESS_URL = "process://"
#: The image that the collectors are in; this machine runs no other.
LOCAL_IMAGE = "quayline-collect:latest"


def open_engine(
    url: str,
    *,
    deployment: str,
    folder: Path,
    certs: Path | None = None,
    may_be_local: bool = False,
    local_image: str = LOCAL_IMAGE,
    sqlite_folders: Sequence[str] = (),
) -> Engine:
    """Return the engine at the address, for one deployment; it is not asked anything yet.

    An address is that of a Docker host (``unix://``, ``tcp://``, ``ssh://``; "": ``DOCKER_HOST``,
    or the usual socket), or ``process://``: child processes of this machine, in ``folder``. With
    ``may_be_local`` "" means these, too, where no Docker engine is. ``certs`` has ``ca.pem``,
    ``cert.pem`` and ``key.pem`` for tcp, or ``ssh_config``. Child processes open SQLite files in
    ``sqlite_folders`` and in their own output only.
    """
    if url.startswith(PROCESS_URL) or (not url and may_be_local and not _has_docker()):
        log.info("Collectors run as processes of this machine, without Docker")
        return ProcessEngine(
            folder, deployment=deployment, image=local_image, sqlite_folders=sqlite_folders
        )
    try:
        from pipeline.adapters.engines.docker_engine import DockerEngine
    except ImportError as error:
        raise Refused("The Docker SDK is missing: pip install 'quayline[docker]'.") from error
    return DockerEngine(url, deployment=deployment, certs=certs)


def _has_docker() -> bool:
    """Tell whether somebody listens where Docker does by default, or we were told where it is."""
    if os.environ.get("DOCKER_HOST"):
        return True
    try:
        from pipeline.adapters.engines.docker_daemon import default_url
    except ImportError:
        return False
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(5)
        try:
            probe.connect(default_url().removeprefix("unix://"))
        except OSError:
            return False
    return True
