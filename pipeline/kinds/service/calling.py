"""Calls a service and says what that came to: a JSON result, or why there is none."""

import inspect
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from pipeline import jsontext
from pipeline.core import documents
from pipeline.errors import Permanent, QuaylineError, Transient
from pipeline.kinds.service.calls import RetryLater
from pipeline.kinds.service.registry import ANY, Offer
from pipeline.kinds.service.surroundings import Surroundings
from pipeline.states import Reason

log = logging.getLogger(__name__)

#: So much of what an error says is told to users.
MOST_TOLD = 1000

#: Runs a coroutine to its end.
Awaiting = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended; no reason: well, with ``result``.

    ``again``: another run may end better, no sooner than after ``after_s``; ``shared``: nor may any
    other call of the service begin before. ``is_asked``: the service itself asks for that run.
    ``saw_stop``: it was told that it should stop.
    """

    result: Any = None
    reason: Reason | None = None
    message: str = ""
    again: bool = False
    after_s: float | None = None
    shared: bool = False
    is_asked: bool = False
    saw_stop: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as a child process tells it."""
        return asdict(self)


def answer(
    offer: Offer,
    task: str,
    given: dict[str, Any],
    context: Surroundings,
    *,
    awaiting: Awaiting,
    most_bytes: int,
) -> Answer:
    """Call the task of the service; whatever it raises but the end of its thread is an answer."""
    told = _answer(offer, task, given, context, awaiting, most_bytes)
    return replace(told, saw_stop=context.saw_stop)


def _answer(
    offer: Offer,
    task: str,
    given: dict[str, Any],
    context: Surroundings,
    awaiting: Awaiting,
    most_bytes: int,
) -> Answer:
    try:
        method = _method(offer, task)
        told = _input(offer.input_of(task), given)
        result = method(told, context)
        if inspect.isawaitable(result):
            result = awaiting(_coroutine(result))
        return Answer(_output(offer.output_of(task), result, most_bytes))
    except RetryLater as error:
        return Answer(
            *(None, error.reason, error.message[:MOST_TOLD], True),
            after_s=error.after_s,
            shared=error.shared,
            is_asked=True,
        )
    except Permanent as error:
        return Answer(None, error.reason, error.message[:MOST_TOLD])
    except MemoryError:
        return Answer(None, Reason.OUT_OF_MEMORY, "The service ran out of memory.")
    except (Exception, SystemExit) as error:
        again = isinstance(error, (*offer.limits.retry_on, Transient))
        if not isinstance(error, QuaylineError):
            log.warning("A service failed", exc_info=True, extra={"service": offer.label})
        return Answer(None, Reason.ERROR, _sentence(error), again)


def _method(offer: Offer, task: str) -> Callable[..., Any]:
    instance = offer.factory()
    if task in offer.tasks:
        method: Callable[..., Any] = getattr(instance, task)
        return method
    if offer.takes_any:
        general = getattr(instance, ANY)
        return lambda told, context: general(task, told, context)
    raise Permanent(
        f"The service {offer.label} has no task {task!r}; it has {', '.join(offer.tasks)}.",
        reason=Reason.BAD_REQUEST,
    )


async def _coroutine(awaitable: Any) -> Any:
    return await awaitable


def _input(model: type[BaseModel] | None, given: dict[str, Any]) -> Any:
    if model is None:
        return given
    try:
        return model.model_validate(given)
    except ValidationError as error:
        told = f"The input does not fit: {documents.misfits(error, 'input')[0][:MOST_TOLD]}."
        raise Permanent(told, reason=Reason.BAD_REQUEST) from None


def _output(model: type[BaseModel] | None, result: Any, most_bytes: int) -> Any:
    """Return the result as JSON; ``Permanent`` for one that is none, does not fit or is large."""
    try:
        if model is not None:
            result = model.model_validate(result)
        if isinstance(result, BaseModel):
            result = result.model_dump(mode="json")
        encoded = jsontext.encoded(result)
        # As everybody will read it.
        result = orjson.loads(encoded)
    except ValidationError as error:
        told = documents.misfits(error, "result")[0][:MOST_TOLD]
        raise Permanent(f"The result does not fit: {told}.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise Permanent(f"The result is no JSON: {error}.") from None
    if len(encoded) > most_bytes:
        raise Permanent(
            f"The result takes {len(encoded)} bytes; the most is {most_bytes}"
            " (QUAYLINE_SERVICE_OUTPUT_BYTES).",
            reason=Reason.TOO_LARGE,
        )
    return result


def _sentence(error: BaseException) -> str:
    if isinstance(error, QuaylineError):
        return error.message[:MOST_TOLD]
    try:
        told = str(error).strip()
    except Exception:
        log.exception("An error of a service has no text")
        told = ""
    return f"{type(error).__name__}: {told}"[:MOST_TOLD] if told else type(error).__name__
