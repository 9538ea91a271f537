"""What Docker says of a container, read."""

from datetime import UTC, datetime
from typing import Any

from pipeline.adapters.engines.model import Seen, State
from pipeline.adapters.engines.timestamps import moment

STARTED: frozenset[State] = frozenset({"running", "paused", "restarting"})


def inspected(document: dict[str, Any]) -> Seen:
    """Return what an inspection says."""
    told = document["State"]
    state: State = told["Status"]
    created_at = moment(document["Created"])
    assert created_at is not None
    # A start that failed leaves it `created`, with the code of a command that is not there.
    has_code = state not in STARTED and (state != "created" or bool(told["Error"]))
    return Seen(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        image=document["Config"]["Image"],
        labels=document["Config"]["Labels"] or {},
        state=state,
        created_at=created_at,
        exit_code=told["ExitCode"] if has_code else None,
        oom_killed=told["OOMKilled"],
        error=told["Error"],
        started_at=moment(told["StartedAt"]),
        finished_at=moment(told["FinishedAt"]) if has_code else None,
    )


def listed(document: dict[str, Any]) -> Seen:
    """Return what the list says; it knows nothing of how a container ended."""
    return Seen(
        id=document["Id"],
        name=document["Names"][0].removeprefix("/") if document["Names"] else "",
        image=document["Image"],
        labels=document["Labels"] or {},
        state=document["State"],
        created_at=datetime.fromtimestamp(document["Created"], UTC),
    )
