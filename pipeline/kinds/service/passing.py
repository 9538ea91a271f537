"""Results passed on: where an input says ``$from``, the result of an earlier step is put.

A path is names and places with dots between them: ``sections.0.title``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import Permanent
from pipeline.states import Reason

FROM, PATH = "$from", "path"


def sources(value: Any) -> Iterator[str]:
    """Yield the names of the steps that the value takes from."""
    if is_taken(value):
        yield str(value[FROM])
    elif isinstance(value, dict):
        for each in value.values():
            yield from sources(each)
    elif isinstance(value, list):
        for each in value:
            yield from sources(each)


def is_taken(value: Any) -> bool:
    """Tell whether the value stands for a result."""
    return isinstance(value, dict) and FROM in value and set(value) <= {FROM, PATH}


def filled(value: Any, results: Mapping[str, Any]) -> Any:
    """Return the value with the results in their places; ``Permanent`` where there is none."""
    if is_taken(value):
        return _at(value, results)
    if isinstance(value, dict):
        return {key: filled(each, results) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, results) for each in value]
    return value


def _at(value: dict[str, Any], results: Mapping[str, Any]) -> Any:
    source, path = str(value[FROM]), str(value.get(PATH) or "")
    if source not in results:
        raise _missing(f"The step {source!r} has no result to take from.")
    found = results[source]
    for part in path.split(".") if path else ():
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise _missing(f"The result of {source!r} has nothing at {path!r}.") from None
    return found


def _missing(message: str) -> Permanent:
    return Permanent(message, reason=Reason.BAD_REQUEST)
