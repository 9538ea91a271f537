"""The library's side of templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.templates import book, rows, submitting
from pipeline.core.templates.rows import Template
from pipeline.core.templates.spec import TemplateJob, TemplateRequest
from pipeline.producer.job import Job
from pipeline.producer.reading import read_document, validated

if TYPE_CHECKING:
    from pipeline.producer.client import Client


class Templates:
    """Named job descriptions with variables; a version is never changed, a new one is added.

    >>> client.templates.create("crawl", Path("crawl.json"))
    >>> client.templates.submit("crawl", shop="north", pages=3).wait()
    """

    def __init__(self, client: "Client") -> None:
        self._client = client

    def create(
        self,
        name: str,
        document: Path | Mapping[str, Any] | None = None,
        *,
        from_job: Job | str | None = None,
        owner: str = "",
        **told: Any,
    ) -> Template:
        """Store a new version of the template; return it. The same again makes none.

        ``document`` (or the path of a JSON file of it) and further arguments hold ``kind``,
        ``parameters`` with placeholders, ``variables``, ``priority``, ``labels``, ``deadline_s``
        and ``description``; ``from_job`` is a job whose kind, parameters and stored source are
        used where none are given. Raises ``Refused`` for what no values could make a job of.
        """
        body = read_document(document) if isinstance(document, Path) else (document or {})
        if from_job is not None:
            told["from_job"] = from_job.id if isinstance(from_job, Job) else from_job
        asked = validated(TemplateRequest, {**body, **told, "name": name})
        return book.create(asked, self._client.context, owner=owner)

    def get(self, name: str) -> Template:
        """Return the newest version that is not retired, or that of ``NAME@VERSION``."""
        return rows.get(name)

    def list(self) -> Sequence[Template]:
        """Return the newest version of each that is not retired, by name."""
        return rows.listed()

    def versions(self, name: str) -> Sequence[Template]:
        """Return all versions of one, the newest first, retired ones too."""
        return rows.versions(name)

    def retire(self, name: str) -> Sequence[str]:
        """Let no more jobs be made of ``NAME@VERSION``, or of any; return which were used."""
        return book.retire(name)

    def submit(
        self,
        name: str,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        priority: int | None = None,
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
        **variables: Any,
    ) -> Job:
        """Submit a job of the template and return at once; its label ``template`` is the version.

        Variables are given by name, or in ``values`` where their names are those of arguments.
        Raises ``Refused`` for a value that is none of the variable's, and for a job that its kind
        would refuse; nothing is stored then.
        """
        asked = validated(
            TemplateJob,
            {
                **{"variables": {**(values or {}), **variables}, "labels": dict(labels or {})},
                **{"priority": priority, "deadline_s": deadline_s},
            },
        )
        client = self._client
        job_id = submitting.submit(
            *(name, asked, client.context),
            owner=owner,
            idempotency_key=idempotency_key,
            heard=client.heard,
        )
        client.start()
        return Job(client, job_id)
