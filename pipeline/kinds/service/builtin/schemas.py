"""JSON schemas that submitters bring, and what is held against them.

A schema is foreign: it may name pages of the network, and ask for what takes for ever; it gets
neither.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.kinds.service.builtin.answers import Misfit
from pipeline.kinds.service.builtin.extras import needing
from pipeline.kinds.service.calls import Rejected

#: Single checks that may take for ever.
ENDLESS = {"pattern": str, "patternProperties": dict, "uniqueItems": bool}
REFERENCES = frozenset({"$ref", "$dynamicRef"})
#: How a reference within the schema begins.
WITHIN = "#"
#: All checks of an answer together, in seconds: references may double them again and again.
LIMIT_S = 2.0

Check = Callable[..., Iterator[Any] | None]


class Schema:
    """A submitter's schema; ``Rejected`` for one that is none, or asks for more than it gets."""

    def __init__(self, document: dict[str, Any]) -> None:
        with needing("services"):
            from jsonschema import Draft202012Validator, SchemaError
            from jsonschema.validators import extend
            from referencing import Registry
        _refuse_more(document)
        try:
            Draft202012Validator.check_schema(document)
        except (SchemaError, RecursionError) as error:
            told = error.message if isinstance(error, SchemaError) else "too deep"
            raise Rejected(f"The schema is none: {told[:300]}.") from None
        self._ends_at = 0.0
        checks = Draft202012Validator.VALIDATORS
        timed = {name: self._timed(check) for name, check in checks.items()}
        # With a registry of its own it looks for nothing elsewhere.
        self._validator = extend(Draft202012Validator, timed)(document, registry=Registry())

    def read(self, value: Any) -> Any:
        """Return the value, which fits; ``Misfit`` says why it does not."""
        from referencing.exceptions import Unresolvable

        self._ends_at = time.monotonic() + LIMIT_S
        try:
            error = next(self._validator.iter_errors(value), None)
        except (Unresolvable, RecursionError):
            raise Rejected("The schema refers to what it does not have.") from None
        if error is not None:
            raise Misfit(f"{error.json_path}: {error.message[:300]}")
        return value

    def _timed(self, check: Check) -> Check:
        def timed(*told: Any) -> Iterator[Any]:
            if time.monotonic() > self._ends_at:
                raise Rejected(f"The schema takes more than {LIMIT_S:g} s to be checked.")
            yield from check(*told) or ()

        return timed


def _refuse_more(document: dict[str, Any]) -> None:
    for key, value in _pairs(document):
        # What has another type there is a property of that name.
        if isinstance(value, ENDLESS.get(key, ())):
            raise Rejected(f"A schema of an answer has no {key}.")
        if key in REFERENCES and isinstance(value, str) and not value.startswith(WITHIN):
            raise Rejected("A schema of an answer refers to itself only.")


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
