"""JSON schemas that submitters bring, and what is held against them.

A schema is foreign: it may name pages of the network and patterns that take for ever, and does not
get them.
"""

from collections.abc import Iterator
from typing import Any

from pipeline.kinds.service.builtin.answers import Misfit
from pipeline.kinds.service.builtin.extras import needing
from pipeline.kinds.service.calls import Rejected

#: Keys whose pattern may take for ever.
PATTERNS = frozenset({"pattern", "patternProperties"})
#: How a reference within the schema begins.
WITHIN = "#"


class Schema:
    """A submitter's schema; ``Rejected`` for one that is none, or asks for more than it gets."""

    def __init__(self, document: dict[str, Any]) -> None:
        with needing("services"):
            from jsonschema import Draft202012Validator, SchemaError
            from referencing import Registry
        for key, value in _pairs(document):
            if key in PATTERNS:
                raise Rejected("A schema of an answer has no patterns.")
            if key in ("$ref", "$dynamicRef") and not str(value).startswith(WITHIN):
                raise Rejected("A schema of an answer refers to itself only.")
        try:
            Draft202012Validator.check_schema(document)
        except (SchemaError, RecursionError) as error:
            told = error.message if isinstance(error, SchemaError) else "too deep"
            raise Rejected(f"The schema is none: {told[:300]}.") from None
        self._validator = Draft202012Validator(document, registry=Registry())

    def read(self, value: Any) -> Any:
        """Return the value, which fits; ``Misfit`` says why it does not."""
        from referencing.exceptions import Unresolvable

        try:
            error = next(self._validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise Rejected("The schema refers to what it does not have.") from None
        if error is not None:
            raise Misfit(f"{error.json_path}: {error.message[:300]}")
        return value


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of each object in the value, with what stands there."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found.items()
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
