"""Answers of models in JSON: asked for, read and held against what they should be."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from pipeline.adapters.models import Reply
from pipeline.core import documents
from pipeline.kinds.service.builtin.asking import Asking, Message, Usage, asked
from pipeline.kinds.service.calls import Rejected, TaskContext

#: An answer that does not fit is asked for once more, with what is wrong with it.
TRIES = 2

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Misfit(Exception):
    """Raised for an answer that is not what was asked for; its text says why."""


async def fitting(
    context: TaskContext,
    given: Asking,
    messages: list[Message],
    model: type[M],
    usage: Usage,
    *,
    check: Callable[[M], None] | None = None,
) -> M:
    """Return the answer as the pydantic model; ``Rejected`` when the other gives none that fits.

    ``check`` raises ``Misfit`` for one that fits the model and is still not what was asked for.
    """

    def read(value: Any) -> M:
        try:
            found = model.model_validate(value)
        except ValidationError as error:
            raise Misfit(documents.misfits(error, "answer")[0]) from None
        if check is not None:
            check(found)
        return found

    schema = model.model_json_schema()
    return (await as_asked(context, given, messages, schema, read, usage))[1]


async def as_asked(
    context: TaskContext,
    given: Asking,
    messages: list[Message],
    schema: dict[str, Any],
    read: Callable[[Any], T],
    usage: Usage,
) -> tuple[Reply, T]:
    """Return the answer, and what ``read`` makes of it, which raises ``Misfit`` for one that does
    not fit."""
    wanted = json.dumps(schema, ensure_ascii=False)
    told = [
        {"role": "system", "content": f"Answer with JSON alone that fits this schema: {wanted}"},
        *messages,
    ]
    why = ""
    for _ in range(TRIES):
        reply = await asked(context, given, told, schema=schema, is_shown=False)
        usage.count(reply)
        if reply.finish_reason == "length":
            raise Rejected("The model's answer is not whole: max_tokens, or its own limit.")
        try:
            return reply, read(_document(reply.text))
        except Misfit as error:
            why = str(error)
        told += [
            {"role": "assistant", "content": reply.text},
            {"role": "user", "content": f"That does not fit: {why}. Answer with the JSON alone."},
        ]
    raise Rejected(f"The model gave no answer that fits: {why}.")


def without_thoughts(text: str) -> str:
    """Return the answer alone: some models tell before it what they think."""
    return text.rpartition("</think>")[2].strip()


def _document(text: str) -> Any:
    """Return the JSON of an answer; a fence of Markdown around it is no part of it."""
    text = without_thoughts(text)
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0]
    try:
        return orjson.loads(text)
    except ValueError:
        raise Misfit("it is no JSON") from None
