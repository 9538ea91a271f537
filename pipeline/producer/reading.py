"""What callers hand over, read and checked: files, documents, parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import Refused

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], told: Mapping[str, Any]) -> M:
    """Return what was told as the model; ``Refused`` says what is wrong first."""
    try:
        return model.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}." for part in first["loc"])[:-1]
        why = first["msg"].removeprefix("Value error, ")
        raise Refused(f"{where}: {why}." if where else f"{why}.") from error


def read_document(path: Path) -> Mapping[str, Any]:
    """Return the JSON object that the file holds; ``Refused`` when it holds none."""
    try:
        told = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is no JSON: {error}.") from error
    if not isinstance(told, dict):
        raise Refused(f"{path} holds no JSON object.")
    return told


def read_file(path: Path) -> bytes:
    """Return what the file holds; ``Refused`` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
