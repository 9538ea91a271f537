"""From what was asked and what was sent to a job: checked whole, then stored, then submitted.

The end of an upload is told to the storage only when the rest of the request has come and is
accepted. So a request that is cut off, or refused for what stands after its file, stores nothing.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol, cast, get_origin

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from pipeline.core import jobs
from pipeline.core.jobs import Submission
from pipeline.core.kinds import Kind, get_kind
from pipeline.errors import Refused
from pipeline.kinds.sql_lint.gate import MAX_BASELINE_BYTES, Baseline
from pipeline.kinds.sql_lint.spec import LintParameters
from pipeline.states import Reason
from pipeline.store.blobs import Blob
from pipeline.web.bodies import document
from pipeline.web.forms import Form, Part
from pipeline.web.job_bodies import JobRequest
from pipeline.web.service import Service

REQUEST, FILE = "request", "file"
#: Parameters that are blobs: the form brings the file, the job's row has its digest.
ATTACHED = frozenset({"baseline"})


class Readable(Protocol):
    """What a source is read from."""

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, ``b""`` at the end."""


class Submitting:
    """One request to submit a job, for one owner."""

    def __init__(self, service: Service, *, owner: str, idempotency_key: str | None) -> None:
        self._service = service
        self._owner = owner
        self._key = idempotency_key
        self._attachments: dict[str, bytes] = {}
        self._request: JobRequest | None = None
        self._checked: BaseModel | None = None

    def alone(self, request: JobRequest) -> uuid.UUID:
        """Submit a job of a kind that needs no file; return its id."""
        self._take(request)
        if needs_file(get_kind(request.kind)):
            raise Refused(
                f"A job of the kind {request.kind} needs a file: send a form with the field"
                f" `{FILE}`, or the archive itself."
            )
        return self._submit(None, None)

    def raw(self, request: JobRequest, body: Readable) -> uuid.UUID:
        """Submit a job with the body as its file; return its id."""
        self._take(request)
        self._check_takes_file()
        blob = self._put(body, lambda: None)
        return self._submit(blob, None)

    def form(self, form: Form) -> uuid.UUID:
        """Submit the job that the form asks for; return its id."""
        parts = form.parts()
        for part in parts:
            if part.name != FILE:
                self._field(part)
                continue
            if self._request is not None:
                self._check()
                self._check_takes_file()
            blob = self._put(part, lambda: self._rest(parts))
            return self._submit(blob, part.filename)
        if self._request is None:
            raise Refused(f"The form has no field `{REQUEST}`, which holds the request in JSON.")
        return self.alone(self._request)

    def _rest(self, parts: Iterator[Part]) -> None:
        """Read what stands after the file, and check the whole."""
        for part in parts:
            if part.name == FILE:
                raise Refused(f"The form has more than one field `{FILE}`.")
            self._field(part)
        if self._request is None:
            raise Refused(f"The form has no field `{REQUEST}`, which holds the request in JSON.")
        self._check()
        self._check_takes_file()

    def _field(self, part: Part) -> None:
        if part.name == REQUEST:
            limit = self._service.context.settings.api_max_body_bytes
            self._request = read_request(part.whole(limit))
        elif part.filename is not None and part.name in ATTACHED:
            self._attachments[part.name] = part.whole(MAX_BASELINE_BYTES)
        else:
            raise Refused(
                f"The form's field {part.name[:50]!r} is none of ours: there are `{REQUEST}`,"
                f" `{FILE}`, and the file `baseline`."
            )

    def _take(self, request: JobRequest) -> None:
        self._request = request
        self._check()

    def _check(self) -> None:
        """Accept the request, or refuse it; nothing is stored by it."""
        assert self._request is not None
        kind = get_kind(self._request.kind)
        told = {**self._request.parameters}
        for name, content in self._attachments.items():
            if name not in getattr(kind.parameters, "model_fields", {}):
                raise Refused(f"The kind {kind.name} has no parameter {name}.")
            told[name] = hashlib.sha256(content).hexdigest()
        self._request = self._request.model_copy(update={"parameters": told})
        self._checked = checked(kind, told)
        kind.admit(self._checked, self._service.context.settings)
        self._check_baseline()

    def _check_baseline(self) -> None:
        if not isinstance(self._checked, LintParameters) or self._checked.baseline is None:
            return
        content = self._attachments.get("baseline")
        if content is not None:
            Baseline.from_bytes(content)
        elif not self._service.context.blobs.renew(self._checked.baseline):
            raise Refused("parameters.baseline: No such blob is stored; send the file itself.")

    def _check_takes_file(self) -> None:
        assert self._request is not None
        if not needs_file(get_kind(self._request.kind)):
            raise Refused(f"A job of the kind {self._request.kind} takes no file.")

    def _put(self, source: Readable, finish: Callable[[], None]) -> Blob:
        limit = self._service.context.settings.max_source_bytes
        held = cast(BinaryIO, Held(source, finish))
        blob = self._service.context.blobs.put(held, limit_bytes=limit)
        for content in self._attachments.values():
            self._service.context.blobs.put(content)
        return blob

    def _submit(self, blob: Blob | None, filename: str | None) -> uuid.UUID:
        told = self._request
        assert told is not None
        name = told.name or filename or told.parameters.get("task_name")
        source: dict[str, Any] | None = {"name": name} if isinstance(name, str) else None
        if blob is not None:
            attached = getattr(self._checked, "baseline", None)
            source = {
                "name": told.name or filename or "upload",
                "size_bytes": blob.size_bytes,
                "digest": blob.digest,
                "blobs": [each for each in (blob.digest, attached) if each],
            }
        return jobs.submit(
            Submission(
                kind=told.kind,
                parameters=told.parameters,
                source=source,
                priority=told.priority,
                owner=self._owner,
                labels=told.labels,
                idempotency_key=self._key,
                deadline_s=told.deadline_s,
            ),
            heard=self._service.heard,
        )


class Held:
    """A source whose end is told only after ``finish`` has returned."""

    def __init__(self, source: Readable, finish: Callable[[], None]) -> None:
        self._source = source
        self._finish = finish
        self._size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next piece of the source."""
        piece = self._source.read(size)
        self._size_bytes += len(piece)
        if not piece:
            self._finish()
            if not self._size_bytes:
                raise Refused("The file is empty.", reason=Reason.TRUNCATED)
        return piece


def needs_file(kind: Kind) -> bool:
    """Tell whether jobs of the kind have a source."""
    return kind.needs_source


def checked(kind: Kind, parameters: dict[str, Any]) -> BaseModel:
    """Return the parameters as the kind's model; 422 with every mistake."""
    try:
        return kind.parameters.model_validate(parameters)
    except ValidationError as error:
        raise _invalid(error, "parameters") from error


def read_request(content: bytes) -> JobRequest:
    """Return the request that the JSON text holds; 422 when it is none."""
    try:
        return JobRequest.model_validate(document(content))
    except ValidationError as error:
        raise _invalid(error) from error


def parameters_of(kind: Kind, told: list[tuple[str, str]]) -> dict[str, Any]:
    """Return query parameters as the kind's: those that are lists there are lists here."""
    fields = getattr(kind.parameters, "model_fields", {})
    found: dict[str, Any] = {}
    for name, value in told:
        if name in fields and get_origin(fields[name].annotation) is list:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def _invalid(error: ValidationError, *place: str) -> RequestValidationError:
    told = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError(
        [{**each, "loc": ("body", *place, *each["loc"])} for each in told]
    )
