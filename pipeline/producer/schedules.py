"""The library's side of schedules."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.context import Context
from pipeline.core.schedules import book, fires, rows, turn
from pipeline.core.schedules.fires import Fire
from pipeline.core.schedules.rows import Schedule
from pipeline.core.schedules.spec import ScheduleChange, ScheduleRequest
from pipeline.producer.job import Job
from pipeline.producer.reading import read_document, validated


class Schedules:
    """What is submitted at certain times, by the scheduler process or ``quayline run``.

    >>> client.schedules.create("shop-nightly", Path("shop.json"), cron="30 2 * * *")
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(
        self,
        name: str,
        document: Path | Mapping[str, Any] | None = None,
        *,
        kind: str | None = None,
        from_job: Job | str | None = None,
        owner: str = "",
        **told: Any,
    ) -> Schedule:
        """Store a schedule; return it. Give one of ``cron``, ``every_s`` and ``at``.

        ``document`` holds the parameters of its jobs, as ``run`` and submissions take them, of the
        kind ``container`` where none is named; ``from_job`` is a job whose kind, parameters and
        stored source are used where none are given; ``template`` (NAME or NAME@VERSION) with
        ``variables`` stands for all three. Besides: ``timezone``, ``enabled``,
        ``catch_up`` (skip, once, all), ``overlap`` (allow, skip, cancel_previous), ``priority``,
        ``labels``, ``deadline_s``. Raises ``Refused`` for what could not be submitted, and
        ``Conflict`` when there is one of that name.
        """
        parameters = read_document(document) if isinstance(document, Path) else document
        if kind is None and from_job is None and told.get("template") is None:
            kind = "container"
        source = from_job.id if isinstance(from_job, Job) else from_job
        asked = validated(
            ScheduleRequest,
            {**told, "name": name, "kind": kind, "parameters": parameters, "from_job": source},
        )
        return book.create(asked, self._context, owner=owner)

    def list(self) -> Sequence[Schedule]:
        """Return all of them, by name."""
        return rows.listed()

    def get(self, name: str) -> Schedule:
        """Return the schedule of that name; ``NotFound`` when there is none."""
        return rows.get(name)

    def change(self, name: str, **told: Any) -> Schedule:
        """Change what is named (as in ``create``), all or nothing; return it as it stands then."""
        return book.change(name, validated(ScheduleChange, told), self._context)

    def enable(self, name: str) -> Schedule:
        """Let it fire from now on; what came while it was off was not missed."""
        return self.change(name, enabled=True)

    def disable(self, name: str) -> Schedule:
        """Let it fire no more."""
        return self.change(name, enabled=False)

    def run(self, name: str, *, actor: str = "client", idempotency_key: str | None = None) -> str:
        """Submit its job now, whether it is on or off; return the job's id. The same key again is
        the same job."""
        key = idempotency_key
        return str(turn.run_now(name, self._context, actor=actor, idempotency_key=key))

    def fires(self, name: str, *, limit: int = 50) -> Sequence[Fire]:
        """Return what came of its times, the newest first."""
        return fires.listed(rows.get(name).id, limit=limit)

    def delete(self, name: str) -> None:
        """Take it and its history away; its jobs stay."""
        book.delete(name)
