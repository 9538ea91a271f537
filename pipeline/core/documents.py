"""Documents that rows hold, read back. Another version may have written them, or a hand.

They are taken as the models of this version, or refused for good: a second look sees the same.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from pipeline.errors import Permanent
from pipeline.states import Reason

M = TypeVar("M", bound=BaseModel)


def read(model: type[M], document: Any, name: str) -> M:
    """Return the document as the model; ``Permanent`` (corrupt) says what is wrong with it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise corrupt(misfits(error, name)[0]) from error


def misfits(error: ValidationError, name: str) -> list[str]:
    """Return what does not fit a model, each with its place below ``name``: `a.b: Field required`.

    Never what stood there: it may be secret, or large.
    """
    told = error.errors(include_url=False, include_context=False, include_input=False)
    return [misfit(each, name) for each in told]


def misfit(told: Mapping[str, Any], name: str) -> str:
    """Return one of a ``ValidationError``'s errors so."""
    place = ".".join(str(part) for part in (name, *told["loc"]))
    return f"{place[:200]}: {told['msg']}"


def mapping(document: Any, name: str) -> dict[str, Any]:
    """Return the document, a JSON object; ``Permanent`` (corrupt) when it is something else."""
    if not isinstance(document, dict):
        raise corrupt(f"{name} is no object")
    return document


def loaded(text: str | bytes) -> dict[str, Any]:
    """Return the object that the text is in JSON; an empty one, which lacks everything, for
    another text."""
    try:
        document = orjson.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def corrupt(why: str) -> Permanent:
    """Return the error of a row that holds something else than this version writes."""
    return Permanent(
        f"The row holds what this version does not read ({why}); submit the job again.",
        reason=Reason.CORRUPT,
    )
