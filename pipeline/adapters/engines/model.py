"""The seam between container jobs and what runs them: a Docker host, or this machine.

An engine is opened for one deployment: containers of any other are not there for it, and are never
touched. Every call has a timeout and may be repeated: a reply that was lost after its effect does
no harm. Any of them may raise ``EngineUnavailable``.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Literal

from pipeline import clock

DEPLOYMENT_LABEL = "quayline.deployment"

#: Where a container finds its configuration and leaves its output.
APP_FOLDER = "/app"
CONFIG_FILE = f"{APP_FOLDER}/config.json"
OUTPUT_FOLDER = f"{APP_FOLDER}/output"

State = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
ENDED: frozenset[State] = frozenset({"exited", "dead"})

#: Most output files taken of one container.
MOST_OUTPUT_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Spec:
    """What is to run, with all its limits."""

    name: str  # also its host name
    image: str
    labels: Mapping[str, str]
    env: Mapping[str, str]
    memory_bytes: int
    cpus: float
    pids: int
    tmpfs_bytes: int
    log_bytes: int
    user: str = "65532:65532"
    command: Sequence[str] | None = None  # in place of the image's own
    config: bytes | None = None
    network: str | None = None  # the deployment's own network of that name; None: no network
    resumes: bool = False  # its output folder begins with what ``remove`` kept of the one before
    stop_grace_s: float = 10.0  # for a stop that is not ours, as the engine's own end


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine says of one container: facts, not what they mean.

    ``oom_killed`` may be true with exit code 0 (a child was killed), and exit code 137 is no proof
    of it. A running one that was listed, not found, has no ``started_at``.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    state: State
    created_at: datetime
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """True when it ran, or tried to, and does not any more."""
        return self.state in ENDED

    @property
    def age_s(self) -> float:
        """Seconds since it was created, by this machine's clock."""
        return (clock.now() - self.created_at).total_seconds()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line, or a piece of a long one (without the line feed), of one of the two streams.

    ``timestamp`` is RFC 3339 in UTC with nine digits of a second. It grows from entry to entry and
    is the same at every reading, so that it is a cursor, too, and compares as text.
    """

    timestamp: str
    stream: str  # "stdout" or "stderr"
    data: bytes


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine is and has."""

    kind: str  # "docker" or "process"
    version: str
    name: str
    cpus: int
    memory_bytes: int
    running: int
    warnings: list[str]


class Engine(ABC):
    """Runs containers of one deployment."""

    @abstractmethod
    def ping(self) -> EngineInfo:
        """Return what the engine is; raise ``EngineUnavailable`` when it does not answer."""

    @abstractmethod
    def gateway(self) -> str | None:
        """Return the address of this machine that its containers reach; None: they are elsewhere.

        Raises ``EngineUnavailable``.
        """

    @abstractmethod
    def find(self, name: str) -> Seen | None:
        """Return the container of that name, its configuration in place; None: there is none."""

    @abstractmethod
    def listed(self) -> list[Seen]:
        """Return all containers of the deployment, in every state."""

    @abstractmethod
    def create(self, spec: Spec) -> Seen:
        """Return the container, not started; the one that is there when there is one.

        Raises ``ImageMissing``, ``CannotCreate``, ``ForeignContainer``.
        """

    @abstractmethod
    def start(self, name: str) -> Seen:
        """Return the container, started now or before.

        Raises ``CannotStart``, ``NoSuchContainer``.
        """

    @abstractmethod
    def stop(self, name: str, *, grace_s: float) -> None:
        """The container has ended: by TERM, or by KILL after the grace. None there is fine."""

    @abstractmethod
    def kill(self, name: str, *, signal: str = "KILL") -> None:
        """The signal was sent, if it runs."""

    @abstractmethod
    def logs(self, name: str, *, since: str = "", follow: bool = False) -> Iterator[LogEntry]:
        """Yield what it wrote after the entry of that timestamp; all of it when ``since`` is "".

        With ``follow`` until it ends. Raises ``NoSuchContainer``.
        """

    @abstractmethod
    def outputs(
        self, name: str, *, limit_bytes: int, limit_files: int = MOST_OUTPUT_FILES
    ) -> Iterator[tuple[str, int, BinaryIO]]:
        """Yield the path below the output folder, the size and the content of each of its files.

        Read each before the next. Only regular files with safe names; links, devices and the like
        are left out. Raises ``OutputTooLarge``, ``NoSuchContainer``.
        """

    @abstractmethod
    def remove(self, name: str, *, keep_output: bool = False) -> None:
        """Neither the container nor its volumes are there; a running one was killed.

        With ``keep_output`` what it left waits for a container of that name that ``resumes``.
        """

    @abstractmethod
    def remove_leftovers(self, *, keep: Collection[str] = (), dry_run: bool = False) -> int:
        """Remove volumes of the deployment whose container is gone; return how many.

        ``keep``: names of containers whose volumes stay. With ``dry_run`` all do.
        """

    @abstractmethod
    def close(self) -> None:
        """No connection to it is held."""
