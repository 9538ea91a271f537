"""A question to a model in the surroundings of a call: who is asked, what is told, who waits."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.adapters import models
from pipeline.adapters.models import ModelAway, ModelBusy, Profile, Question, Reply
from pipeline.core.context import current_settings
from pipeline.kinds.service.calls import Rejected, RetryLater, TaskContext
from pipeline.kinds.service.registry import Limits

#: No text that is given to a model is longer, in characters.
MOST_TEXT = 400_000

#: An endpoint fails more often than what runs here.
LIMITS = Limits(max_attempts=5)

Message = dict[str, str]


class Asking(BaseModel):
    """What an input may say about the model. What it does not say may stand in the context."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field("", max_length=200, description="The endpoint; empty: the first.")
    model: str = Field("", max_length=200, description="The model; empty: the profile's own.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Of the answer.")


class Usage(BaseModel):
    """Tokens of what was asked and answered."""

    input_tokens: int = 0
    output_tokens: int = 0

    def count(self, reply: Reply) -> None:
        """Add those of an answer."""
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens


async def asked(
    context: TaskContext,
    given: Asking,
    messages: list[Message],
    *,
    schema: dict[str, Any] | None = None,
    is_shown: bool = True,
) -> Reply:
    """Return the model's whole answer, shown as partial output while it comes.

    Raises ``RetryLater`` where the endpoint may answer later, ``Permanent`` where it will not.
    """
    told = current_settings().models.get_secret_value()
    name, profile = models.chosen(given.profile or text_in(context, "profile"), told)
    question = Question(
        messages,
        model=given.model or text_in(context, "model"),
        temperature=given.temperature,
        max_tokens=given.max_tokens,
        schema=schema,
    )
    reply = await _reply(context, profile, name, question, is_shown=is_shown)
    if reply.finish_reason == "content_filter":
        raise Rejected(f"The endpoint {name} does not let the model's answer through.")
    return reply


async def _reply(
    context: TaskContext, profile: Profile, name: str, question: Question, *, is_shown: bool
) -> Reply:
    try:
        return await models.ask(
            *(profile, name, question),
            heard=context.partial if is_shown else _unheard,
            counted=lambda model, taken, made: context.note_model(
                model, input_tokens=taken, output_tokens=made
            ),
            stopped=context.cancelled,
        )
    except ModelBusy as error:
        # Where it said for how long, that holds for every worker.
        after_s = error.after_s
        raise RetryLater(error.message, after_s=after_s, shared=after_s is not None) from error
    except ModelAway as error:
        raise RetryLater(error.message) from error


def text_in(context: TaskContext, name: str) -> str:
    """Return the text that the submitter's context has under the name, or an empty one."""
    found = context.get(name)
    if found is not None and (not isinstance(found, str) or len(found) > 2000):
        raise Rejected(f"What the context has under {name!r} is no short text.")
    return found or ""


def language_of(context: TaskContext) -> str:
    """Return the sentence that says in which language the answer is to be."""
    language = text_in(context, "language")
    return f"Answer in the language {language!r}." if language else "Answer in its language."


def _unheard(piece: str) -> None:
    """Not shown: it is not yet known to be an answer."""
