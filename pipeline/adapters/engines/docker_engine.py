"""Containers of one deployment on one Docker host. All goes through its API, no file is shared."""

import re
from collections.abc import Collection, Iterator
from math import ceil
from pathlib import Path
from typing import BinaryIO

from pipeline.adapters.engines import (
    docker_cleaning,
    docker_logs,
    docker_network,
    docker_output,
    docker_starting,
)
from pipeline.adapters.engines.docker_cleaning import PREPARING
from pipeline.adapters.engines.docker_daemon import READ_TIMEOUT_S, Daemon
from pipeline.adapters.engines.docker_finding import find, harmless, there
from pipeline.adapters.engines.docker_making import make
from pipeline.adapters.engines.docker_seen import STARTED, listed
from pipeline.adapters.engines.errors import EngineUnavailable, NoSuchContainer
from pipeline.adapters.engines.model import (
    DEPLOYMENT_LABEL,
    MOST_OUTPUT_FILES,
    Engine,
    EngineInfo,
    LogEntry,
    Seen,
    Spec,
)
from pipeline.errors import Refused

#: What may be in the name of a container, a volume or a network.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class DockerEngine(Engine):
    """A Docker host, from Docker 20.10 on. Thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        deployment: str,
        certs: Path | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._deployment = _checked(deployment)
        self._daemon = Daemon(url, certs=certs, timeout_s=timeout_s)

    def ping(self) -> EngineInfo:
        """Return what the engine is; raise ``EngineUnavailable`` when it does not answer."""
        with self._daemon.asked() as client:
            told = client.info()
        return EngineInfo(
            kind="docker",
            version=told["ServerVersion"],
            name=told["Name"],
            cpus=told["NCPU"],
            memory_bytes=told["MemTotal"],
            running=told["ContainersRunning"],
            warnings=told.get("Warnings") or [],
        )

    def gateway(self) -> str | None:
        """Return this machine's address on Docker's own bridge; None: the host is another."""
        with self._daemon.asked() as client:
            return docker_network.gateway(client) if self._daemon.is_local else None

    def find(self, name: str) -> Seen | None:
        """Return the container of that name, its configuration in place; None: there is none."""
        with self._daemon.asked() as client:
            return find(client, self._deployment, _checked(name))

    def listed(self) -> list[Seen]:
        """Return all containers of the deployment: one call, and one for each that does not run."""
        with self._daemon.asked() as client:
            told = client.containers(
                all=True, filters={"label": [f"{DEPLOYMENT_LABEL}={self._deployment}"]}
            )
            looked = [
                seen if seen.state in STARTED else find(client, self._deployment, seen.name)
                for seen in map(listed, told)
                if not seen.name.endswith(PREPARING)
            ]
        return [seen for seen in looked if seen is not None]

    def create(self, spec: Spec) -> Seen:
        """Return the container, not started; the one that is there when there is one."""
        with self._daemon.asked() as client:
            seen = find(client, self._deployment, _checked(spec.name))
            if seen is None:
                make(client, self._deployment, spec)
                seen = find(client, self._deployment, spec.name)
        if seen is None:
            raise EngineUnavailable(f"{spec.name} was removed while it was made.")
        return seen

    def start(self, name: str) -> Seen:
        """Return the container, started now or before."""
        with self._daemon.asked() as client:
            seen = there(client, self._deployment, _checked(name))
            if seen.state == "created":
                docker_starting.start(client, self._deployment, seen)
                seen = there(client, self._deployment, name)
        return seen

    def stop(self, name: str, *, grace_s: float) -> None:
        """The container has ended: by TERM, or by KILL after the grace. None there is fine."""
        with self._daemon.asked() as client:
            seen = find(client, self._deployment, _checked(name))
            if seen is None or seen.state not in STARTED:
                return
            if seen.state == "paused":
                harmless(client.unpause, seen.id)
            harmless(client.stop, seen.id, timeout=ceil(grace_s))

    def kill(self, name: str, *, signal: str = "KILL") -> None:
        """The signal was sent, if it runs."""
        with self._daemon.asked() as client:
            seen = find(client, self._deployment, _checked(name))
            if seen is not None and seen.state in STARTED:
                harmless(client.kill, seen.id, signal)

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> Iterator[LogEntry]:
        """Yield what it wrote after the entry of that timestamp."""
        seen = self.find(name)
        if seen is None:
            raise NoSuchContainer(f"There is no container {name}.")
        container = seen.id
        while seen is not None and seen.id == container:
            # Whatever was written before the end is in a reading that begins after it.
            is_last = not follow or seen.state not in STARTED
            told = docker_logs.read(self._daemon, container, since=since, follow=not is_last)
            for entry in told:
                since = entry.timestamp
                yield entry
            if is_last:
                return
            seen = self.find(name)

    def outputs(
        self, name: str, *, limit_bytes: int, limit_files: int = MOST_OUTPUT_FILES
    ) -> Iterator[tuple[str, int, BinaryIO]]:
        """Yield the path below the output folder, the size and the content of each of its files."""
        seen = self.find(name)
        if seen is None:
            raise NoSuchContainer(f"There is no container {name}.")
        yield from docker_output.read(
            self._daemon, seen.id, limit_bytes=limit_bytes, limit_files=limit_files
        )

    def remove(self, name: str, *, keep_output: bool = False) -> None:
        """Neither the container nor its volumes are there; a running one was killed."""
        with self._daemon.asked() as client:
            docker_cleaning.remove(
                client, self._deployment, _checked(name), keep_output=keep_output
            )

    def remove_leftovers(self, *, keep: Collection[str] = (), dry_run: bool = False) -> int:
        """Remove volumes of the deployment whose container is gone; return how many."""
        with self._daemon.asked() as client:
            return docker_cleaning.remove_leftovers(client, self._deployment, keep, dry_run=dry_run)

    def close(self) -> None:
        """No connection to it is held."""
        self._daemon.close()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refused(f"{name[:60]!r} cannot be a name on a Docker host.")
    return name
