"""How this deployment was when somebody last looked: a row for each thing that it needs.

``upkeep.checking`` looks and writes them; doctor, ``/readyz`` and the exporter of figures read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pipeline.core import documents
from pipeline.core.history import clean
from pipeline.store.database import as_json, dialect, execute, session, transaction
from pipeline.store.models import moment


class State(StrEnum):
    """How it is; ``warning``: it works, and somebody should look."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look has found; ``facts`` are numbers by name."""

    state: State
    message: str
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """A row: what was found, and when; ``age_s`` by the database's clock."""

    name: str
    state: State
    message: str
    checked_at: datetime
    age_s: float
    facts: Mapping[str, float]


def note(found: Mapping[str, Finding | None]) -> None:
    """Write what was found, in one transaction; None: there is nothing of that name any more."""
    sql = dialect()
    with transaction():
        for name, told in sorted(found.items()):
            if told is None:
                execute("DELETE FROM health WHERE name = %s", name)
                continue
            execute(
                "INSERT INTO health (name, state, message, checked_at, facts)"
                f" VALUES (%s, %s, %s, {sql.now}, %s) ON CONFLICT (name) DO UPDATE SET"
                " state = excluded.state, message = excluded.message,"
                " checked_at = excluded.checked_at, facts = excluded.facts",
                *(name, str(told.state), clean(told.message), as_json(dict(told.facts))),
            )


def latest() -> list[Health]:
    """Return what was found last, by name; nothing before anybody has looked."""
    with session():
        rows = execute(
            f"SELECT name, state, message, checked_at, facts, {dialect().now} FROM health"
            " ORDER BY name"
        )
    return [_health(*row) for row in rows]


def _health(name: str, state: str, message: str, checked: Any, facts: str, now: Any) -> Health:
    checked_at = moment(checked)
    age_s = (moment(now) - checked_at).total_seconds()
    return Health(name, State(state), message, checked_at, age_s, documents.loaded(facts))
