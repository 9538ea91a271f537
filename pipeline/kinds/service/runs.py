"""One run of a call: what it is given, and what of it is told to whoever watches."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.core import documents
from pipeline.core.tasks import Claim
from pipeline.kinds.service.spec import Call


@dataclass(frozen=True, slots=True)
class Run:
    """What a service is called with under one attempt of its task; JSON throughout."""

    task_id: str
    job_id: str
    attempt: int
    mode: str
    service: str
    task: str
    user_id: str
    step: int
    input: dict[str, Any]
    context: dict[str, Any]
    needs: dict[str, Any] = field(default_factory=dict)
    checkpoint: Any = None

    def document(self) -> dict[str, Any]:
        """Return it as a child process is told of it."""
        return asdict(self)


def call_of(claim: Claim) -> Call:
    """Return the call of a task; ``Permanent`` (corrupt) when its row holds none."""
    return documents.read(Call, claim.payload, "payload")


def run_of(
    claim: Claim,
    job_id: uuid.UUID,
    call: Call,
    given: dict[str, Any],
    needs: Mapping[str, Any],
    checkpoint: Any,
) -> Run:
    """Return the run of this claim; ``given``: its input, with the results of others in it."""
    return Run(
        task_id=str(claim.id),
        job_id=str(job_id),
        attempt=claim.attempt,
        mode=call.mode,
        service=call.service,
        task=call.task,
        user_id=call.user_id,
        step=call.step,
        input=given,
        context=call.context,
        needs=dict(needs),
        checkpoint=checkpoint,
    )
