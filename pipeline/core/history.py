"""The event rows: what happened to a job, when, by whom; written with the transition itself."""

import uuid
from collections.abc import Sequence

from pipeline.store import changes
from pipeline.store.database import as_json, dialect, execute


def record(
    job_id: uuid.UUID,
    subject: str,
    from_state: str | None,
    to_state: str,
    *,
    actor: str,
    reason: str | None = None,
    message: str = "",
    tasks: list[int] | None = None,
) -> None:
    """Write the event row of a transition; call it inside the transition's transaction."""
    changes.note(job_id)
    execute(
        "INSERT INTO events (job_id, at, actor, subject, from_state, to_state, reason, message,"
        f" tasks) VALUES (%s, {dialect().now}, %s, %s, %s, %s, %s, %s, %s)",
        *(job_id.hex, actor, subject, from_state, to_state, reason, clean(message)),
        None if tasks is None else as_json(runs(tasks)),
    )


def runs(seqs: Sequence[int]) -> list[list[int]]:
    """Return sorted whole numbers as closed runs: ``[1, 2, 3, 7]`` is ``[[1, 3], [7, 7]]``."""
    found: list[list[int]] = []
    for seq in sorted(seqs):
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


def clean(text: str) -> str:
    """Return the text as a database takes it: no NUL or lone surrogate, 2,000 characters."""
    text = text[:2000].replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
