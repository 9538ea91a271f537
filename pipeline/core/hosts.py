"""The hosts on which work goes on outside of workers, and which of them takes the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.core import documents
from pipeline.errors import Conflict, NotFound, Refused
from pipeline.settings import Settings
from pipeline.store.database import as_json, dialect, execute, session, transaction
from pipeline.store.models import as_utc, moment

#: The host that is there without being told.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Host:
    """A host as its row stands; ``away_s``: for so long it does not answer, 0: it does."""

    name: str
    url: str
    slots: int
    labels: dict[str, Any]
    is_draining: bool
    checked_at: datetime | None
    away_since: datetime | None
    came_back_at: datetime | None
    error: str | None
    facts: dict[str, Any]
    now: datetime

    @property
    def away_s(self) -> float:
        """Seconds since it stopped answering."""
        return (self.now - self.away_since).total_seconds() if self.away_since else 0.0

    @property
    def takes(self) -> bool:
        """True when it may be given containers."""
        return self.away_since is None and not self.is_draining

    def has(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it has all of the labels."""
        return all(self.labels.get(name) == value for name, value in labels.items())


def known(settings: Settings) -> list[Host]:
    """Return the hosts, by name; where nobody has told of any, the one of the settings."""
    found = _rows()
    if not found:
        _insert(LOCAL, settings.docker_url, settings.docker_slots, {})
        found = _rows()
    return found


def listed() -> list[Host]:
    """Return the hosts that anybody has told of, by name."""
    return _rows()


def get(name: str, settings: Settings) -> Host:
    """Return the host of that name; ``NotFound`` when there is none."""
    for host in known(settings):
        if host.name == name:
            return host
    raise NotFound(f"There is no host {name!r}.")


def add(name: str, url: str, *, slots: int, labels: Mapping[str, str]) -> None:
    """Make a host known; ``Conflict`` when there is one of that name."""
    if not name.isprintable() or not name or len(name) > 63 or "/" in name:
        raise Refused("A host's name has 1 to 63 printable characters, and no slash.")
    if url and not url.startswith(("unix://", "tcp://", "ssh://", "process://")):
        raise Refused("A host's address begins with unix://, tcp://, ssh:// or process://.")
    if not _insert(name, url, slots, labels):
        raise Conflict(f"There is a host {name!r} already.")


def drain(name: str, *, on: bool = True) -> None:
    """Give the host no more containers, or give it some again."""
    _change(name, "draining = %s", int(on))


def remove(name: str) -> None:
    """Forget a host; ``Conflict`` while containers of ours may be on it."""
    with transaction():
        if execute("SELECT 1 FROM executions WHERE host = %s AND removed_at IS NULL LIMIT 1", name):
            raise Conflict(f"Containers are on {name!r}; drain it first.")
        if not execute("DELETE FROM hosts WHERE name = %s RETURNING name", name):
            raise NotFound(f"There is no host {name!r}.")


def note_here(name: str, facts: Mapping[str, Any] | None = None) -> None:
    """The host answers."""
    now = dialect().now
    told = "" if facts is None else ", facts = %s"
    _change(
        name,
        f"checked_at = {now}, error = NULL, away_since = NULL,"
        f" came_back_at = CASE WHEN away_since IS NULL THEN came_back_at ELSE {now} END{told}",
        *([] if facts is None else [as_json(dict(facts))]),
    )


def note_away(name: str, error: str) -> None:
    """The host does not answer."""
    now = dialect().now
    told = f"checked_at = {now}, error = %s, away_since = COALESCE(away_since, {now})"
    _change(name, told, error)


def choose(
    hosts: Sequence[Host], load: Mapping[str, int], labels: Mapping[str, str]
) -> Host | None:
    """Return the host with the labels that is the least full; None when none has a free slot."""
    fitting = [
        host
        for host in hosts
        if host.takes and host.has(labels) and load.get(host.name, 0) < host.slots
    ]
    return min(
        fitting, key=lambda host: (load.get(host.name, 0) / host.slots, host.name), default=None
    )


_COLUMNS = "name, url, slots, labels, draining, checked_at, away_since, came_back_at, error, facts"


def _rows() -> list[Host]:
    with session():
        rows = execute(f"SELECT {_COLUMNS}, {dialect().now} FROM hosts ORDER BY name")
    return [_host(*row) for row in rows]


def _host(name: str, url: str, slots: int, labels: str, draining: int, *told: Any) -> Host:
    checked, away, back, error, facts, now = told
    return Host(
        *(name, url, slots, documents.loaded(labels), bool(draining)),
        *(as_utc(checked), as_utc(away), as_utc(back), error, documents.loaded(facts or "{}")),
        moment(now),
    )


def _insert(name: str, url: str, slots: int, labels: Mapping[str, str]) -> bool:
    with transaction():
        return bool(
            execute(
                "INSERT INTO hosts (name, url, slots, labels) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (name) DO NOTHING RETURNING name",
                *(name, url, slots, as_json(dict(labels))),
            )
        )


def _change(name: str, assignments: str, *parameters: Any) -> None:
    with transaction():
        if not execute(
            f"UPDATE hosts SET {assignments} WHERE name = %s RETURNING name", *parameters, name
        ):
            raise NotFound(f"There is no host {name!r}.")
