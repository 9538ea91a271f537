"""What an actor takes, read once from its own signature; and the types that such signatures use.

A message carries JSON and its actor is called with what stands there, unconverted. So a parameter
has a type of JSON, narrowed where it means more than that: an id is text, but not any text. One
without a type takes anything.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Annotated, Any

from pydantic import Field, ValidationError, validate_call

#: The text of a UUID as Python writes it.
UUID_TEXT = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

JobId = Annotated[str, Field(pattern=UUID_TEXT)]
TaskId = Annotated[str, Field(pattern=UUID_TEXT)]
#: The tasks of a job that were sent together.
BatchId = Annotated[str, Field(pattern=UUID_TEXT)]

#: A sentence about arguments repeats names that strangers chose; so much of it is enough.
MOST_TOLD = 200


def misfit(actor: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return what the function does not take of these arguments, ``""`` when it takes them all.

    Nothing is converted (1 is no text, true is no number), and the function is not called.
    """
    try:
        _doorstep(actor)(*args, **kwargs)
    except ValidationError as error:
        # The input stays out of it: it may be of any size.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return _shown(f"{_place(actor, first['loc'])}: {first['msg']}"[:MOST_TOLD])
    return ""


def _place(actor: Callable[..., Any], found: tuple[int | str, ...]) -> str:
    """Return where the fault is, a parameter by its name where it has one."""
    first, *deeper = found or ("arguments",)
    names = list(signature(actor).parameters)
    if isinstance(first, int):
        first = names[first] if first < len(names) else f"argument {first + 1}"
    return ".".join(str(part) for part in (first, *deeper))


def _shown(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


@cache
def _doorstep(actor: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that takes what the actor takes, and does nothing."""

    @wraps(actor)
    def doorstep(*args: Any, **kwargs: Any) -> None:
        pass

    return validate_call(config={"strict": True})(doorstep)
