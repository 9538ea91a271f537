"""The kinds of job that this deployment knows, each with the schema of its parameters."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pipeline.core.kinds import all_kinds
from pipeline.web.callers import Caller
from pipeline.web.problems import responses
from pipeline.web.submitting import needs_file

router = APIRouter(prefix="/kinds", tags=["jobs"])


class KindOfJob(BaseModel):
    """A kind of job."""

    name: str
    needs_file: bool = Field(description="True: it comes with an archive.")
    parameters: dict[str, Any] = Field(description="JSON Schema of its parameters.")


@router.get("", responses=responses(401))
def list_kinds(caller: Caller) -> list[KindOfJob]:
    """Return what may be submitted."""
    return [
        KindOfJob(
            name=kind.name,
            needs_file=needs_file(kind),
            parameters=kind.parameters.model_json_schema(),
        )
        for kind in sorted(all_kinds(), key=lambda each: each.name)
    ]
